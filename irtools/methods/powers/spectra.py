"""From microphones to the powers V that the model explains, and from masks back to waveforms."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.blocks import frequency_blocks
from irtools.methods.powers.settings import PowerSettings, in_threads
from irtools.stft import istft, stft

# A noise floor below this part of the mean power is digital silence, not noise.
_LEAST_FLOOR = 1e-6
_TINY = 1e-12


def powers(mics: Tensor, settings: PowerSettings) -> Tensor:
    """V = |X|^α (freqs, mics, frames) of microphones (mics, samples), in units of its mean over the recording."""
    # Spectra are made one microphone per thread, so that little more than V is ever in memory.
    freqs, frames = settings.window_size // 2 + 1, 1 + mics.shape[1] // settings.hop
    out = mics.new_empty(freqs, len(mics), frames)
    peak = mics.abs().max()
    scale = torch.where(peak > 0, peak, 1)

    def one(k):
        spectrum = stft(mics[k] / scale, settings.window_size, settings.hop, settings.window)
        out[:, k] = fractional_power(spectrum, settings.alpha)

    in_threads(one, range(len(mics)), mics)
    level = out.mean()
    return out.div_(torch.where(level > 0, level, 1))


def fractional_power(spectra: Tensor, alpha: float) -> Tensor:
    """|X|^α of complex spectra."""
    squares = spectra.real**2 + spectra.imag**2
    return squares if alpha == 2 else squares ** (alpha / 2)


def equaliser(power: Tensor, settings: PowerSettings) -> Tensor:
    """What each microphone is divided by (freqs or 1, mics, 1), in units of V: its noise floor, its level, or one."""
    if settings.equalise == "none":
        return power.new_ones(1, power.shape[1], 1)
    if settings.equalise == "level":
        return power.mean((0, 2), keepdim=True).clamp_min(_TINY)
    rank = 1 + round(settings.floor_quantile * (power.shape[2] - 1))
    floors = [power[block].kthvalue(rank, dim=2, keepdim=True).values for block in frequency_blocks(power)]
    # Without a lower bound a microphone that is silent for 5 % of the time would be divided by zero.
    return torch.maximum(torch.cat(floors), _LEAST_FLOOR * power.mean(2, keepdim=True)).clamp_min(_TINY)


def render_own(mics: Tensor, psd: Tensor, gains: Tensor, own_mics: list[int], settings: PowerSettings) -> Tensor:
    """Every source at its own microphone (sources, samples), by the masks w_kn = λ_kn p_n / Σ_n' λ_kn' p_n'."""
    out = mics.new_empty(len(own_mics), mics.shape[1])

    def one(n):
        spectrum = stft(mics[own_mics[n]], settings.window_size, settings.hop, settings.window)
        for block in frequency_blocks(psd):
            row = _row(gains, own_mics[n], block)
            spectrum[block] *= row[:, 0, n, None] * psd[block, n] / (row @ psd[block])[:, 0]
        out[n] = istft(spectrum, mics.shape[1], settings.window_size, settings.hop, settings.window)

    in_threads(one, range(len(own_mics)), mics)
    return out


def _row(gains, mic, block):
    """Gains to one microphone, shape (freqs of the block or 1, 1, sources)."""
    return (gains if len(gains) == 1 else gains[block])[:, mic, None]
