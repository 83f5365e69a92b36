"""`MultiOptimizer`: different optimizers, or learning rates, for different variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from weft.engine import Op, Tensor, Variable
from weft.engine.trace import record
from weft.optimizers import lookup
from weft.optimizers.base import Optimizer
from weft.optimizers.checks import check_variables, described
from weft.optimizers.delegating import Delegating
from weft.optimizers.undoing import undone_on_error

__all__ = ["MultiOptimizer", "OptimizerMap"]


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Optimizers by patterns of variables' paths.

    Args:
        default_optimizer: for the variables that no pattern matches.
        optimizer_map: optimizers by pattern, a regular expression. One that matches a whole path
            ("model/encoder/.*") counts before one that is found somewhere in it ("encoder").

    Raises:
        TypeError: something that is no optimizer, or a pattern that is no string.
        ValueError: a pattern that is no regular expression, or there already.

    Example:
        >>> from weft.optimizers import SGD, Adam, OptimizerMap
        >>> chosen = OptimizerMap(SGD(0.1), {"encoder": Adam(1e-5)})
        >>> chosen["model/encoder/kernel"], chosen["model/head/kernel"]
        (<weft.optimizers.Adam 'adam...'>, <weft.optimizers.SGD 'sgd...'>)
    """

    def __init__(self, default_optimizer: Any, optimizer_map: dict[str, Any] | None = None) -> None:
        self._default = _optimizer(default_optimizer)
        self._by_pattern: dict[str, Optimizer] = {}
        for pattern, optimizer in (optimizer_map or {}).items():
            self[pattern] = optimizer

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of the variables that no pattern matches."""
        return self._default

    def __getitem__(self, path: str) -> Optimizer:
        """The optimizer of a variable's path, or of a pattern."""
        if path in self._by_pattern:
            return self._by_pattern[path]
        for match in (re.fullmatch, re.search):
            found = [p for p in self._by_pattern if match(p, path)]
            if len(found) > 1:
                raise ValueError(
                    f"OptimizerMap: the path {path!r} is matched by several patterns, {found}. "
                    "Make them exclude each other."
                )
            if found:
                return self._by_pattern[found[0]]
        return self._default

    def __setitem__(self, pattern: str, optimizer: Any) -> None:
        if not isinstance(pattern, str):
            raise TypeError(f"OptimizerMap: a pattern is a string, got {pattern!r}.")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"OptimizerMap: {pattern!r} is no regular expression: {error}."
            ) from error
        if pattern in self._by_pattern:
            raise ValueError(
                f"OptimizerMap: the pattern {pattern!r} stands for "
                f"{self._by_pattern[pattern]!r} already; delete it first."
            )
        self._by_pattern[pattern] = _optimizer(optimizer)

    def __delitem__(self, pattern: str) -> None:
        del self._by_pattern[pattern]

    def __contains__(self, pattern: object) -> bool:
        return pattern in self._by_pattern

    def __len__(self) -> int:
        return len(self._by_pattern)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_pattern)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal map."""
        return {
            "default_optimizer": lookup.serialize(self._default),
            "optimizer_map": {k: lookup.serialize(v) for k, v in self._by_pattern.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OptimizerMap:
        """The map of a config."""
        by_pattern = {k: lookup.deserialize(v) for k, v in config["optimizer_map"].items()}
        return cls(lookup.deserialize(config["default_optimizer"]), by_pattern)


def _optimizer(given: Any) -> Optimizer:
    if not isinstance(given, Optimizer):
        raise TypeError(f"OptimizerMap: an optimizer is expected, got {described(given)}.")
    return given


_unscale = Op(
    lambda factor, *grads: tuple(g / factor.astype(g.dtype) for g in grads),
    "unscale_gradients",
    differentiable=False,
)


class MultiOptimizer(Delegating):
    """Several optimizers, each for some of the variables: fine-tuning by parts.

    Each part has its own learning rate, schedule, clipping and so on. A step is one program all
    the same.

    Args:
        optimizer_map: who trains which variable, as
            an `OptimizerMap`, by patterns of paths;
            a callable from a variable to its optimizer, asked once for each variable;
            or pairs (optimizer, what), `what` being a layer, a variable, a pattern, or a list of
            them; None in its place means all others.
        loss_scale_factor: what `scale_loss` multiplies by, and gradients are divided by.
        name: made up from the class's if absent.

    Raises:
        TypeError: `optimizer_map` is none of these.
        ValueError: a part with a loss scale of its own; on an update, a variable that no part or
            more than one trains.

    Example:
        >>> import weft
        >>> from weft import layers, optimizers
        >>> base, head = layers.Dense(4), layers.Dense(1)
        >>> model = weft.Sequential([weft.Input((3,)), base, head])
        >>> slow, fast = optimizers.Adam(1e-5), optimizers.Adam(1e-3)
        >>> model.compile(optimizers.MultiOptimizer([(slow, base), (fast, None)]), "mse")
    """

    def __init__(
        self,
        optimizer_map: Any,
        loss_scale_factor: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        pairs = isinstance(optimizer_map, list | tuple)
        if pairs:
            optimizer_map = _Pairs(optimizer_map)
        elif not isinstance(optimizer_map, OptimizerMap) and not callable(optimizer_map):
            raise TypeError(
                "MultiOptimizer takes an OptimizerMap(default, {pattern: optimizer}), a callable "
                "from a variable to its optimizer, or pairs (optimizer, layer, variable or "
                f"pattern), got {described(optimizer_map)}."
            )
        super().__init__(name, loss_scale_factor=loss_scale_factor, **kwargs)
        self.optimizer_map = optimizer_map
        self._chosen: dict[int, tuple[Variable, Optimizer]] = {}  # by the variable's id
        self._parts: list[Optimizer] = []
        known = [] if callable(optimizer_map) else [*optimizer_map.values()]
        if isinstance(optimizer_map, OptimizerMap):
            known.append(optimizer_map.default_optimizer)
        for part in optimizer_map.optimizers if pairs else known:
            self._add(part)

    def _choose(self, variable: Variable) -> Any:
        held = self.optimizer_map
        return held[variable.path] if isinstance(held, OptimizerMap) else held(variable)

    def _add(self, part: Any) -> None:
        if not isinstance(part, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: an optimizer is expected for each variable, got "
                f"{described(part)}."
            )
        if any(part is known for known in self._parts):
            return
        if isinstance(part, Delegating) or part.loss_scale_factor is not None:
            raise ValueError(
                f"MultiOptimizer: the part {part.name!r} scales the loss or is made of parts "
                "itself. Give the MultiOptimizer the loss_scale_factor, or put it into a "
                "LossScaleOptimizer."
            )
        self._parts.append(part)

    @property
    def parts(self) -> list[Optimizer]:
        return self._parts

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, in the order in which they were given or first chosen."""
        return self._parts[:]

    @property
    def learning_rate(self) -> Any:
        """There is no one rate: each of `optimizers` has its own."""
        raise AttributeError(
            f"{self.name}: each part has a learning rate of its own. Read and set it there: "
            f"{self.name}.optimizers[0].learning_rate."
        )

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        MultiOptimizer.learning_rate.fget(self)  # type: ignore[attr-defined]

    def _grouped(self, variables: list[Variable]) -> list[tuple[Optimizer, list[int]]]:
        """The parts, each with the places of its variables."""
        strangers = [v for v in variables if id(v) not in self._chosen]
        chosen = {id(v): (v, self._choose(v)) for v in strangers}
        for _, part in chosen.values():
            self._add(part)
        self._chosen.update(chosen)
        places: dict[int, list[int]] = {id(part): [] for part in self._parts}
        for k, variable in enumerate(variables):
            places[id(self._chosen[id(variable)][1])].append(k)
        return [(part, places[id(part)]) for part in self._parts if places[id(part)]]

    def _build(self, variables: list[Variable]) -> None:
        for part, places in self._grouped(variables):
            part._ready([variables[k] for k in places])
        super()._build(variables)

    def __setstate__(self, values: dict[str, Any]) -> None:
        super().__setstate__(values)
        self._chosen = {id(pair[0]): pair for pair in self._chosen.values()}

    def _update(
        self, grads: list[Any], variables: list[Variable], proceed: Tensor | None = None
    ) -> None:
        check_variables(self.name, variables)
        grads, variables = self._matched(grads, variables)
        if self._declared:
            self._check_known(variables)
        elif any(id(v) not in self._chosen for v in variables):
            self._build(variables)
        with undone_on_error([*self.variables, *variables]):
            if self.loss_scale_factor is not None:
                grads = record(_unscale, (), [self.loss_scale_factor, *grads])
            for part, places in self._grouped(variables):
                part._update([grads[k] for k in places], [variables[k] for k in places], proceed)
            self._step.assign_add(1 if proceed is None else proceed)

    def get_config(self) -> dict[str, Any]:
        held = self.optimizer_map
        if not isinstance(held, OptimizerMap):
            raise NotImplementedError(
                f"{self.name}: only an OptimizerMap can be written as a config, not "
                f"{described(held)}. Choose by patterns of paths to save this optimizer."
            )
        return {
            "name": self.name,
            "optimizer_map": lookup.serialize(held),
            "loss_scale_factor": self.loss_scale_factor,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        held = lookup.deserialize(config["optimizer_map"], custom_objects)
        return cls(**{**config, "optimizer_map": held})


class _Pairs:
    """(optimizer, what it trains): a function from a variable to its optimizer."""

    def __init__(self, pairs: Any) -> None:
        self.pairs = []
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise TypeError(
                    "MultiOptimizer: pairs (optimizer, layer, variable or pattern) are expected, "
                    f"got {described(pair)}."
                )
            optimizer, whose = pair
            self.pairs.append((lookup.get(optimizer), whose))
        self.optimizers = [optimizer for optimizer, _ in self.pairs]
        for _, whose in self.pairs:
            for one in whose if isinstance(whose, list | tuple) else [whose]:
                if not (one is None or isinstance(one, str | Variable) or hasattr(one, "weights")):
                    raise TypeError(
                        "MultiOptimizer: an optimizer trains layers, variables or patterns of "
                        f"paths, got {described(one)}."
                    )

    def __call__(self, variable: Variable) -> Optimizer:
        found = [o for o, whose in self.pairs if whose is not None and _is_of(variable, whose)]
        if len(found) > 1:
            raise ValueError(
                f"MultiOptimizer: the variable {variable.path!r} is trained by several optimizers: "
                f"{[o.name for o in found]}. Give it to one."
            )
        rest = [o for o, whose in self.pairs if whose is None]
        if not found and len(rest) != 1:
            raise ValueError(
                f"MultiOptimizer: no optimizer was given for the variable {variable.path!r}. Add "
                "a pair (optimizer, None) for all others, or set the layer's trainable to False."
            )
        return (found or rest)[0]


def _is_of(variable: Variable, whose: Any) -> bool:
    if isinstance(whose, list | tuple):
        return any(_is_of(variable, one) for one in whose)
    if isinstance(whose, str):
        return re.search(whose, variable.path) is not None
    if isinstance(whose, Variable):
        return variable is whose
    return any(variable is weight for weight in whose.weights)
