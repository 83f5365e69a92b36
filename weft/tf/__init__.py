"""The TensorFlow spelling of weft: `from weft import tf` in place of `import tensorflow as tf`."""

from numpy import (
    dtype as DType,
)
from numpy import (
    newaxis,
)

from weft.data import (
    TensorSpec,
)
from weft.engine import (
    GradientTape,
    Tensor,
    UnconnectedGradients,
    Variable,
    as_dtype,
    custom_gradient,
    recompute_grad,
    vectorized_map,
    while_loop,
)
from weft.engine import (
    Shape as TensorShape,
)
from weft.engine.names import unknown
from weft.initializers import (
    Constant as constant_initializer,
)
from weft.initializers import (
    Ones as ones_initializer,
)
from weft.initializers import (
    RandomNormal as random_normal_initializer,
)
from weft.initializers import (
    RandomUniform as random_uniform_initializer,
)
from weft.initializers import (
    Zeros as zeros_initializer,
)
from weft.ops import (
    abs,
    add,
    cos,
    cosh,
    divide,
    einsum,
    equal,
    exp,
    floor,
    greater,
    greater_equal,
    is_tensor,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    meshgrid,
    minimum,
    multiply,
    negative,
    not_equal,
    ones,
    ones_like,
    round,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    tensordot,
    zeros,
    zeros_like,
)
from weft.ops import (
    arccos as acos,
)
from weft.ops import (
    arccosh as acosh,
)
from weft.ops import (
    arcsin as asin,
)
from weft.ops import (
    arcsinh as asinh,
)
from weft.ops import (
    arctan as atan,
)
from weft.ops import (
    arctan2 as atan2,
)
from weft.ops import (
    arctanh as atanh,
)
from weft.ops import (
    floor_divide as floordiv,
)
from weft.ops import (
    power as pow,
)
from weft.ops import (
    true_divide as truediv,
)
from weft.ops.tf_spelling.dtypes import (
    bfloat16,
    bool,
    complex64,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from weft.ops.tf_spelling.flow import (
    cond,
    executing_eagerly,
    function,
    map_fn,
    scan,
    switch_case,
)
from weft.ops.tf_spelling.maths import (
    add_n,
    argmax,
    argmin,
    cast,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    cumsum,
    identity,
    matmul,
    norm,
    reduce_all,
    reduce_any,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    stop_gradient,
)
from weft.ops.tf_spelling.shapes import (
    argsort,
    boolean_mask,
    broadcast_to,
    concat,
    constant,
    convert_to_tensor,
    expand_dims,
    eye,
    fill,
    gather,
    gather_nd,
    linspace,
    one_hot,
    pad,
    range,
    rank,
    repeat,
    reshape,
    reverse,
    roll,
    scatter_nd,
    shape,
    size,
    slice,
    sort,
    split,
    squeeze,
    stack,
    tensor_scatter_nd_add,
    tensor_scatter_nd_update,
    tile,
    transpose,
    unstack,
    where,
)
from weft.tf import (
    config,
    data,
    dtypes,
    keras,
    linalg,
    math,
    nn,
    random,
)
from weft.tf.keras import (
    initializers,
    losses,
    metrics,
    optimizers,
)

__all__ = [
    "DType", "GradientTape", "Tensor", "TensorShape", "TensorSpec", "UnconnectedGradients",
    "Variable", "abs", "acos", "acosh", "add", "add_n", "argmax", "argmin", "argsort", "as_dtype",
    "asin", "asinh", "atan", "atan2", "atanh", "bfloat16", "bool", "boolean_mask", "broadcast_to",
    "cast", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "complex64", "concat", "cond",
    "config", "constant", "constant_initializer", "convert_to_tensor", "cos", "cosh", "cumsum",
    "custom_gradient", "data", "divide", "dtypes", "einsum", "equal", "executing_eagerly", "exp",
    "expand_dims", "eye", "fill", "float16", "float32", "float64", "floor", "floordiv", "function",
    "gather", "gather_nd", "greater", "greater_equal", "identity", "initializers", "int16", "int32",
    "int64", "int8", "is_tensor", "keras", "less", "less_equal", "linalg", "linspace",
    "logical_and", "logical_not", "logical_or", "losses", "map_fn", "math", "matmul", "maximum",
    "meshgrid", "metrics", "minimum", "multiply", "negative", "newaxis", "nn", "norm", "not_equal",
    "one_hot", "ones", "ones_initializer", "ones_like", "optimizers", "pad", "pow", "random",
    "random_normal_initializer", "random_uniform_initializer", "range", "rank", "recompute_grad",
    "reduce_all", "reduce_any", "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min",
    "reduce_prod", "reduce_sum", "repeat", "reshape", "reverse", "roll", "round", "scan",
    "scatter_nd", "shape", "sigmoid", "sign", "sin", "sinh", "size", "slice", "sort", "split",
    "sqrt", "square", "squeeze", "stack", "stop_gradient", "subtract", "switch_case", "tan", "tanh",
    "tensor_scatter_nd_add", "tensor_scatter_nd_update", "tensordot", "tile", "transpose",
    "truediv", "uint16", "uint32", "uint64", "uint8", "unstack", "vectorized_map", "where",
    "while_loop", "zeros", "zeros_initializer", "zeros_like",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
