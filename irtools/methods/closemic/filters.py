"""Bleed filters over several frames, and the sources of a recording once the filters are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Complex values of all delayed sources at a time: they stay in the cache of a core.
_VALUES_AT_ONCE = 1 << 16
_MOST_SWEEPS, _SETTLED = 12, 1e-6


def delayed(z: Tensor, taps: int) -> Tensor:
    """Spectra (freqs, sources, frames) delayed by 0 to ``taps - 1`` frames: (freqs, sources, taps, frames)."""
    out = z.new_zeros(*z.shape[:2], taps, z.shape[2])
    for tap in range(min(taps, z.shape[2])):
        out[:, :, tap, tap:] = z[:, :, : z.shape[2] - tap]
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
        """Own-microphone images of microphones (freqs, mics, frames): ``z = x - gains * z``, solved by sweeps.

        What the filters are not sure of is masked by at most ``attenuation_db``: the gain is
        ``|z_k|² / (|z_k|² + Σ_jl variance[k, j, l] |z_j(t - l)|²)``.
        """
        out = torch.empty_like(x)
        for rows in self.blocks(x):
            z, late = self._solve(x[rows], rows)
            if attenuation_db:
                unsure = self.variance[rows].flatten(2) @ (late.real**2 + late.imag**2).flatten(1, 2)
                power = z.real**2 + z.imag**2
                mask = power / (power + unsure).clamp_min(torch.finfo(power.dtype).tiny)
                z = z * mask.clamp_min(10 ** (-attenuation_db / 20))
            out[rows] = z
        return out

    def levels(self, z: Tensor) -> Tensor:
        """Level of each source at each microphone relative to that at its own, over all frequencies: (mics, mics)."""
        heard = own = 0
        for rows in self.blocks(z):
            late = delayed(z[rows], self.gains.shape[-1])
            own = own + late[:, :, 0].abs().square().sum((0, 2), dtype=torch.float64)
            image = self.gains[rows].transpose(1, 2) @ late
            heard = heard + image.abs().square().sum((0, 3), dtype=torch.float64).T
        levels = (heard / own.clamp_min(torch.finfo(own.dtype).tiny)).sqrt()
        return levels.fill_diagonal_(1).to(z.real.dtype)

    def blocks(self, x: Tensor) -> list[slice]:
        """Ranges of frequencies whose delayed sources fit into the cache."""
        size = max(1, _VALUES_AT_ONCE // (self.gains.shape[-1] * max(1, x.shape[1:].numel())))
        return [slice(start, start + size) for start in range(0, len(x), size)]

    def _solve(self, x, rows):
        """The sources and their delayed copies; sweeps end when they no longer change, or no longer less."""
        taps = self.gains.shape[-1]
        gains = self.gains[rows].flatten(2)
        late = delayed(x, taps)
        moved = torch.inf
        total = x.abs().square().sum().clamp_min(torch.finfo(x.real.dtype).tiny)
        for _ in range(_MOST_SWEEPS):
            before = late[:, :, 0].clone()
            for k in self.order:
                z = x[:, k] - (gains[:, k : k + 1] @ late.flatten(1, 2))[:, 0]
                late[:, k] = delayed(z[:, None], taps)[:, 0]
            change = float((late[:, :, 0] - before).abs().square().sum() / total)
            if change > moved:
                late = delayed(before, taps)
                break
            moved = change
            if change < _SETTLED:
                break
        return late[:, :, 0].clone(), late
