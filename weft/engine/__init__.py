"""How values live: lazy tensors, recorded operations, cached programs, tapes, functions."""

from weft.engine import config
from weft.engine.control import cond, recompute_grad, switch
from weft.engine.custom import custom_gradient
from weft.engine.errors import GraphError, ShapeError, ValueNeededError
from weft.engine.function import Function, function
from weft.engine.loops import associative_scan, fori_loop, map, scan, vectorized_map, while_loop
from weft.engine.op import ArrayOp, Op, op
from weft.engine.random import (
    SeedGenerator,
    draw,
    global_generator,
    next_host_seed,
    set_seed,
)
from weft.engine.spec import Shape, Spec, as_dtype, spec
from weft.engine.tape import GradientTape, UnconnectedGradients
from weft.engine.tensor import ArrayLike, Tensor, as_tensor, host_tensor, to_numpy
from weft.engine.trace import boundary, flush, isolated
from weft.engine.variable import (
    Variable,
    bump_trainable_version,
    give_value,
    trainable_version,
)

# isort: split
from weft.engine import operators  # attaches the operators to tensors

__all__ = [
    "ArrayLike",
    "ArrayOp",
    "Function",
    "GradientTape",
    "GraphError",
    "Op",
    "SeedGenerator",
    "Shape",
    "ShapeError",
    "Spec",
    "Tensor",
    "UnconnectedGradients",
    "ValueNeededError",
    "Variable",
    "as_dtype",
    "as_tensor",
    "associative_scan",
    "boundary",
    "bump_trainable_version",
    "cond",
    "config",
    "custom_gradient",
    "draw",
    "flush",
    "fori_loop",
    "function",
    "give_value",
    "global_generator",
    "host_tensor",
    "isolated",
    "map",
    "next_host_seed",
    "op",
    "operators",
    "recompute_grad",
    "scan",
    "set_seed",
    "spec",
    "switch",
    "to_numpy",
    "trainable_version",
    "vectorized_map",
    "while_loop",
]
