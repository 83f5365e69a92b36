"""How values live: lazy tensors, recorded operations, cached programs, tapes, functions.

Control flow and `custom_gradient` are imported when they are first used: `import weft` is to cost
little beside `import jax`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from weft.engine import config
from weft.engine.custom_objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from weft.engine.errors import GraphError, ShapeError, ValueNeededError
from weft.engine.function import Function, function
from weft.engine.lift import op
from weft.engine.op import ArrayOp, Op
from weft.engine.random import (
    SeedGenerator,
    draw,
    global_generator,
    next_host_seed,
    set_seed,
)
from weft.engine.spec import Shape, Spec, as_dtype, spec
from weft.engine.symbolic import KerasTensor
from weft.engine.tape import GradientTape, UnconnectedGradients
from weft.engine.tensor import ArrayLike, Tensor, as_tensor, host_tensor, to_numpy
from weft.engine.trace import boundary, flush, isolated
from weft.engine.variable import (
    Variable,
    give_value,
    note_toggled,
    trainable_version,
)

# isort: split
from weft.engine import operators  # attaches the operators to tensors

if TYPE_CHECKING:
    from weft.engine.control import cond, recompute_grad, switch
    from weft.engine.custom import custom_gradient
    from weft.engine.loops import (
        associative_scan,
        fori_loop,
        map,
        scan,
        vectorized_map,
        while_loop,
    )

__all__ = [
    "ArrayLike",
    "ArrayOp",
    "CustomObjectScope",
    "Function",
    "GradientTape",
    "GraphError",
    "KerasTensor",
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
    "cond",
    "config",
    "custom_gradient",
    "custom_object_scope",
    "draw",
    "flush",
    "fori_loop",
    "function",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "give_value",
    "global_generator",
    "host_tensor",
    "isolated",
    "map",
    "next_host_seed",
    "note_toggled",
    "op",
    "operators",
    "recompute_grad",
    "register_keras_serializable",
    "scan",
    "set_seed",
    "spec",
    "switch",
    "to_numpy",
    "trainable_version",
    "vectorized_map",
    "while_loop",
]

_LATER = {
    "associative_scan": "loops",
    "cond": "control",
    "custom_gradient": "custom",
    "fori_loop": "loops",
    "map": "loops",
    "recompute_grad": "control",
    "scan": "loops",
    "switch": "control",
    "vectorized_map": "loops",
    "while_loop": "loops",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'weft.engine' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"weft.engine.{_LATER[name]}"), name)
    globals()[name] = found
    return found
