"""Dtype policies: half precision in one line."""

from weft.optimizers import LossScaleOptimizer
from weft.precision.policy import DTypePolicy, get, global_policy, set_global_policy

# Keras 3's and Keras 2's other names of the same things.
Policy = DTypePolicy
dtype_policy = global_policy
set_dtype_policy = set_global_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "get",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]
