"""From microphones to the powers V that the model explains, and from masks back to waveforms."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.blocks import frequency_blocks
from irtools.methods.powers.settings import Settings, in_threads
from irtools.stft import istft, stft

# A noise floor below this part of the mean power is digital silence, not noise.
_LEAST_FLOOR = 1e-6
_TINY = 1e-12


def powers(mics: Tensor, settings: Settings) -> Tensor:
    """V = |X|^α in units of its mean over the recording.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    settings : Settings

    Returns
    -------
    Tensor, shape (freqs, mics, frames), dtype of ``mics``
        Spectra are made one microphone a thread, so that little more than V is ever in memory.

    Examples
    --------
    >>> powers(torch.ones(2, 5000), Settings()).shape
    torch.Size([2049, 2, 5])
    """
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
    """|X|^α of complex spectra.

    Examples
    --------
    >>> fractional_power(torch.tensor([3 + 4j]), 2.0)
    tensor([25.])
    """
    squares = spectra.real**2 + spectra.imag**2
    return squares if alpha == 2 else squares ** (alpha / 2)


def equaliser(power: Tensor, settings: Settings) -> Tensor:
    """What each microphone is divided by, in units of ``power``: its noise floor, its level, or one.

    Returns
    -------
    Tensor, shape (freqs or 1, mics, 1)
        Positive also on digital silence. Masks are applied to the recording itself, so nothing has to be undone.

    Notes
    -----
    ``quantile_t v_k(f, t)``, but at least 1e-6 of ``mean_t v_k(f, t)``: without a lower bound a microphone that is
    silent for 5 % of the time would be divided by zero, as it is in public code.

    Examples
    --------
    >>> equaliser(torch.full((1, 1, 4), 3.0), Settings(equalise="floor"))
    tensor([[[3.]]])
    """
    if settings.equalise == "none":
        return power.new_ones(1, power.shape[1], 1)
    if settings.equalise == "level":
        return power.mean((0, 2), keepdim=True).clamp_min(_TINY)
    rank = 1 + round(settings.floor_quantile * (power.shape[2] - 1))
    floors = [power[block].kthvalue(rank, dim=2, keepdim=True).values for block in frequency_blocks(power)]
    return torch.maximum(torch.cat(floors), _LEAST_FLOOR * power.mean(2, keepdim=True)).clamp_min(_TINY)


def logistic(values: Tensor, slope: float, threshold: float) -> Tensor:
    """``1 / (1 + exp(-slope (values - threshold)))``.

    Examples
    --------
    >>> logistic(torch.tensor([0.6]), 20.0, 0.6)
    tensor([0.5000])
    """
    return torch.sigmoid(slope * (values - threshold))


def render_own(mics: Tensor, psd: Tensor, gains: Tensor, own_mics: list[int], settings: Settings) -> Tensor:
    """Every source at its own microphone.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    psd : Tensor, shape (freqs, sources, frames)
    gains : Tensor, shape (freqs, mics, sources) or (1, mics, sources)
    own_mics : list of int
    settings : Settings

    Returns
    -------
    Tensor, shape (sources, samples)

    Notes
    -----
    The masks ``w_kn = λ_kn p_n / Σ_n' λ_kn' p_n'`` are between 0 and 1, and one when summed over the sources, but for
    the approximate variant, whose masks are a logistic function of these.
    """
    out = mics.new_empty(len(own_mics), mics.shape[1])

    def one(n):
        spectrum = stft(mics[own_mics[n]], settings.window_size, settings.hop, settings.window)
        for block in frequency_blocks(psd):
            row = _row(gains, own_mics[n], block)
            shares = row[:, 0, n, None] * psd[block, n] / (row @ psd[block])[:, 0]
            spectrum[block] *= _final(shares, settings)
        out[n] = istft(spectrum, mics.shape[1], settings.window_size, settings.hop, settings.window)

    in_threads(one, range(len(own_mics)), mics)
    return out


def render_all(mics: Tensor, psd: Tensor, gains: Tensor, settings: Settings) -> Tensor:
    """Every source at every microphone, shape (mics, sources, samples); they add up to the microphones."""
    out = mics.new_empty(len(mics), psd.shape[1], mics.shape[1])
    for k, waveform in enumerate(mics):
        spectrum = stft(waveform, settings.window_size, settings.hop, settings.window)
        images = spectrum.new_empty(psd.shape[1], *spectrum.shape)
        for block in frequency_blocks(psd):
            parts = _row(gains, k, block).mT * psd[block]
            shares = _final(parts / parts.sum(1, keepdim=True), settings)
            images[:, block] = shares.transpose(0, 1) * spectrum[block]
        out[k] = istft(images, mics.shape[1], settings.window_size, settings.hop, settings.window)
    return out


def _row(gains, mic, block):
    """Gains to one microphone, shape (freqs of the block or 1, 1, sources)."""
    return (gains if len(gains) == 1 else gains[block])[:, mic, None]


def _final(shares, settings):
    return logistic(shares, settings.slope, settings.threshold) if settings.approximate else shares
