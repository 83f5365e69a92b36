"""Operations on each element: arithmetic, powers, trigonometry, comparison, logic, choice.

Arguments broadcast as in NumPy and are promoted by JAX's rules; a Python number takes the other
argument's dtype and is an input of the program, so changing it compiles nothing anew.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import ArrayOp, Tensor
from weft.engine.operators import (
    absolute,
    add,
    astype,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    equal,
    floor_divide,
    greater,
    greater_equal,
    invert,
    less,
    less_equal,
    mod,
    multiply,
    negative,
    not_equal,
    power,
    subtract,
    true_divide,
)
from weft.ops.arguments import binary_op, tensor_of, unary_op

__all__ = [
    "abs", "absolute", "add", "allclose", "angle", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctan2", "arctanh", "bitwise_and", "bitwise_invert", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "cast", "cbrt", "ceil",
    "clip", "conj", "conjugate", "cos", "cosh", "deg2rad", "divide", "divide_no_nan", "equal",
    "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "fabs", "floor", "floor_divide", "fmax",
    "fmin", "fmod", "greater", "greater_equal", "heaviside", "hypot", "imag", "isclose", "isfinite",
    "isinf", "isnan", "isneginf", "isposinf", "isreal", "left_shift", "less", "less_equal", "log",
    "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "nan_to_num", "negative",
    "not_equal", "power", "rad2deg", "real", "reciprocal", "right_shift", "round", "rsqrt",
    "saturate_cast", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square", "subtract", "tan",
    "tanh", "true_divide", "trunc", "where",
]  # fmt: skip

divide = true_divide
abs = absolute
bitwise_invert = bitwise_not = invert


def _float(fn: Any) -> Any:
    """`fn` of integers as of floats: NumPy's rounding functions keep integers, Keras's do not."""
    return lambda x: fn(x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32))


# -- powers, exponentials and logarithms --------------------------------------------------

square = unary_op(jnp.square, "square", "x².")
sqrt = unary_op(jnp.sqrt, "sqrt", "√x; NaN below zero.")
rsqrt = unary_op(_float(jax.lax.rsqrt), "rsqrt", "1 / √x.")
cbrt = unary_op(jnp.cbrt, "cbrt", "The cube root of x.")
reciprocal = unary_op(jnp.reciprocal, "reciprocal", "1 / x.")
exp = unary_op(jnp.exp, "exp", "eˣ.")
exp2 = unary_op(jnp.exp2, "exp2", "2ˣ.")
expm1 = unary_op(jnp.expm1, "expm1", "eˣ - 1, exact near zero.")
log = unary_op(jnp.log, "log", "The natural logarithm of x.")
log1p = unary_op(jnp.log1p, "log1p", "log(1 + x), exact near zero.")
log2 = unary_op(jnp.log2, "log2", "The logarithm of x to base 2.")
log10 = unary_op(jnp.log10, "log10", "The logarithm of x to base 10.")
logaddexp = binary_op(jnp.logaddexp, "logaddexp", "log(exp(x1) + exp(x2)) without overflow.")
logaddexp2 = binary_op(jnp.logaddexp2, "logaddexp2", "log2(2ˣ¹ + 2ˣ²) without overflow.")
hypot = binary_op(jnp.hypot, "hypot", "√(x1² + x2²) without overflow.")
erf = unary_op(_float(jax.lax.erf), "erf", "The error function: 2/√π ∫₀ˣ exp(-t²) dt.")
erfc = unary_op(_float(jax.lax.erfc), "erfc", "1 - erf(x).")
erfinv = unary_op(_float(jax.lax.erf_inv), "erfinv", "The inverse of erf.")

# -- trigonometry -------------------------------------------------------------------------

sin = unary_op(jnp.sin, "sin", "The sine of x radians.")
cos = unary_op(jnp.cos, "cos", "The cosine of x radians.")
tan = unary_op(jnp.tan, "tan", "The tangent of x radians.")
arcsin = unary_op(jnp.arcsin, "arcsin", "The angle in [-π/2, π/2] whose sine is x.")
arccos = unary_op(jnp.arccos, "arccos", "The angle in [0, π] whose cosine is x.")
arctan = unary_op(jnp.arctan, "arctan", "The angle in (-π/2, π/2) whose tangent is x.")
arctan2 = binary_op(jnp.arctan2, "arctan2", "The angle of the point (x2, x1), in [-π, π].")
sinh = unary_op(jnp.sinh, "sinh", "The hyperbolic sine.")
cosh = unary_op(jnp.cosh, "cosh", "The hyperbolic cosine.")
tanh = unary_op(jnp.tanh, "tanh", "The hyperbolic tangent.")
arcsinh = unary_op(jnp.arcsinh, "arcsinh", "The inverse of sinh.")
arccosh = unary_op(jnp.arccosh, "arccosh", "The inverse of cosh, for x ≥ 1.")
arctanh = unary_op(jnp.arctanh, "arctanh", "The inverse of tanh, for |x| < 1.")
sinc = unary_op(jnp.sinc, "sinc", "sin(πx) / (πx), 1 at zero.")
deg2rad = unary_op(jnp.deg2rad, "deg2rad", "Degrees in radians.")
rad2deg = unary_op(jnp.rad2deg, "rad2deg", "Radians in degrees.")
angle = unary_op(jnp.angle, "angle", "The argument of a complex number, in radians.")
real = unary_op(jnp.real, "real", "The real part.")
imag = unary_op(jnp.imag, "imag", "The imaginary part.")
conjugate = conj = unary_op(jnp.conjugate, "conjugate", "The complex conjugate.")

# -- rounding and signs -------------------------------------------------------------------

fabs = unary_op(_float(jnp.abs), "fabs", "|x|, as a float.")
sign = unary_op(jnp.sign, "sign", "-1, 0 or 1, the sign of x.")
signbit = unary_op(jnp.signbit, "signbit", "Whether the sign bit of x is set.")
floor = unary_op(_float(jnp.floor), "floor", "The largest whole number not above x.")
ceil = unary_op(_float(jnp.ceil), "ceil", "The smallest whole number not below x.")
trunc = unary_op(jnp.trunc, "trunc", "x without its fraction, towards zero.")
_round = ArrayOp(lambda x, *, decimals: jnp.round(x, decimals), "round")


def round(x: Any, decimals: int = 0) -> Tensor:
    """`x` to that many decimals, halves to the even neighbour."""
    return _round(x, decimals=decimals)


# -- two arguments ------------------------------------------------------------------------

maximum = binary_op(jnp.maximum, "maximum", "The larger of each pair; NaN if either is.")
minimum = binary_op(jnp.minimum, "minimum", "The smaller of each pair; NaN if either is.")
fmax = binary_op(jnp.fmax, "fmax", "The larger of each pair; a NaN counts as missing.")
fmin = binary_op(jnp.fmin, "fmin", "The smaller of each pair; a NaN counts as missing.")
fmod = binary_op(jnp.fmod, "fmod", "The remainder of division towards zero; the sign is x1's.")
heaviside = binary_op(jnp.heaviside, "heaviside", "0 below zero, 1 above, x2 where x1 is zero.")
left_shift = bitwise_left_shift = binary_op(jnp.left_shift, "left_shift", "x1 · 2ˣ² on integers.")
right_shift = bitwise_right_shift = binary_op(
    jnp.right_shift, "right_shift", "x1 / 2ˣ² on integers, rounded down."
)


def _divide_no_nan(x1: Any, x2: Any) -> Any:
    # The inner choice keeps the gradient finite where the outer one drops the quotient.
    zero = x2 == 0
    return jnp.where(zero, 0, jnp.true_divide(x1, jnp.where(zero, 1, x2)))


divide_no_nan = binary_op(_divide_no_nan, "divide_no_nan", "x1 / x2, and 0 where x2 is zero.")

_clip = ArrayOp(lambda x, low, high: jnp.clip(x, low, high), "clip")
_clip_low = ArrayOp(lambda x, low: jnp.clip(x, low, None), "clip")
_clip_high = ArrayOp(lambda x, high: jnp.clip(x, None, high), "clip")


def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """`x` with values below `x_min` raised to it and values above `x_max` lowered to it.

    Args:
        x: a tensor.
        x_min, x_max: numbers or tensors that broadcast with x; None for no bound.
    """
    if x_min is None:
        return tensor_of(x) if x_max is None else _clip_high(x, x_max)
    return _clip_low(x, x_min) if x_max is None else _clip(x, x_min, x_max)


# -- comparison and logic -----------------------------------------------------------------

isnan = unary_op(jnp.isnan, "isnan", "Whether x is NaN.")
isinf = unary_op(jnp.isinf, "isinf", "Whether x is ∞ or -∞.")
isposinf = unary_op(jnp.isposinf, "isposinf", "Whether x is ∞.")
isneginf = unary_op(jnp.isneginf, "isneginf", "Whether x is -∞.")
isfinite = unary_op(jnp.isfinite, "isfinite", "Whether x is neither infinite nor NaN.")
isreal = unary_op(jnp.isreal, "isreal", "Whether x has no imaginary part.")
logical_not = unary_op(jnp.logical_not, "logical_not", "Whether x is zero or False.")
logical_and = binary_op(jnp.logical_and, "logical_and", "Whether both are true.")
logical_or = binary_op(jnp.logical_or, "logical_or", "Whether one or both are true.")
logical_xor = binary_op(jnp.logical_xor, "logical_xor", "Whether one is true and not the other.")
_isclose = ArrayOp(
    lambda x1, x2, rtol, atol, *, equal_nan: jnp.isclose(x1, x2, rtol, atol, equal_nan), "isclose"
)
_allclose = ArrayOp(
    lambda x1, x2, rtol, atol, *, equal_nan: jnp.allclose(x1, x2, rtol, atol, equal_nan),
    "allclose",
)


def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x1 - x2| ≤ atol + rtol·|x2|, for each pair."""
    return _isclose(x1, x2, rtol, atol, equal_nan=equal_nan)


def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x1 - x2| ≤ atol + rtol·|x2| for all pairs: a scalar bool."""
    return _allclose(x1, x2, rtol, atol, equal_nan=equal_nan)


# -- choice and conversion ----------------------------------------------------------------

_where = ArrayOp(lambda condition, x1, x2: jnp.where(condition, x1, x2), "where")
_nan_to_num = ArrayOp(
    lambda x, nan, *, posinf, neginf: jnp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    "nan_to_num",
)
_saturate = ArrayOp(
    lambda x, *, dtype: jax.lax.convert_element_type(_into_range(x, dtype), dtype), "saturate_cast"
)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """`x1` where the condition holds, else `x2`.

    Args:
        condition: a bool tensor; all three broadcast.
        x1, x2: tensors or numbers; both, or neither.

    Returns:
        The choice; with neither, the indices where the condition holds, a tuple of one int32
        tensor for each axis (their length depends on values, so the condition is computed).
    """
    if x1 is None and x2 is None:
        # Its result has a shape that only the values know.
        from weft.ops.shaping import nonzero  # shaping stands on this module

        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where: give both x1 and x2, or neither.")
    return _where(condition, x1, x2)


def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """`x` with NaN replaced by `nan`, and infinities by the given or the largest finite numbers."""
    return _nan_to_num(x, nan, posinf=posinf, neginf=neginf)


def cast(x: Any, dtype: Any) -> Tensor:
    """`x` with another dtype; `x` itself if it has that one."""
    return astype(x, dtype)


def _into_range(x: Any, dtype: Any) -> Any:
    whole = jnp.issubdtype(dtype, jnp.integer)
    if not whole and not jnp.issubdtype(dtype, jnp.floating):
        return x
    info: Any = jnp.iinfo(dtype) if whole else jnp.finfo(dtype)
    if jnp.issubdtype(x.dtype, jnp.integer):
        own = jnp.iinfo(x.dtype)
        low, high = int(max(info.min, own.min)), int(min(info.max, own.max))
        return jnp.clip(x, low, high)
    # The largest integer rounded up to a float would be out of range again.
    high = np.asarray(info.max, x.dtype)
    if float(high) > float(info.max):
        high = np.nextafter(high, np.asarray(0, x.dtype))
    return jnp.clip(x, np.asarray(info.min, x.dtype), high)


def saturate_cast(x: Any, dtype: Any) -> Tensor:
    """`x` cast to `dtype`, with values beyond its range set to the range's ends."""
    return _saturate(x, dtype=astype(0, dtype).dtype)
