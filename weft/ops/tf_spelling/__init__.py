"""Operations in TensorFlow's spelling, where its arguments or their order are not Keras's.

`weft.tf` lists these beside what has the same signature on both sides. Argument names are
TensorFlow's (`name` is accepted and has no use). The dtypes are weft's: what is int64 there is
int32 here, unless JAX's 64-bit mode is on.
"""
