"""`op`: the user's own operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.engine.errors import SymbolError
from weft.engine.op import Op
from weft.engine.symbolic import call_symbolically

__all__ = ["UserOp", "op"]


class UserOp(Op):
    """An operation lifted by `weft.op`: called on symbolic tensors it becomes a node."""

    def __call__(self, *operands: Any, **params: Any) -> Any:
        try:
            return super().__call__(*operands, **params)
        except SymbolError:
            return call_symbolically(self, operands, params)


def op(fn: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
    """Lift a pure JAX function to a weft operation.

    The result takes tensors, variables, arrays and numbers where `fn` takes JAX arrays, and works
    in the plain loop, under `fit`, in `weft.function` and under tapes. `fn` may use any JAX:
    einsums, Pallas kernels, `jax.custom_vjp` functions.

    Args:
        fn: a function of JAX arrays (or nests of them) that returns an array or a nest of arrays.
            Its positional arguments are operands, numbers among them: a changed number compiles
            nothing anew. Its keyword arguments are static, unless they hold a tensor.
        name: the name in messages; the function's own by default.

    Example:
        >>> import jax.numpy as jnp, weft
        >>> outer = weft.op(lambda x, y: jnp.einsum("i,j->ij", x, y), name="outer")
        >>> outer([1.0, 2.0], [3.0, 4.0]).shape
        (2, 2)

    Raises:
        ShapeError: on a call whose shapes or dtypes `fn` refuses, at the caller's line.
    """
    if fn is None:
        return lambda function: UserOp(function, name)
    return UserOp(fn, name)
