"""A mask for the bleed that a linear filter leaves, as long reverberation does."""

from __future__ import annotations

from torch import Tensor


def mask_residual(z: Tensor, residual_db: float) -> Tensor:
    """Outputs attenuated where the others are so loud that what is heard may be their residual.

    Parameters
    ----------
    z : Tensor, shape (freqs, sources, frames), complex
        Own-microphone images.
    residual_db : float
        Level of the other sources that an output is taken to hold, below their own in dB; negative.

    Returns
    -------
    Tensor, like ``z``

    Notes
    -----
    The Wiener gain ``|z_n|² / (|z_n|² + ρ Σ_j≠n |z_j|²)``, ``ρ = 10^(residual_db/10)``: it is at least 1/2 wherever the
    source is no further below the others than ``residual_db``.

    Examples
    --------
    >>> import torch
    >>> mask_residual(torch.tensor([[[1.0 + 0j], [0.01 + 0j]]]), -40.0).abs().flatten().tolist()
    [1.0, 0.004999999888241291]
    """
    power = z.real**2 + z.imag**2
    residual = 10 ** (residual_db / 10) * (power.sum(1, keepdim=True) - power).clamp_min(0)
    return z * (power / (power + residual + 1e-30))
