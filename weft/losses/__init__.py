"""What training minimises: base classes, losses, and the functions behind them."""

from weft.losses.catalogue import deserialize, get, serialize
from weft.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
)
from weft.losses.loss import Loss, LossFunctionWrapper, Reduction
from weft.losses.margin import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from weft.losses.metric_learning import Circle, circle
from weft.losses.noisy_labels import (
    CategoricalGeneralizedCrossEntropy,
    categorical_generalized_cross_entropy,
)
from weft.losses.overlap import Dice, Tversky, dice, tversky
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
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from weft.losses.sequence import CTC, ctc

# Keras's short names of the functions.
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
huber_loss = huber
cosine_proximity = cosine_similarity

__all__ = [
    "Loss", "LossFunctionWrapper", "Reduction", "deserialize", "get", "serialize",
    # regression
    "CosineSimilarity", "Huber", "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "cosine_similarity", "huber", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "mae", "MAE", "mape", "MAPE", "mse", "MSE", "msle", "MSLE",
    "logcosh", "huber_loss", "cosine_proximity",
    # probabilities
    "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence", "Poisson",
    "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "kl_divergence", "poisson", "sparse_categorical_crossentropy",
    "bce", "BCE", "kld", "KLD", "kullback_leibler_divergence",
    "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "binary_focal_crossentropy",
    "categorical_focal_crossentropy", "CategoricalGeneralizedCrossEntropy",
    "categorical_generalized_cross_entropy",
    # margins
    "CategoricalHinge", "Hinge", "SquaredHinge", "categorical_hinge", "hinge", "squared_hinge",
    # regions, embeddings, sequences
    "Circle", "CTC", "Dice", "Tversky", "circle", "ctc", "dice", "tversky",
]  # fmt: skip
