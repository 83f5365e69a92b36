"""What the normalizing layers share: a scale gamma and an offset beta, learned along axes."""

from __future__ import annotations

from typing import Any

from weft.engine import ShapeError, Tensor
from weft.engine.operators import astype
from weft.layers.layer import Layer
from weft.layers.options import make_weight, not_negative, option_config, set_options

__all__ = ["Affine", "axes_in", "axes_of_options", "floating"]


class Affine(Layer):
    """The base of layers that end with · gamma + beta; the moments before are the subclass's.

    Args:
        epsilon: what keeps a root from zero.
        center: whether there is a beta.
        scale: whether there is a gamma.
        chosen: `beta_initializer`, `gamma_regularizer` and the like.
        others: the arguments of every layer.
    """

    _weights_with_options: tuple[str, ...] = ("beta", "gamma")

    def __init__(
        self, epsilon: float, center: bool, scale: bool, chosen: dict[str, Any], **others: Any
    ) -> None:
        super().__init__(**others)
        self.epsilon = not_negative(type(self).__name__, "epsilon", epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        for option, value in chosen.items():
            weight, kind = option.rsplit("_", 1)
            set_options(self, weight, **{kind: value})
        self.supports_masking = True

    def _make_affine(self, shape: tuple[int, ...]) -> None:
        # Kept in the variables' own dtype: half precision is computed in float32 here.
        self.gamma = make_weight(self, "gamma", shape, autocast=False) if self.scale else None
        self.beta = make_weight(self, "beta", shape, autocast=False) if self.center else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **option_config(self, *self._weights_with_options),
        }


def floating(layer: Layer, inputs: Any) -> Tensor:
    """The inputs, integers as floats of the layer's compute dtype."""
    return inputs if inputs.spec.inexact else astype(inputs, layer.dtype_policy.compute)


def axes_of_options(layer: str, axis: Any) -> Any:
    """An axis argument, an int or several, as a config holds it.

    Raises:
        ValueError: it is neither.
    """
    axes = axis if isinstance(axis, list | tuple) else [axis]
    if not axes or not all(isinstance(a, int) and not isinstance(a, bool) for a in axes):
        raise ValueError(f"{layer}: axis must be an integer or several, got axis={axis!r}.")
    return list(axis) if isinstance(axis, tuple) else axis


def axes_in(input_shape: Any, axis: Any, known: bool = True) -> tuple[int, ...]:
    """The axes of an input counted from the front.

    Raises:
        ShapeError: the input has no such axis, one is named twice, or, where it must be known, the
            size of one is not.
    """
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    rank = 0 if input_shape is None else len(input_shape)
    for a in axes:
        if not -rank <= a < rank:
            raise ShapeError(
                f"axis {a} is out of range for an input of shape {input_shape}, which has {rank} "
                "axes."
            )
        if known and input_shape[a] is None:
            raise ShapeError(f"the size of axis {a} must be known, got shape {input_shape}.")
    found = tuple(a % rank for a in axes)
    if len(set(found)) < len(found):
        raise ShapeError(f"axis={list(axes)} names an axis of shape {input_shape} twice.")
    return found
