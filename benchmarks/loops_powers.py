"""KAMIR, MIRA and FastMIRA as printed: every rule as a loop over microphones and sources.

The specification that :mod:`irtools.methods.powers.fit` is tested and timed against. Noise-floor equalisation and the
selection of close microphones are not in it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from irtools.methods.powers.settings import FLOOR, NOISE, PowerSettings, close_matrix, footprint_of
from irtools.stft import istft, stft


def reduce_by_loops(
    mics: Tensor, settings: PowerSettings, known_gains: ndarray | None = None
) -> tuple[Tensor, ndarray]:
    """Sources (sources, samples), each at its own microphone n, and Λ (mics, sources, freqs)."""
    grid = settings.window_size, settings.hop, settings.window
    spectra = stft(mics, *grid).numpy()
    power = np.abs(spectra) ** settings.alpha
    close = close_matrix(None, None, None, len(mics))[0].numpy()
    psd, gains = fit_by_loops(power / power.mean(), close, settings, known_gains)
    sources = torch.empty_like(mics)
    for n in range(len(mics)):
        total = sum(gains[n, m][:, None] * psd[m] for m in range(len(mics)))
        mask = gains[n, n][:, None] * psd[n] / total
        sources[n] = istft(torch.from_numpy(mask * spectra[n]), mics.shape[1], *grid)
    return sources, gains


def fit_by_loops(
    power: ndarray, close: ndarray, settings: PowerSettings, known_gains: ndarray | None = None
) -> tuple[ndarray, ndarray]:
    """P (sources, freqs, frames) and Λ (mics, sources, freqs) of the powers V (mics, freqs, frames)."""
    k_mics, freqs, frames = power.shape
    n_sources, beta = close.shape[1], settings.beta
    gains = np.empty((k_mics, n_sources, freqs), power.dtype)
    for k in range(k_mics):
        for n in range(n_sources):
            gains[k, n] = 1 if close[k, n] else settings.leakage
    if known_gains is not None:
        gains = known_gains.astype(power.dtype)
    psd = np.empty((n_sources, freqs, frames), power.dtype)
    for n in range(n_sources):
        chosen = np.flatnonzero(close[:, n])
        psd[n] = sum(power[k] / gains[k, n][:, None] for k in chosen) / len(chosen)
    psd = np.maximum(psd, FLOOR)
    for _ in range(settings.first_passes):
        psd = _thinned(psd, settings)
    psd = _filtered(psd, settings)
    for _ in range(settings.n_iter):
        psd = _step_of_psd(power, psd, gains, close, settings)
        psd = _filtered(psd, settings)
        for _ in range(settings.gain_iter):
            gains = _step_of_gains(power, psd, gains, beta, settings)
    return psd, gains


def _model(psd, gains, k):
    total = NOISE
    for n in range(len(psd)):
        total = total + gains[k, n][:, None] * psd[n]
    return total


def _step_of_psd(power, psd, gains, close, settings):
    models = [_model(psd, gains, k) for k in range(len(power))]
    new = np.empty_like(psd)
    for n in range(len(psd)):
        if settings.step == "wiener":
            chosen, total = np.flatnonzero(close[:, n]), 0
            for k in chosen:
                mask = gains[k, n][:, None] * psd[n] / models[k]
                total = total + mask**settings.alpha * power[k] / gains[k, n][:, None]
            new[n] = total / len(chosen)
        else:
            up, down = 0, 0
            for k in range(len(power)):
                up = up + gains[k, n][:, None] * models[k] ** (settings.beta - 2) * power[k]
                down = down + gains[k, n][:, None] * models[k] ** (settings.beta - 1)
            if settings.sparsity:
                total = sum(psd)
                geometric = np.exp(sum(np.log(p) for p in psd) / len(psd))
                up = up + settings.sparsity * len(psd) * geometric / total**2
                down = down + settings.sparsity * geometric / (psd[n] * total)
            new[n] = psd[n] * up / down
    return np.maximum(new, FLOOR)


def _step_of_gains(power, psd, gains, beta, settings):
    new = np.empty_like(gains)
    for k in range(len(power)):
        model = _model(psd, gains, k)
        for n in range(len(psd)):
            up = (model ** (beta - 2) * power[k] * psd[n]).sum(1)
            down = (model ** (beta - 1) * psd[n]).sum(1)
            if not settings.per_frequency:
                up, down = up.sum(), down.sum()
            new[k, n] = gains[k, n] * (up + FLOOR) / (down + FLOOR)
        if settings.normalise_rows:
            new[k] /= new[k].sum(0)
    return np.maximum(new, settings.gain_floor)


def _filtered(psd, settings):
    from scipy.ndimage import median_filter

    kernel = footprint_of(settings)
    if kernel is None:
        return psd
    return np.stack([median_filter(plane, footprint=kernel.numpy(), mode="nearest") for plane in psd])


def _thinned(psd, settings):
    from scipy.ndimage import correlate

    window = np.outer(*(np.hamming(size) for size in settings.smoothing))
    window = (window / window.sum()).astype(psd.dtype)
    smooth = [correlate(plane, window, mode="nearest") for plane in psd]
    new = np.empty_like(psd)
    for n in range(len(psd)):
        ratio = (smooth[n] + 1) / (sum(smooth) + 1)
        new[n] = psd[n] / (1 + np.exp(-settings.first_slope * (ratio - settings.first_threshold)))
    return np.maximum(new, FLOOR)
