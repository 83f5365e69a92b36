"""weft.layers has Keras's names, but for what is listed here."""

import keras
import pytest

import weft

# Preprocessing and augmentation, which work on data before a model sees it.
PREPROCESSING = {
    "AugMix", "AutoContrast", "CategoryEncoding", "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Discretization", "Equalization",
    "HashedCrossing", "Hashing", "IntegerLookup", "MaxNumBoundingBoxes", "MelSpectrogram", "MixUp",
    "Normalization", "Pipeline", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing",
    "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
    "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Rescaling", "Resizing",
    "STFTSpectrogram", "Solarization", "StringLookup", "TextVectorization",
}  # fmt: skip
OTHER_SYSTEMS = {"TFSMLayer", "TorchModuleWrapper"}


def test_every_layer_of_keras_is_here():
    theirs = {name for name in dir(keras.layers) if not name.startswith("_")}
    assert theirs - set(weft.layers.__all__) == (PREPROCESSING | OTHER_SYSTEMS) & theirs
    assert set(weft.layers.__all__) <= theirs | {"InputSpec"}


def test_an_unknown_layer_is_answered_with_the_near_ones():
    with pytest.raises(AttributeError, match=r"no 'Densee'. Did you mean 'Dense'"):
        _ = weft.layers.Densee
    with pytest.raises(AttributeError, match=r"no 'LSMT'. Did you mean 'LSTM'"):
        _ = weft.tf.keras.layers.LSMT
