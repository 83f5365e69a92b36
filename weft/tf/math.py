"""tf.math: arithmetic, reductions, comparison."""

from weft.engine.names import unknown
from weft.ops import (
    abs,
    add,
    angle,
    bincount,
    ceil,
    conj,
    cos,
    cosh,
    divide,
    divide_no_nan,
    equal,
    erf,
    erfc,
    erfinv,
    exp,
    expm1,
    floor,
    greater,
    greater_equal,
    imag,
    in_top_k,
    less,
    less_equal,
    log,
    log1p,
    log_sigmoid,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    not_equal,
    real,
    reciprocal,
    round,
    rsqrt,
    segment_max,
    segment_min,
    segment_sum,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    top_k,
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
    isfinite as is_finite,
)
from weft.ops import (
    isinf as is_inf,
)
from weft.ops import (
    isnan as is_nan,
)
from weft.ops import (
    mod as floormod,
)
from weft.ops import (
    power as pow,
)
from weft.ops import (
    round as rint,
)
from weft.ops import (
    segment_sum as unsorted_segment_sum,
)
from weft.ops import (
    true_divide as truediv,
)
from weft.ops.tf_spelling.maths import (
    add_n,
    argmax,
    argmin,
    count_nonzero,
    cumprod,
    cumsum,
    reduce_all,
    reduce_any,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_std,
    reduce_sum,
    reduce_variance,
    squared_difference,
)
from weft.ops.tf_spelling.networks import (
    l2_normalize,
    log_softmax,
    softmax,
)

__all__ = [
    "abs", "acos", "acosh", "add", "add_n", "angle", "argmax", "argmin", "asin", "asinh", "atan",
    "atan2", "atanh", "bincount", "ceil", "conj", "cos", "cosh", "count_nonzero", "cumprod",
    "cumsum", "divide", "divide_no_nan", "equal", "erf", "erfc", "erfinv", "exp", "expm1", "floor",
    "floordiv", "floormod", "greater", "greater_equal", "imag", "in_top_k", "is_finite", "is_inf",
    "is_nan", "l2_normalize", "less", "less_equal", "log", "log1p", "log_sigmoid", "log_softmax",
    "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod",
    "multiply", "negative", "not_equal", "pow", "real", "reciprocal", "reduce_all", "reduce_any",
    "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_std",
    "reduce_sum", "reduce_variance", "rint", "round", "rsqrt", "segment_max", "segment_min",
    "segment_sum", "sigmoid", "sign", "sin", "sinh", "softmax", "softplus", "sqrt", "square",
    "squared_difference", "subtract", "tan", "tanh", "top_k", "truediv", "unsorted_segment_sum",
]  # fmt: skip


def __getattr__(name):
    raise unknown(__name__, name, __all__)
