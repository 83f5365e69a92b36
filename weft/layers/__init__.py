"""Layers: the parts a model is built from, one family a module."""

from weft.layers.activation import LeakyReLU, ReLU, Softmax
from weft.layers.convolution import Conv2D, Convolution2D
from weft.layers.core import Activation, Dense, Embedding, Identity, Input, InputLayer
from weft.layers.layer import Layer
from weft.layers.normalization import BatchNormalization, LayerNormalization
from weft.layers.pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from weft.layers.regularization import Dropout
from weft.layers.reshaping import Flatten, Reshape

__all__ = [
    "Activation", "AveragePooling2D", "AvgPool2D", "BatchNormalization", "Conv2D", "Convolution2D",
    "Dense", "Dropout", "Embedding", "Flatten", "GlobalAveragePooling2D", "GlobalAvgPool2D",
    "GlobalMaxPool2D", "GlobalMaxPooling2D", "Identity", "Input", "InputLayer", "Layer",
    "LayerNormalization", "LeakyReLU", "MaxPool2D", "MaxPooling2D", "ReLU", "Reshape", "Softmax",
]  # fmt: skip
