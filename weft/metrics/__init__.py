"""What training reports: base class, means, accuracies, errors."""

from weft.losses import (
    BCE,
    KLD,
    MAE,
    MSE,
    bce,
    binary_crossentropy,
    categorical_crossentropy,
    hinge,
    huber,
    kl_divergence,
    kld,
    log_cosh,
    logcosh,
    mae,
    mean_absolute_error,
    mean_squared_error,
    mse,
    poisson,
    sparse_categorical_crossentropy,
)
from weft.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from weft.metrics.catalogue import accuracy_for, crossentropy_for, deserialize, get, serialize
from weft.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
)
from weft.metrics.mean import Mean, MeanMetricWrapper, Sum
from weft.metrics.metric import Metric

__all__ = [
    "Metric", "accuracy_for", "crossentropy_for", "deserialize", "get", "serialize",
    # sums and means
    "Mean", "MeanMetricWrapper", "Sum",
    # accuracies
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "binary_accuracy",
    "categorical_accuracy", "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
    # errors and cross-entropies
    "BinaryCrossentropy", "CategoricalCrossentropy", "MeanAbsoluteError", "MeanSquaredError",
    "RootMeanSquaredError", "SparseCategoricalCrossentropy",
    # the loss functions, which Keras lists here too
    "binary_crossentropy", "categorical_crossentropy", "hinge", "huber", "kl_divergence",
    "log_cosh", "mean_absolute_error", "mean_squared_error", "poisson",
    "sparse_categorical_crossentropy", "bce", "BCE", "kld", "KLD", "logcosh", "mae", "MAE", "mse",
    "MSE",
]  # fmt: skip
