"""Random projections of a recording of any length onto a fixed number of virtual frames."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from irtools.methods.powers.settings import PowerSettings
from irtools.methods.powers.spectra import fractional_power
from irtools.stft import stft


def projected_powers(
    pieces: Iterable[tuple[Tensor, Tensor | None]], settings: PowerSettings, projections: int, seed: int
) -> Tensor:
    """|Σ_t X(f, t) Q(t, r)|^α (freqs, mics, projections) in units of its mean, in memory that does not grow."""
    # One Q for all microphones: a frame keeps its weight in each, so that V ≈ ΛP holds for the projections too.
    generator, total = torch.Generator().manual_seed(seed), None
    for mics, _ in pieces:
        frames = 1 + mics.shape[1] // settings.hop
        weights = torch.randn(frames, projections, generator=generator, dtype=torch.float64).to(mics)
        for k, mic in enumerate(mics):
            spectrum = stft(mic, settings.window_size, settings.hop, settings.window)
            if total is None:
                total = spectrum.new_zeros(len(mics), projections, spectrum.shape[0])
            # One real product: the parts of a frame lie side by side in memory.
            parts = torch.view_as_real(spectrum.T).flatten(1)
            total[k] += torch.view_as_complex((weights.T @ parts).unflatten(1, (-1, 2)))
    peak = total.abs().max()
    power = fractional_power(total / torch.where(peak > 0, peak, 1), settings.alpha).permute(2, 0, 1).contiguous()
    level = power.mean()
    return power.div_(torch.where(level > 0, level, 1))
