"""`EinsumDense`: a dense layer whose product is any einsum of the input and a kernel."""

from __future__ import annotations

import copy
import re
from typing import Any

import jax.numpy as jnp

from weft import activations
from weft.engine import ArrayOp, ShapeError
from weft.engine.names import looked_up
from weft.initializers import VarianceScaling
from weft.layers.layer import Layer
from weft.layers.options import make_weight, option_config, positive, set_options, without

__all__ = ["EinsumDense"]

_VARIANTS = ("lora_rank", "lora_alpha", "gptq_unpacked_column_size", "quantization_config")
_FORMS = re.compile(
    r"(?P<x>[a-zA-Z]+),(?P<w>[a-zA-Z]+)->(?P<y>[a-zA-Z]+)"
    r"|\.\.\.(?P<lx>[a-zA-Z]+),(?P<lw>[a-zA-Z]+)->\.\.\.(?P<ly>[a-zA-Z]+)"
    r"|(?P<rx>[a-zA-Z]+)\.\.\.,(?P<rw>[a-zA-Z]+)->(?P<ry>[a-zA-Z]+)\.\.\."
)


class _Equation:
    """An equation taken apart: the labels of input, kernel and output, and where "..." stands.

    Args:
        text: "ab,bc->ac", "...b,bc->...c" or "ab...,bc->ac...".
    """

    def __init__(self, text: Any) -> None:
        found = _FORMS.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(
                "EinsumDense: an equation reads 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...' "
                f"(letters for the axes of input, kernel and output, no spaces), got {text!r}."
            )
        self.text = text
        for side, self.ellipsis in (("", None), ("l", "left"), ("r", "right")):
            if found[f"{side}x"]:
                self.x, self.w, self.y = (found[f"{side}{which}"] for which in "xwy")
                break
        twice = next((c for c in self.y if self.y.count(c) > 1), None)
        if twice or not set(self.y) <= {*self.x, *self.w}:
            wrong = twice or next(c for c in self.y if c not in self.x + self.w)
            raise ValueError(
                f"EinsumDense: output axis {wrong!r} of the equation {text!r} must stand once in "
                "the output, and in the input or the kernel."
            )
        unknown = [c for c in self.w if c not in self.x + self.y]
        if unknown:
            raise ValueError(
                f"EinsumDense: the size of kernel axis {unknown[0]!r} of the equation {text!r} "
                "follows from nothing: it must be an axis of the input or the output too."
            )
        # What output_shape gives sizes of: all but the batch axis, which the dots hold at the left.
        self.sized = self.y if self.ellipsis == "left" else self.y[1:]
        if self.ellipsis != "left" and self.y[0] != self.x[0]:
            raise ValueError(
                f"EinsumDense: the batch axis, {self.x[0]!r} in the equation {text!r}, must come "
                f"first in the output too, not {self.y[0]!r}."
            )

    def sizes(self, input_shape: Any, partial: tuple[int | None, ...]) -> dict[str, int | None]:
        """The size of each label, from the input's shape and the output's partial one."""
        rank = len(self.x)
        if input_shape is None or (
            len(input_shape) != rank if self.ellipsis is None else len(input_shape) < rank
        ):
            wanted = f"{rank} axes" if self.ellipsis is None else f"{rank} axes or more"
            raise ShapeError(
                f"the equation {self.text!r} takes an input of {wanted}, got shape {input_shape}."
            )
        own = input_shape[-rank:] if self.ellipsis == "left" else input_shape[:rank]
        found = dict(zip(self.x, own, strict=True))
        for label, size in zip(self.sized, partial, strict=True):
            known = found.get(label)
            if size is not None and known is not None and size != known:
                raise ShapeError(
                    f"axis {label!r} of the equation {self.text!r} has size {known} in the input, "
                    f"of shape {input_shape}, and {size} in output_shape {partial}."
                )
            found[label] = known if size is None else size
        return found

    def known(self, sizes: dict[str, int | None], labels: str, weight: str) -> tuple[int, ...]:
        """The sizes of a weight's axes."""
        missing = [c for c in labels if sizes[c] is None]
        if missing:
            raise ShapeError(
                f"the {weight} has the axis {missing[0]!r} of the equation {self.text!r}, whose "
                "size must be known: give it in output_shape, or an input that has it."
            )
        return tuple(sizes[c] for c in labels)  # type: ignore[misc]

    def fans(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The kernel's axes that are summed over, and those that stay."""
        axes = range(len(self.w))
        return (
            tuple(i for i in axes if self.w[i] not in self.y),
            tuple(i for i in axes if self.w[i] in self.y),
        )


def _einsum_dense(x: Any, kernel: Any, *bias: Any, equation: str) -> Any:
    y = jnp.einsum(equation, x, kernel)
    return y + bias[0] if bias else y


_einsum_dense_op = ArrayOp(_einsum_dense, "einsum_dense")


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: letters for the axes of input, kernel and output, "abc,cde->abde"; dots stand
            for any axes, at the left of input and output ("...c,cd->...d") or at the right
            ("ab...,bc->ac..."). Without dots at the left, the first axis is the batch's.
        output_shape: the sizes of the output's axes, without the batch axis and those in the
            dots; None for a size that follows from the input. An int where there is one axis.
        activation: a name or a callable; none by default.
        bias_axes: the output's axes that the bias has, e.g. "de"; no bias by default.
        kernel_initializer, bias_initializer: first values. The fans of variance scaling are the
            kernel's axes that are summed over, and the others.
        kernel_regularizer, bias_regularizer: penalties that become losses.
        kernel_constraint, bias_constraint: applied after each update.
        kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`.

    Call arguments:
        inputs: float, with the axes of the equation's input.

    Returns:
        The axes of the equation's output.

    Raises:
        ValueError: an equation of another form, or an output_shape or bias_axes that do not fit.
        ShapeError: an input that does not fit the equation or the kernel.

    Example:
        >>> import weft
        >>> heads = weft.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4))
        >>> heads(weft.ops.ones((3, 5, 8))).shape
        (3, 5, 2, 4)
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**without("EinsumDense", kwargs, *_VARIANTS))
        self.equation = equation
        self._equation = _Equation(equation)
        self.partial_output_shape = self._partial(output_shape)
        self.activation = looked_up(self, "activation", activations.get, activation)
        missing = [c for c in bias_axes or "" if c not in self._equation.y]
        if missing:
            raise ValueError(
                f"EinsumDense: bias_axes={bias_axes!r} names {missing[0]!r}, which is no output "
                f"axis of the equation {equation!r}."
            )
        self.bias_axes = bias_axes
        set_options(
            self, "kernel", initializer=kernel_initializer, regularizer=kernel_regularizer,
            constraint=kernel_constraint,
        )  # fmt: skip
        set_options(
            self, "bias", initializer=bias_initializer, regularizer=bias_regularizer,
            constraint=bias_constraint,
        )  # fmt: skip

    def _partial(self, output_shape: Any) -> tuple[int | None, ...]:
        given = output_shape if isinstance(output_shape, list | tuple) else (output_shape,)
        sized = self._equation.sized
        if len(given) != len(sized):
            raise ValueError(
                f"EinsumDense: output_shape needs a size (or None) for each of the output axes "
                f"{', '.join(sized) or 'of which there are none'} of the equation "
                f"{self.equation!r}, got {output_shape!r}."
            )
        return tuple(
            None if n is None else positive("EinsumDense", "a size in output_shape", n)
            for n in given
        )

    def build(self, input_shape: Any) -> None:
        equation = self._equation
        sizes = equation.sizes(input_shape, self.partial_output_shape)
        shape = equation.known(sizes, equation.w, "kernel")
        first = self.kernel_initializer
        if isinstance(first, VarianceScaling) and first.input_axes is None:
            first = copy.copy(first)
            first.input_axes, first.output_axes = equation.fans()
        self.kernel = self.add_weight(
            shape=shape,
            initializer=first,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if self.bias_axes:
            # It broadcasts against the output from the right: axes behind its first have size 1.
            axes = equation.y[min(map(equation.y.index, self.bias_axes)) :]
            sizes.update({c: 1 for c in axes if c not in self.bias_axes})
            shape = equation.known(sizes, axes, "bias")
            if equation.ellipsis == "right":
                shape += (1,) * (len(input_shape) - len(equation.x))
            self.bias = make_weight(self, "bias", shape)

    def call(self, inputs: Any) -> Any:
        weights = (self.kernel,) if self.bias is None else (self.kernel, self.bias)
        return self.activation(_einsum_dense_op(inputs, *weights, equation=self.equation))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_shape": list(self.partial_output_shape),
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            **option_config(self, "kernel", "bias"),
        }
