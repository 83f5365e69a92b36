"""`LossScaleOptimizer`: another optimizer, kept from gradients that overflow in half precision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import Op, Tensor, Variable, as_tensor
from weft.engine.trace import record, state
from weft.engine.variable import give_values
from weft.optimizers import lookup
from weft.optimizers.base import Optimizer
from weft.optimizers.checks import check_variables
from weft.optimizers.delegating import Delegating

__all__ = ["LossScaleOptimizer"]


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _checked(divisor: jax.Array, *grads: jax.Array) -> tuple[Any, ...]:
    """Whether all gradients are finite, and the gradients divided, in float32 at least."""
    wide = [_wide(g) / divisor for g in grads]
    return jnp.stack([jnp.all(jnp.isfinite(g)) for g in wide]).all(), *wide


def _adjusted(
    finite: jax.Array, scale: jax.Array, good: jax.Array, *, every: int
) -> tuple[jax.Array, jax.Array]:
    """The scale, and the number of finite steps since it changed, after a step."""
    due = good + 1 >= every
    doubled = jnp.where(jnp.isfinite(2 * scale), 2 * scale, scale)
    halved = jnp.maximum(scale / 2, jnp.minimum(scale, 1))
    scale = jnp.where(finite, jnp.where(due, doubled, scale), halved)
    return scale, jnp.where(finite & ~due, good + 1, 0)


_check = Op(_checked, "unscale_gradients", differentiable=False)
_adjust = Op(_adjusted, "adjust_loss_scale", differentiable=False)
_scaled = Op(lambda loss, scale: loss * scale.astype(loss.dtype), "scale_loss")
_divided = Op(lambda grad, scale: (_wide(grad) / scale).astype(grad.dtype), "unscale")


class LossScaleOptimizer(Delegating):
    """Another optimizer under a loss scale: small gradients survive float16, large ones do no harm.

    The loss is multiplied by the scale s (`scale_loss`), so its gradients are too; they are divided
    by it before the inner optimizer sees them. A step where one of them is not finite changes
    nothing (weights, slots, the count of steps), and halves s, down to 1 at the least; after
    `dynamic_growth_steps` finite steps s is doubled.

    Args:
        inner_optimizer: an optimizer, its name or config. Clipping, averages, weight decay and
            accumulation are its own.
        initial_scale: s at first.
        dynamic_growth_steps: after how many finite steps s is doubled.
        name: made up from the class's if absent.
        dynamic: whether s changes; Keras 2's. A step that overflows is left out all the same.

    Raises:
        TypeError: `inner_optimizer` is none, or an option belongs to it.
        ValueError: a scale or count that is not positive, or a loss scale inside.

    Example:
        >>> import weft
        >>> v = weft.Variable([1.0])
        >>> optimizer = weft.optimizers.LossScaleOptimizer("sgd", initial_scale=8.0)
        >>> with weft.GradientTape() as tape:
        ...     loss = optimizer.scale_loss(v * float("inf"))
        >>> _ = optimizer.apply_gradients([(tape.gradient(loss, v), v)])
        >>> v.numpy(), float(optimizer.loss_scale)
        (array([1.], dtype=float32), 4.0)

    Reference: Micikevicius et al., Mixed Precision Training (2018), section 3.2.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        *,
        dynamic: bool = True,
        **kwargs: Any,
    ) -> None:
        if isinstance(initial_scale, bool):  # Keras 2 has `dynamic` in this place
            dynamic, initial_scale = initial_scale, 2.0**15
        _check_arguments(initial_scale, dynamic_growth_steps)
        inner = self._part(inner_optimizer)
        if isinstance(inner, LossScaleOptimizer) or inner.loss_scale_factor is not None:
            raise ValueError(
                f"LossScaleOptimizer: the inner optimizer {inner.name!r} scales the loss already. "
                "Give it without a scale."
            )
        super().__init__(name, **kwargs)
        self.inner_optimizer = inner
        self.initial_scale = float(initial_scale)
        self.dynamic_growth_steps = dynamic_growth_steps
        self.dynamic = bool(dynamic)
        self.step_counter = self._new_variable(np.zeros((), np.int32), "step_counter")
        self.dynamic_scale = self._new_variable(np.float32(self.initial_scale), "dynamic_scale")
        self._unscaled = False  # whether `get_unscaled_gradients` was called since the last update

    @property
    def parts(self) -> list[Optimizer]:
        return [self.inner_optimizer]

    @property
    def loss_scale(self) -> Tensor:
        """The scale s now."""
        return self.dynamic_scale.value

    @property
    def iterations(self) -> Any:
        """The inner optimizer's: steps left out do not count."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Tensor:
        """The loss times the scale, in the loss's dtype."""
        return _scaled(loss, self.dynamic_scale)  # type: ignore[no-any-return]

    get_scaled_loss = scale_loss

    def get_unscaled_gradients(self, grads: Any) -> list[Any]:
        """Gradients divided by the scale, None left as it is; the next update takes them so.

        Keras 2's way, in which gradients can be clipped or looked at by hand before the update.
        """
        self._unscaled = True
        return [None if g is None else _divided(as_tensor(g), self.dynamic_scale) for g in grads]

    def build(self, variables: Iterable[Variable]) -> None:
        variables = list(variables)
        self.inner_optimizer.build(variables)
        super().build(variables)

    def _build(self, variables: list[Variable]) -> None:
        super()._build(variables)
        self.inner_optimizer._ready(variables)

    def _update(
        self, grads: list[Any], variables: list[Variable], proceed: Tensor | None = None
    ) -> None:
        inner = self.inner_optimizer
        check_variables(self.name, variables)
        grads, variables = self._matched(grads, variables)
        if not self.built:
            self._build(variables)
        read = state.trace.read
        divisor = as_tensor(1.0) if self._unscaled else read(self.dynamic_scale)
        finite, *grads = record(_check, (), [divisor, *grads])
        inner._update(grads, variables, finite if proceed is None else finite & proceed)
        self._unscaled = False
        if self.dynamic:
            params = (("every", self.dynamic_growth_steps),)
            held = [self.dynamic_scale, self.step_counter]
            give_values(held, record(_adjust, params, [finite, *map(read, held)]))

    def get_config(self) -> dict[str, Any]:
        config = {
            "name": self.name,
            "inner_optimizer": lookup.serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }
        if not self.dynamic:
            config["dynamic"] = False
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        inner = lookup.deserialize(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": inner})


def _check_arguments(scale: Any, growth: Any) -> None:
    kind = "LossScaleOptimizer"
    if not 0 < scale < float("inf"):
        raise ValueError(f"{kind}: initial_scale must be positive and finite, got {scale!r}.")
    if not isinstance(growth, int) or growth < 1:
        raise ValueError(
            f"{kind}: dynamic_growth_steps must be an integer of at least 1, got {growth!r}."
        )
