"""The sources of a recording once it is known how they bleed: filters over several frames, and a mask after them."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.blocks import frequency_blocks

# Of the energy at a frequency; sources never hold much more than the microphones.
_MOST_GROWTH = 4.0
_RESIDUAL = 10 ** (-30 / 10)


def filtered(z: Tensor, gains: Tensor) -> Tensor:
    """``Σ_j Σ_l gains_jl z_j(t - l)`` of spectra (freqs, sources, frames) and gains (freqs, sources, taps)."""
    parts = gains.mT @ z
    out = parts[:, 0]
    for tap in range(1, min(parts.shape[1], z.shape[2])):
        out[:, tap:] += parts[:, tap, :-tap]
    return out


def separate(x: Tensor, gains: Tensor) -> Tensor:
    """Own-microphone images of microphones x (freqs, mics, frames): ``z = x - gains * z``, frame after frame.

    ``gains`` (freqs, mics, mics, taps) are the filters from each source's own microphone to the others, zero on the
    diagonal. At a frequency where the recursion would grow, the microphones come back.
    """
    out = torch.empty_like(x)
    # The filters are read for every frame: those of a block stay in the cache of a core.
    for rows in frequency_blocks(gains):
        z = _recursion(x[rows], gains[rows])
        power = [part.abs().square().sum((1, 2)) for part in (z, x[rows])]
        out[rows] = torch.where((power[0] <= _MOST_GROWTH * power[1])[:, None, None], z, x[rows])
    return out


def mask_residual(z: Tensor, attenuation_db: float) -> Tensor:
    """Outputs z (freqs, sources, frames), attenuated where the others are so loud that what is heard may be theirs.

    The Wiener gain ``|z_k|² / (|z_k|² + ρ Σ_j≠k |z_j|²)``, but no less than ``-attenuation_db``: of a source -30 dB
    are taken to be left in the others, by reverberation that outlasts the filters and by what moves.
    """
    power = z.real**2 + z.imag**2
    residual = _RESIDUAL * (power.sum(1, keepdim=True) - power).clamp_min(0)
    gain = power / (power + residual).clamp_min(torch.finfo(power.dtype).tiny)
    return z * gain.clamp_min(10 ** (-attenuation_db / 20))


def _recursion(x, gains):
    n_mics, taps = gains.shape[1], gains.shape[3]
    instant = torch.linalg.inv(gains[..., 0] + torch.eye(n_mics, dtype=x.dtype, device=x.device))
    frames = (instant @ x).movedim(2, 0)[..., None].contiguous()
    # What a microphone does not record, its source is not there.
    is_open = (x != 0).movedim(2, 0)[..., None]
    late = instant @ gains[..., 1:].movedim(3, 2).flatten(2)
    past = x.new_zeros(len(x), (taps - 1) * n_mics, 1)
    for t in range(len(frames)):
        frames[t] = is_open[t] * (frames[t] - late @ past)
        past = torch.cat([frames[t], past], dim=1)[:, : past.shape[1]]
    return frames[..., 0].movedim(0, 2)
