"""Complex numbers in Triton, which has none."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def real_and_imaginary(values):
    # A complex64 is read as one integer of 64 bits: one load of two neighbouring floats.
    real = values.to(tl.int32).to(tl.float32, bitcast=True)
    imaginary = (values >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    return real, imaginary
