"""`Loss`: values of each sample, weighted and reduced to what is minimised."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayLike, ArrayOp, ShapeError, Tensor, as_dtype, as_tensor
from weft.engine.errors import SymbolError
from weft.engine.names import snake_case
from weft.engine.operators import astype
from weft.engine.symbolic import Call, call_symbolically
from weft.engine.trace import recording
from weft.losses.lookup import forgotten_init
from weft.losses.options import check_options
from weft.losses.pairs import aligned_weights, wide, with_last_axis

__all__ = ["Loss", "LossFunctionWrapper", "Reduction"]


class Reduction:
    """Keras 2's names of the reductions; the strings themselves do as well."""

    AUTO = "auto"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"


_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def _weigh(
    losses: Any, *given: Any, weighted: bool, masked: bool, reduction: str, dtype: Any
) -> Any:
    """Weighting and reduction, in float32 or wider."""
    values = wide(losses)
    weights = None
    if masked:
        weights = aligned_weights(wide(given[-1]), values.shape, "the mask")
        if reduction == "mean":  # over those that count
            weights = jnp.broadcast_to(weights, values.shape)
            weights = weights * (weights.size / jnp.maximum(jnp.sum(weights), 1))
    if weighted:
        own = wide(given[0])
        # A loss that is a scalar already is weighted by each of the weights.
        own = aligned_weights(own, values.shape) if values.ndim else own
        weights = own if weights is None else own * weights
    if weights is not None:
        values = values * weights
    if reduction == "none":
        return values.astype(dtype)
    total = jnp.sum(values)
    if reduction == "mean":
        total = total / max(values.size, 1)
    elif reduction == "mean_with_sample_weight":
        count = values.size if weights is None else jnp.sum(jnp.broadcast_to(weights, values.shape))
        total = jnp.where(count == 0, 0.0, total / jnp.where(count == 0, 1.0, count))
    return total.astype(dtype)


_weigh_op = ArrayOp(_weigh, "weighted_loss")


class Loss:
    """Base of all losses: subclasses write `call(y_true, y_pred)`.

    Args:
        name: for messages and logs; the class's in snake case by default.
        reduction: what becomes of the values `call` returns, once weighted:
            "sum_over_batch_size" (or "mean", "auto"): their sum divided by their number;
            "sum"; "mean_with_sample_weight": their sum divided by that of the weights;
            "none" or None: left as they are.
        dtype: of `y_true` and `y_pred` in `call`, and of the result; float32 by default, under
            mixed precision too.

    Raises:
        ValueError: an unknown reduction.
        TypeError: an unknown dtype.

    Example:
        >>> import weft
        >>> from weft.losses import Loss
        >>> class Quartic(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return ((y_true - y_pred) ** 4).mean(axis=-1)
        >>> float(Quartic()([[0.0], [0.0]], [[1.0], [2.0]]))
        8.5
    """

    #: Whether each value that `call` returns follows from its row alone; None as in `Layer`.
    by_row: bool | None = None

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if reduction == "auto":
            reduction = "sum_over_batch_size"
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: unknown reduction {reduction!r}. Use one of "
                f"{', '.join(map(repr, _REDUCTIONS))}."
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self._given_dtype = dtype
        self._dtype = as_dtype("float32" if dtype is None else getattr(dtype, "name", dtype))
        self._kind = {None: "none", "sum_over_batch_size": "mean"}.get(reduction, reduction)

    @property
    def dtype(self) -> str:
        """The name of the dtype of computation."""
        return self._dtype.name

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, (batch, ...), or a scalar that stands for all of them.

        Args:
            y_true, y_pred: tensors of this loss's dtype.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no call: write call(self, y_true, y_pred), returning a "
            "tensor with the loss of each sample."
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss; on symbolic tensors, a node of a functional model.

        Args:
            y_true: targets.
            y_pred: predictions; their Keras mask, if they carry one, leaves values out.
            sample_weight: a number, or weights of the first axes of what `call` returns, shape
                (batch,), (batch, 1), (batch, d1), ...

        Raises:
            ShapeError: targets, predictions or weights do not fit one another.
            TypeError: `call` returned nothing, or under a tape something without a gradient.
        """
        try:
            return self._reduced(y_true, y_pred, sample_weight)
        except SymbolError:
            noted = Call(self, self.name)
            return call_symbolically(noted, (y_true, y_pred, sample_weight), {})
        except TypeError as error:
            given = {"y_true": y_true, "y_pred": y_pred}
            if sample_weight is not None:
                given["sample_weight"] = sample_weight
            for what, value in given.items():
                try:
                    as_tensor(value)
                except TypeError as cause:
                    raise TypeError(f"{self.name}: {what}: {cause}") from error
            raise

    def _reduced(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Tensor:
        targets, outputs = self._operands(y_true, y_pred)
        losses = self.call(targets, outputs)
        if not isinstance(losses, ArrayLike):
            losses = self._tensor(losses)
        shape = losses.shape
        if len(shape) == 2 and shape[0] == shape[1] > 1:
            self._check_paired(targets, outputs, shape)
        # Where `call` has reduced all of them already, a mask comes too late.
        mask = self._mask(y_true, y_pred) if shape else None
        extras = [x for x in (sample_weight, mask) if x is not None]
        reduced = self._kind == "none" or not shape
        if not extras and reduced and losses.__class__ is Tensor and losses.dtype == self._dtype:
            return losses
        try:
            return _weigh_op(
                losses,
                *extras,
                weighted=sample_weight is not None,
                masked=mask is not None,
                reduction=self._kind,
                dtype=self._dtype.name,
            )
        except ShapeError as error:
            raise ShapeError(f"{self._source} returned shape {tuple(shape)}: {error}") from error

    def _tensor(self, losses: Any) -> Any:
        """What `call` returned, where it is no tensor, as one."""
        if losses is None:
            raise TypeError(
                f"{self._source} returned None. End it with `return` and the loss of each sample."
            )
        if recording() and not isinstance(losses, jax.Array | list | tuple):
            raise TypeError(
                f"{self._source} returned {losses!r}, of type {type(losses).__name__}, through "
                "which there is no gradient. Compute the loss with weft.ops or weft.tf from y_pred "
                "as it comes, without float() or NumPy; an output without a loss has the loss None."
            )
        return as_tensor(losses)

    def _check_paired(self, y_true: Any, y_pred: Any, shape: tuple[int, ...]) -> None:
        """Refuse what broadcasting makes of (n,) beside (n, 1)."""
        given = np.shape(y_true), np.shape(y_pred)
        n = shape[0]
        if given in (((n,), (n, 1)), ((n, 1), (n,))):
            raise ShapeError(
                f"{self._source} returned shape {tuple(shape)} for y_true of shape {given[0]} and "
                f"y_pred of shape {given[1]}: each target was paired with every prediction. Give "
                "both one shape, e.g. with weft.ops.reshape(y_true, y_pred.shape)."
            )

    @property
    def _source(self) -> str:
        """Who made the values, for messages."""
        return f"{type(self).__name__}.call"

    def _operands(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """What `call` is given."""
        return astype(y_true, self._dtype), astype(y_pred, self._dtype)

    def _mask(self, y_true: Any, y_pred: Any) -> Any:
        """Which of the losses count, or None if all do."""
        return getattr(y_pred, "_keras_mask", None)

    def check_targets(self, y_true: np.ndarray[Any, Any], shape: tuple[int, ...]) -> None:
        """Refuse targets that cannot be meant; `fit` and `evaluate` ask before they start.

        Args:
            y_true: all targets, on the host.
            shape: of a batch of predictions.

        Raises:
            ValueError: says what is wrong with them. The base class finds nothing.
        """

    def get_config(self) -> dict[str, Any]:
        """What makes an equal loss; a subclass adds its own arguments."""
        config: dict[str, Any] = {"name": self.name, "reduction": self.reduction}
        if self._given_dtype is not None:
            config["dtype"] = self.dtype
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss of a config."""
        return cls(**config)

    def __getattr__(self, attribute: str) -> Any:
        if attribute in ("name", "reduction", "_dtype", "_given_dtype", "_kind"):
            raise RuntimeError(forgotten_init(type(self)))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")

    def __repr__(self) -> str:
        return f"<weft.losses.{type(self).__name__} {self.name!r}>"


class LossFunctionWrapper(Loss):
    """A function of (y_true, y_pred) as a loss.

    Args:
        fn: returns the loss of each sample, or a scalar.
        name: the function's by default.
        reduction, dtype: as in `Loss`.
        kwargs: further arguments of `fn`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        check_options(type(self).__name__, getattr(fn, "rules", {}), kwargs)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values."""
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def check_targets(self, y_true: np.ndarray[Any, Any], shape: tuple[int, ...]) -> None:
        """What the function itself checks (`check_targets`), if it does."""
        check = getattr(self.fn, "check_targets", None)
        if check is not None:
            check(y_true, shape, **self._fn_kwargs)

    def _operands(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        # weft's own functions convert inside their one node.
        if hasattr(self.fn, "pure"):
            return y_true, y_pred
        return with_last_axis(*super()._operands(y_true, y_pred))

    @property
    def _source(self) -> str:
        return f"the loss function {getattr(self.fn, '__name__', self.fn)}"

    def get_config(self) -> dict[str, Any]:
        """What makes an equal loss."""
        config = {**super().get_config(), **self._fn_kwargs}
        if type(self) is LossFunctionWrapper:
            config["fn"] = self.fn
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss of a config; Keras 2's name the function of every loss, which says nothing."""
        if "fn" in config and "fn" not in inspect.signature(cls).parameters:
            config = {key: value for key, value in config.items() if key != "fn"}
        return cls(**config)
