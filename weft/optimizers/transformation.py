"""Any Optax transformation as an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ShapeError, Variable, as_tensor, isolated
from weft.optimizers.base import Optimizer
from weft.optimizers.update import Arrays

__all__ = ["OptaxOptimizer", "is_transformation"]


def is_transformation(value: Any) -> bool:
    """Whether `value` is an Optax gradient transformation (an `init` with an `update`)."""
    return all(callable(getattr(value, name, None)) for name in ("init", "update"))


class OptaxOptimizer(Optimizer):
    """An Optax transformation whose state is kept in variables.

    The transformation sees the parameters as a dict, one entry a variable, in the order in which
    the optimizer met them. A variable that joins later gets its own part of the state; one that is
    left out of an update keeps its part.

    Args:
        transformation: what `optax.adam(1e-3)` and its kin return, or a chain of them.
        learning_rate: η, by whose negative the updates are multiplied: for transformations that
            have no rate of their own, as `optax.scale_by_adam()`. It can be a number, variable or
            schedule, and changed at any time. None: the transformation's updates are final.
        kwargs: what every `Optimizer` takes; `weight_decay` needs a `learning_rate`.

    Raises:
        TypeError: `transformation` is none.

    Example:
        >>> import optax, weft
        >>> from weft.optimizers import OptaxOptimizer
        >>> v = weft.Variable([1.0, 2.0])
        >>> _ = OptaxOptimizer(optax.sgd(0.5)).apply_gradients([([1.0, 1.0], v)])
        >>> v.numpy()
        array([0.5, 1.5], dtype=float32)
    """

    def __init__(
        self,
        transformation: Any,
        name: str | None = None,
        *,
        learning_rate: Any = None,
        **kwargs: Any,
    ) -> None:
        if not is_transformation(transformation):
            raise TypeError(
                "OptaxOptimizer needs an Optax transformation, such as optax.adam(1e-3), got "
                f"{type(transformation).__name__}."
            )
        scaled = learning_rate is not None
        if kwargs.get("weight_decay") and not scaled:
            raise ValueError(
                "OptaxOptimizer: weight_decay is scaled by the learning rate, which this "
                "transformation keeps to itself. Chain optax.add_decayed_weights into it, or pass "
                "learning_rate."
            )
        super().__init__(learning_rate if scaled else 1.0, name=name, **kwargs)
        self.transformation = transformation
        self.scaled = scaled
        if not scaled:
            self._variables.pop()
            self._learning_rate = None

    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("transformation", self.transformation), ("scaled", self.scaled))

    _rule_in_own_dtypes = True  # as plain Optax would run it

    @staticmethod
    def rule(
        grads: Arrays,
        params: Arrays,
        slots: Arrays,
        rate: jax.Array,
        count: jax.Array,
        *,
        transformation: Any,
        scaled: bool,
        names: tuple[str, ...],
        tree: Any,
        keys: tuple[bool, ...],
    ) -> tuple[Arrays, Arrays]:
        import optax

        slots = [jax.random.wrap_key_data(x) if k else x for x, k in zip(slots, keys, strict=True)]
        state = jax.tree.unflatten(tree, slots)
        before = dict(zip(names, params, strict=True))
        updates, state = transformation.update(dict(zip(names, grads, strict=True)), state, before)
        if scaled:
            updates = jax.tree.map(lambda u: (-rate * u).astype(u.dtype), updates)
        after = optax.apply_updates(before, updates)
        leaves = jax.tree.leaves(state)
        slots = [jax.random.key_data(x) if k else x for x, k in zip(leaves, keys, strict=True)]
        return [after[name] for name in names], slots

    def _state_of(self, variables: Sequence[Variable]) -> tuple[list[Variable], Any]:
        names = tuple(f"{self._index[id(v)]:06}" for v in variables)
        by_name = dict(zip(names, variables, strict=True))
        with isolated():  # the values themselves, even while a function is being traced
            params = {name: v.array() for name, v in by_name.items()}
            # Some states start from the parameters' values; as one program, whatever is in it.
            first = jax.jit(self.transformation.init)(params)
        leaves, tree = jax.tree.flatten_with_path(first)
        slots, keys = [], []
        for path, leaf in leaves:
            keys.append(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))
            value = jax.random.key_data(leaf) if keys[-1] else leaf
            place = jax.tree_util.keystr(path, simple=True, separator="/")
            slot = self._slots.get(place)
            if slot is None:
                words = (by_name[w].path if w in by_name else w for w in place.split("/"))
                title = "_".join(words).replace("/", "_")
                slot = self._slots[place] = self._new_variable(np.asarray(value), title)
            elif slot.spec.shape != value.shape:
                raise ShapeError(
                    f"{self.name}: the state {place!r} of this Optax transformation has shape "
                    f"{tuple(slot.shape)}, but {tuple(value.shape)} for the {len(names)} variables "
                    "given now. A state that is not kept variable by variable needs the same "
                    "variables at every update."
                )
            slots.append(slot)
        return slots, (("names", names), ("tree", tree), ("keys", tuple(keys)))

    # -- the learning rate ----------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The learning rate, if it was given apart from the transformation."""
        self._check_scaled()
        return Optimizer.learning_rate.fget(self)  # type: ignore[attr-defined]

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._check_scaled()
        Optimizer.learning_rate.fset(self, value)  # type: ignore[attr-defined]

    def _check_scaled(self) -> None:
        if not self.scaled:
            raise AttributeError(
                f"{self.name}: the learning rate is part of the Optax transformation. To read and "
                "change it, take a transformation without one and pass it beside: "
                "OptaxOptimizer(optax.scale_by_adam(), learning_rate=1e-3)."
            )

    def _rate(self) -> Any:
        return super()._rate() if self.scaled else _NO_RATE

    def get_config(self) -> dict[str, Any]:
        """Refused: a transformation is made of functions, which no file can hold."""
        raise NotImplementedError(
            f"{self.name}: an Optax transformation is made of functions and has no config. Make "
            "the optimizer again in code, and load its variables."
        )


_NO_RATE = as_tensor(1.0)
