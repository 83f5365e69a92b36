"""Operations: pure JAX functions with a name, lifted so that a call records a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from weft.engine.errors import ShapeError, ValueNeededError
from weft.engine.spec import Spec, spec
from weft.engine.tensor import ArrayLike, as_tensor, holds_tensor
from weft.engine.trace import record

__all__ = ["ArrayOp", "Instr", "Op"]


class Instr:
    """An operation with its static parameters and operand specs: what a node points at.

    `fn` takes the operands' arrays and returns a tuple of arrays. `gradient` is set on the nodes
    that tapes make (see `weft.engine.gradient`). `params` are kept to tell what changed, `run` says
    whether pending work has had it.
    """

    __slots__ = (
        "_jitted",
        "differentiable",
        "fn",
        "gradient",
        "in_specs",
        "name",
        "out_specs",
        "params",
        "run",
        "single",
        "tree",
    )

    def __init__(
        self,
        name: str,
        fn: Callable[..., tuple[Any, ...]],
        in_specs: tuple[Spec, ...],
        out_specs: tuple[Spec, ...],
        *,
        tree: Any = None,
        single: bool = False,
        differentiable: bool = True,
        gradient: Any = None,
        params: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        self.name = name
        self.fn = fn
        self.in_specs = in_specs
        self.out_specs = out_specs
        self.tree = tree
        self.single = out_specs[0] if single else None
        self.differentiable = differentiable
        self.gradient = gradient
        self.params = params
        self.run = False
        self._jitted: Any = None

    @property
    def jitted(self) -> Callable[..., tuple[Any, ...]]:
        """`fn` compiled by itself, for running op by op."""
        if self._jitted is None:
            self._jitted = jax.jit(self.fn)
        return self._jitted

    def unflatten(self, flat: list[Any]) -> Any:
        """The outputs in the structure that the operation returns them in."""
        return tuple(flat) if self.tree is None else jax.tree.unflatten(self.tree, flat)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.in_specs))})"


# Keyword arguments of these types are static without a further look.
_PLAIN = frozenset([int, float, bool, str, bytes, type(None), type])


class Op:
    """A pure JAX function that weft records.

    Positional arguments are the operands: tensors, variables, arrays, numbers, or nests of them.
    Keyword arguments are static parameters (hashable), unless they hold a tensor.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        *,
        differentiable: bool = True,
    ) -> None:
        self.fn = fn
        self.name = name or getattr(fn, "__name__", "op").strip("_<>")
        self.differentiable = differentiable
        self.instrs: dict[tuple[Any, ...], Instr] = {}
        self.shaped: dict[Any, Op] = {}  # (structure, static leaves) -> op on flat operands
        self.static: tuple[tuple[str, Any], ...] = ()  # of an op on flat operands: those leaves
        self.__doc__ = getattr(fn, "__doc__", None)
        self.__name__ = self.name
        self.__wrapped__ = fn

    def __call__(self, *operands: Any, **params: Any) -> Any:
        for value in params.values():
            if value.__class__ not in _PLAIN and not _static(value):
                return self._structured(operands, params)
        for value in operands:
            if value.__class__ in _STRUCTURED:
                return self._structured(operands, params)
        return record(self, tuple(params.items()), operands)

    def _structured(self, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """A call with nests, tensors by keyword, or static positional arguments."""
        # A list of nothing but numbers is an array; what holds tensors is a nest.
        operands = jax.tree.map(
            lambda x: as_tensor(x) if _numbers(x) else x, operands, is_leaf=_numbers
        )
        leaves, tree = jax.tree.flatten((operands, params), is_leaf=lambda x: x is None)
        dynamic = [_dynamic(leaf) for leaf in leaves]
        # A keyword's plain number is static; a positional one is an operand.
        first_param = len(jax.tree.leaves(operands, is_leaf=lambda x: x is None))
        for i in range(first_param, len(leaves)):
            dynamic[i] = dynamic[i] and leaves[i].__class__ not in _PLAIN
        static = tuple(None if d else leaf for d, leaf in zip(dynamic, leaves, strict=True))
        key = (tree, tuple(dynamic), static)
        try:
            flat_op = self.shaped.get(key)
        except TypeError as error:
            raise TypeError(
                f"weft.op {self.name!r}: a static argument must be hashable, got "
                f"{[type(s).__name__ for s in static if s is not None]}. Pass arrays as "
                "positional arguments, and lists as tuples."
            ) from error
        if flat_op is None:
            fn = self.fn

            def rebuilt(*arrays: Any) -> Any:
                values = iter(arrays)
                full = [next(values) if d else s for d, s in zip(dynamic, static, strict=True)]
                args, kwargs = jax.tree.unflatten(tree, full)
                return fn(*args, **kwargs)

            flat_op = Op(rebuilt, self.name, differentiable=self.differentiable)
            pairs = zip(dynamic, static, strict=True)
            flat_op.static = tuple((f"leaf {k}", s) for k, (d, s) in enumerate(pairs, 1) if not d)
            self.shaped[key] = flat_op
        return record(
            flat_op, (), [leaf for d, leaf in zip(dynamic, leaves, strict=True) if d]
        )

    def infer(self, signature: tuple[Any, ...]) -> Instr:
        """Make and remember the instruction of a signature: (params, *operand specs)."""
        params, *specs = signature
        kwargs = dict(params)
        fn = self.fn
        trees: list[Any] = []

        def flat(*arrays: Any) -> tuple[Any, ...]:
            leaves, tree = jax.tree.flatten(fn(*arrays, **kwargs))
            trees[:] = [tree]
            return tuple(leaves)

        try:
            made = jax.eval_shape(flat, *[s.struct for s in specs])
        except (ValueNeededError, ShapeError, NotImplementedError):
            raise
        except (TypeError, ValueError, IndexError, ZeroDivisionError, AssertionError) as error:
            raise _shape_error(self.name, specs, kwargs, error) from error
        outs = tuple(spec(tuple(o.shape), o.dtype, o.weak_type) for o in made)
        tree = trees[0]
        instr = Instr(
            self.name,
            flat,
            tuple(specs),
            outs,
            tree=tree,
            single=tree == _LEAF,
            differentiable=self.differentiable,
            params=params or self.static,
        )
        self.instrs[signature] = instr
        return instr

    def __repr__(self) -> str:
        return f"<weft.op {self.name}>"


class ArrayOp(Op):
    """An operation whose operands are single arrays: a (nested) list among them becomes one."""

    def _structured(self, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if any(value.__class__ in _STRUCTURED for value in operands):
            made = [as_tensor(v) if v.__class__ in _STRUCTURED else v for v in operands]
            return self(*made, **params)
        # A static parameter is a tuple, so a list by keyword is an operand too.
        params = {k: as_tensor(v) if v.__class__ is list else v for k, v in params.items()}
        return super()._structured(operands, params)


_LEAF = jax.tree.structure(0)
_NUMBERS = frozenset([bool, int, float, complex])
_STRUCTURED = frozenset([list, tuple, dict, str, bytes, type(None)])


def _numbers(value: Any) -> bool:
    return (
        value.__class__ is list
        and bool(value)
        and all(v.__class__ in _NUMBERS or _numbers(v) for v in value)
    )


def _static(value: Any) -> bool:
    if value.__class__ is tuple and _PLAIN.issuperset(map(type, value)):
        return True  # sizes or axes, what most operations have
    if isinstance(value, ArrayLike | jax.Array) or type(value).__module__ == "numpy":
        scalar = hasattr(value, "itemsize") and not hasattr(value, "shape")
        return isinstance(value, type) or scalar
    if isinstance(value, list | dict | set):
        return False
    if isinstance(value, tuple):
        return not holds_tensor(value)
    return True


def _dynamic(leaf: Any) -> bool:
    if isinstance(leaf, ArrayLike | jax.Array | bool | int | float | complex):
        return True
    return hasattr(leaf, "__array__") and not isinstance(leaf, type)


def _shape_error(
    name: str, specs: list[Spec], params: dict[str, Any], error: Exception
) -> ShapeError:
    operands = ", ".join(f"{s.dtype.name}{list(s.shape)}" for s in specs)
    options = "".join(f", {k}={v!r}" for k, v in params.items() if not callable(v))
    reason = str(error).split("\n--")[0].strip() or type(error).__name__
    return ShapeError(f"{name}({operands}{options}): {reason}")
