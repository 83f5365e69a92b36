"""Names that weft.layers does not have."""

import pytest

import weft


def test_an_unknown_layer_is_answered_with_the_near_ones():
    with pytest.raises(AttributeError, match=r"no 'Densee'. Did you mean 'Dense'"):
        _ = weft.layers.Densee
    with pytest.raises(AttributeError, match=r"no 'LSMT'. Did you mean 'LSTM'"):
        _ = weft.tf.keras.layers.LSMT
