"""What training minimises: base classes, losses, and the functions behind them."""

from weft.losses.catalogue import deserialize, get, serialize
from weft.losses.loss import Loss, LossFunctionWrapper, Reduction
from weft.losses.margin import Hinge, hinge
from weft.losses.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from weft.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
)

# Keras's short names of the functions.
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh

__all__ = [
    "Loss", "LossFunctionWrapper", "Reduction", "deserialize", "get", "serialize",
    # regression
    "CosineSimilarity", "Huber", "LogCosh", "MeanAbsoluteError", "MeanSquaredError",
    "cosine_similarity", "huber", "log_cosh", "mean_absolute_error", "mean_squared_error",
    "mae", "MAE", "mse", "MSE", "logcosh",
    # probabilities
    "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence", "Poisson",
    "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "kl_divergence", "poisson", "sparse_categorical_crossentropy",
    "bce", "BCE", "kld", "KLD", "kullback_leibler_divergence",
    # margins
    "Hinge", "hinge",
]  # fmt: skip
