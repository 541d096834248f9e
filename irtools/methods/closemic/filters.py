"""Bleed filters over several frames, and the sources of a recording once the filters are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Values of the filters that are read for every frame: they stay in the cache of a core.
_VALUES_AT_ONCE = 1 << 17
# Of the energy at a frequency; sources never hold much more than the microphones.
_MOST_GROWTH = 4.0


def filtered(z: Tensor, gains: Tensor) -> Tensor:
    """``Σ_j Σ_l gains_jl z_j(t - l)`` of spectra (freqs, sources, frames) and gains (freqs, sources, taps)."""
    parts = gains.mT @ z
    out = parts[:, 0]
    for tap in range(1, min(parts.shape[1], z.shape[2])):
        out[:, tap:] += parts[:, tap, :-tap]
    return out


@dataclass(frozen=True)
class BleedFilters:
    """Filters from each source's own microphone to the others, known up to a variance.

    Attributes
    ----------
    gains : Tensor, shape (freqs, mics, mics, taps), complex
        ``x_k(t) = z_k(t) + Σ_j Σ_l gains[k, j, l] z_j(t - l)``; zero on the diagonal.
    variance : Tensor, same shape, real
        Posterior variances of the gains.
    order : list of int
        In which the microphones are taken.
    """

    gains: Tensor
    variance: Tensor
    order: list[int]

    def separate(self, x: Tensor, attenuation_db: float = 0.0) -> Tensor:
        """Own-microphone images of microphones (freqs, mics, frames): ``z = x - gains * z``, frame after frame.

        What the filters are not sure of is masked by at most ``attenuation_db``: the gain is
        ``|z_k|² / (|z_k|² + Σ_jl variance[k, j, l] |z_j(t - l)|²)``.
        """
        out = torch.empty_like(x)
        size = max(1, _VALUES_AT_ONCE // self.gains.shape[1:].numel())
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            z = self._recursion(x[rows], self.gains[rows])
            if attenuation_db:
                power = z.real**2 + z.imag**2
                unsure = torch.stack([filtered(power, self.variance[rows, k]) for k in range(x.shape[1])], 1)
                mask = power / (power + unsure).clamp_min(torch.finfo(power.dtype).tiny)
                z = z * mask.clamp_min(10 ** (-attenuation_db / 20))
            out[rows] = z
        return out

    def _recursion(self, x, gains):
        """Frame by frame, with the sources of the frames before; where that would grow, the microphones."""
        n_mics, taps = gains.shape[1], gains.shape[3]
        instant = torch.linalg.inv(gains[..., 0] + torch.eye(n_mics, dtype=x.dtype, device=x.device))
        late = instant @ gains[..., 1:].movedim(3, 2).flatten(2) if taps > 1 else None
        frames = (instant @ x).movedim(2, 0)[..., None].contiguous()
        # What a microphone does not record, its source is not there.
        is_open = (x != 0).movedim(2, 0)[..., None]
        past = x.new_zeros(len(x), (taps - 1) * n_mics, 1)
        for t in range(len(frames)) if taps > 1 else ():
            frames[t] = is_open[t] * (frames[t] - late @ past)
            past = torch.cat([frames[t], past[:, :-n_mics]], dim=1)
        z = frames[..., 0].movedim(0, 2)
        power = [part.abs().square().sum((1, 2)) for part in (z, x)]
        return torch.where((power[0] <= _MOST_GROWTH * power[1])[:, None, None], z, x)
