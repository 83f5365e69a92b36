"""How well predictions go along with targets: the cosine of their angle, and correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from weft.losses.pairs import pair, pair_function
from weft.losses.regression import cosine_similarity as negative_cosine
from weft.metrics.mean import MeanMetricWrapper

__all__ = [
    "ConcordanceCorrelation", "CosineSimilarity", "PearsonCorrelation", "concordance_correlation",
    "pearson_correlation",
]  # fmt: skip


def _centred(x: Any, axis: Any) -> tuple[Any, Any]:
    mean = jnp.mean(x, axis, keepdims=True)
    return x - mean, mean


@pair_function
def pearson_correlation(y_true: Any, y_pred: Any, axis: int | tuple[int, ...] = -1) -> Any:
    """Pearson's r = Σ t·p / √(Σ t² · Σ p²) along `axis`, t and p less their means.

    Args:
        y_true, y_pred: of one shape.
        axis: an axis or several.

    Returns:
        that shape without `axis`: 1 where the predictions are a rising line of the targets, -1
        where a falling one, NaN where either is constant.

    Raises:
        ShapeError: unlike shapes.

    Example:
        >>> from weft.metrics import pearson_correlation
        >>> pearson_correlation([[1.0, 2.0, 4.0]], [[3.0, 5.0, 9.0]]).tolist()
        [1.0]

    Reference: Pearson, Notes on Regression and Inheritance (1895).
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred, exact=True)
    product: Any = 1.0
    for x in (y_true, y_pred):
        x, _ = _centred(x, axis)
        # Each of length 1 first: the product of two small variances would be 0.
        product = product * (x / jnp.sqrt(jnp.sum(x * x, axis, keepdims=True)))
    return jnp.sum(product, axis)


@pair_function
def concordance_correlation(y_true: Any, y_pred: Any, axis: int | tuple[int, ...] = -1) -> Any:
    """Lin's ρ = 2·cov(t, p) / (var t + var p + (mean t - mean p)²) along `axis`.

    Args:
        y_true, y_pred: t and p, of one shape.
        axis: an axis or several.

    Returns:
        that shape without `axis`: 1 where p is t, less where they do not agree, 0 where both are
        the same constant. (Keras adds 10⁻⁷ to the divisor, which counts where variances are small.)

    Raises:
        ShapeError: unlike shapes.

    Example:
        >>> from weft.metrics import concordance_correlation
        >>> concordance_correlation([[1.0, 3.0]], [[2.0, 4.0]]).tolist()
        [0.666...]

    Reference: Lin, A Concordance Correlation Coefficient to Evaluate Reproducibility (1989).
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred, exact=True)
    (t, mean_t), (p, mean_p) = _centred(y_true, axis), _centred(y_pred, axis)
    far = jnp.square(mean_t - mean_p)
    whole = jnp.mean(t * t + p * p + far, axis)
    return jnp.where(whole == 0, 0.0, 2 * jnp.mean(t * p, axis) / jnp.where(whole == 0, 1, whole))


@pair_function
def _cosine(y_true: Any, y_pred: Any, axis: int | tuple[int, ...] = -1) -> Any:
    return -negative_cosine.pure(y_true, y_pred, axis)


def _axis(axis: int | Sequence[int]) -> int | tuple[int, ...]:
    """Axes as an operation takes them; a config has a list."""
    return tuple(axis) if isinstance(axis, list) else axis  # type: ignore[return-value]


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between target and prediction: 1 where they point alike.

    Args:
        name, dtype: as in `Metric`.
        axis: of the vectors' components. (It is in the config; Keras's own leaves it out.)

    Example:
        >>> from weft.metrics import CosineSimilarity
        >>> round(float(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])), 4)
        0.5
    """

    def __init__(
        self,
        name: str | None = "cosine_similarity",
        dtype: Any = None,
        axis: int = -1,
    ) -> None:
        super().__init__(_cosine, name, dtype, axis=_axis(axis))


class PearsonCorrelation(MeanMetricWrapper):
    """The mean of `pearson_correlation`: NaN once either side was constant somewhere.

    Args:
        name, dtype: as in `Metric`.
        axis: an axis or several: of the values that are correlated.

    Example:
        >>> from weft.metrics import PearsonCorrelation
        >>> round(float(PearsonCorrelation()([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5],
        ...                                                              [1, 0.9, 0.2]])), 4)
        0.9967
    """

    def __init__(
        self,
        name: str | None = "pearson_correlation",
        dtype: Any = None,
        axis: int | Sequence[int] = -1,
    ) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=_axis(axis))


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean of `concordance_correlation`.

    Args:
        name, dtype: as in `Metric`.
        axis: an axis or several: of the values that are compared.
    """

    def __init__(
        self,
        name: str | None = "concordance_correlation",
        dtype: Any = None,
        axis: int | Sequence[int] = -1,
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=_axis(axis))
