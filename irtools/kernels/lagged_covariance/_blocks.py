"""Lagged covariances on a processor: real matrix products, which use the symmetry, for a block of frequencies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

# Complex numbers in a stack: fewer fit in a nearer cache, but cost more calls of the matrix product.
_VALUES_AT_ONCE = 1 << 19
# The matrix product is fast where the number of its rows is a multiple of this.
_ROWS = 8


def lagged_covariance(z: Tensor, x: Tensor, weights: Tensor, taps: int, every: int) -> tuple[Tensor, Tensor]:
    freqs = max(1, _VALUES_AT_ONCE // max(1, z[0:1, :, ::every].numel() * taps))
    parts = zip(z.split(freqs), x.split(freqs), weights.split(freqs), strict=True)
    sums = [_sums(*part, taps, every) for part in parts]
    return torch.cat([part[:, :-1, :-1] for part in sums]), torch.cat([part[:, -1, :-1] for part in sums])


def _sums(z, x, weights, taps, every):
    """``sum_t w(t) y(t) y(t)ᴴ`` of y = [b; x].

    With y = c + id and P = (c + d)(c - d)ᵀ, ``P - Pᵀ = 2(dcᵀ - cdᵀ)`` and ``P + Pᵀ + 4ddᵀ = 2(ccᵀ + ddᵀ)``: two real
    products instead of the four in a complex one, and a result that is Hermitian in every bit.
    """
    stack = _stack(z, x, (weights[:, None, None, ::every] / 2).sqrt(), taps, every)
    total, imaginary, difference = stack.unbind(1)
    p = total @ difference.mT
    q = torch.baddbmm(p, imaginary, imaginary.mT, alpha=2)
    rows = z.shape[1] * taps + 1
    p, q = p[:, :rows, :rows], q[:, :rows, :rows]
    return torch.complex(q + q.mT, p - p.mT)


def _stack(z, x, scale, taps, every):
    """Of y, scaled, what :func:`_parts` says: (freqs, 3, rows, frames), with unused rows at the end."""
    freqs, sources, frames = z.shape
    rows, wanted = sources * taps, scale.shape[-1]
    # Whole steps of ``every`` frames before the first one; what lies one step apart becomes contiguous.
    first = -(-(taps - 1) // every)
    steps = pad(z, (first * every, wanted * every - frames)).unflatten(-1, (first + wanted, every))
    z, x = _parts(steps.mT.contiguous()), _parts(x[:, None, ::every])
    stack = z.new_empty(freqs, 3, -(-(rows + 1) // _ROWS) * _ROWS, wanted)
    lagged = stack[:, :, :rows].unflatten(2, (sources, taps))
    for lag in range(taps):
        start, phase = divmod(first * every - lag, every)
        torch.mul(z[:, :, :, phase, start : start + wanted], scale, out=lagged[:, :, :, lag])
    torch.mul(x, scale, out=stack[:, :, rows : rows + 1])
    return stack


def _parts(values):
    """The sum of real and imaginary parts, the imaginary parts, the difference."""
    real, imaginary = values.real, values.imag
    return torch.stack([real + imaginary, imaginary, real - imaginary], dim=1)
