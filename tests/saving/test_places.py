"""Every public layer keeps its weights in Keras's places."""

import h5py
import keras
import numpy as np
import pytest

from tests.layers.registry import CASES, keras_layer, weft_layer

# What Keras itself meets when it writes its variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Around(keras.Model):
    """Keras writes models alone; a layer's places are below its attribute's name."""

    def __init__(self, layer):
        super().__init__()
        self.around = layer
        self.built = True


def arrays(path, prefix):
    found = {}

    def note(place, item):
        if isinstance(item, h5py.Dataset) and "seed_generator" not in place:
            found[place.removeprefix(prefix)] = np.asarray(item[()])

    with h5py.File(path) as file:
        file.visititems(note)
    return found


WITH_WEIGHTS = [
    "PReLU", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention", "Conv1D", "Conv2D",
    "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D",
    "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "Dense", "Embedding",
    "ReversibleEmbedding", "EinsumDense", "BatchNormalization", "LayerNormalization",
    "GroupNormalization", "RMSNormalization", "SpectralNormalization", "SimpleRNNCell", "GRUCell",
    "LSTMCell", "StackedRNNCells", "SimpleRNN", "GRU", "LSTM", "RNN", "Bidirectional",
    "TimeDistributed", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
]  # fmt: skip

OF_TENSORFLOW = {"FlaxLayer", "JaxLayer"}  # Keras's own need TensorFlow


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_weights_are_in_keras_places(name, tmp_path):
    path = str(tmp_path / "layer.weights.h5")
    for case in CASES[name][:3]:
        theirs, (ours, _) = keras_layer(case), weft_layer(case)
        theirs.set_weights(ours.get_weights())  # the layer is shared with other tests
        Around(theirs).save_weights(path)
        expected = arrays(path, "around/")
        ours.save_weights(path)
        found = arrays(path, "")
        assert found.keys() == expected.keys()
        assert len(found) >= len(ours.weights)
        for place, value in expected.items():
            np.testing.assert_array_equal(found[place], value)


def test_no_layer_is_left_out():
    without = {name for name, (case, *_) in CASES.items() if not weft_layer(case)[0].weights}
    assert without | set(WITH_WEIGHTS) | OF_TENSORFLOW == CASES.keys()
    assert not without & set(WITH_WEIGHTS)
