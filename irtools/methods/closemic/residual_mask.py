"""A mask for the bleed that a linear filter leaves, as long reverberation does."""

from __future__ import annotations

from torch import Tensor


def mask_residual(z: Tensor, residual_db: float) -> Tensor:
    """Outputs z (freqs, sources, frames) attenuated where the others are so loud that what is heard may be theirs.

    The Wiener gain ``|z_n|² / (|z_n|² + ρ Σ_j≠n |z_j|²)``, ``ρ = 10^(residual_db/10)``: it is at least 1/2 wherever the
    source is no further below the others than ``residual_db``.
    """
    power = z.real**2 + z.imag**2
    residual = 10 ** (residual_db / 10) * (power.sum(1, keepdim=True) - power).clamp_min(0)
    return z * (power / (power + residual + 1e-30))
