"""Close-mic demixing as its equations read: one frequency, one microphone and one source at a time.

The specification that :mod:`irtools.methods.closemic.room` and :mod:`irtools.methods.closemic.linear` are tested and
timed against. Not in it: microphones without a source, smoothing over frequency, restored order.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from irtools.methods.closemic.room import RoomSettings

# Share of the quietest bins, and the noise as a multiple of the power that they stay below.
QUIET = 0.02
NOISE = 10 / -np.log1p(-QUIET)


def room_by_loops(x: ndarray, settings: RoomSettings, hop_s: float) -> tuple[ndarray, ndarray]:
    """Gains (freqs, mics, mics, taps) and sources of spectra x (freqs, mics, frames), under the first prior alone."""
    found = [_one_frequency(spectrum, settings, hop_s) for spectrum in x]
    return np.stack([gains for gains, _ in found]), np.stack([z for _, z in found])


def _one_frequency(x, settings, hop_s):
    n_mics, frames = x.shape
    level = max(np.sqrt(np.mean(np.abs(x) ** 2)), np.finfo(float).tiny)
    x = x / level
    z, taps = x.copy(), settings.taps
    gains = np.zeros((n_mics, n_mics, taps), complex)
    delays = [(j, lag) for j in range(n_mics) for lag in range(taps)]
    for floor in settings.floors:
        for k in range(n_mics):
            power = _model(z, k, floor, settings)
            b = np.zeros((len(delays), frames), complex)
            for row, (j, lag) in enumerate(delays):
                if j != k:
                    b[row, lag:] = z[j, : frames - lag]
            precision = [10 ** (6 * lag * hop_s / settings.decay_s) / settings.bleed**2 for _, lag in delays]
            covariance, cross = np.diag(precision).astype(complex), np.zeros(len(delays), complex)
            for t in range(0, frames, settings.every):
                weight = settings.frames_counted * settings.every / power[t] * (x[k, t] != 0)
                covariance += weight * np.outer(b[:, t], b[:, t].conj())
                cross += weight * x[k, t] * b[:, t].conj()
            a = cross @ np.linalg.inv(covariance)
            gains[k] = a.reshape(n_mics, taps)
            z[k] = (x[k] - a @ b) * (x[k] != 0)
    return gains, z * level


def _model(z, k, floor, settings):
    power = np.abs(z) ** 2
    frames = len(power[k])
    near = [power[k, max(0, t - 1) : t + 2].mean() for t in range(frames)]
    own = power[k] + settings.spread * np.array(near)
    return own + settings.leftover * (power.sum(0) - power[k]) + floor * own.mean() + 1e-12


def linear_by_loops(bins: ndarray, steps, n_iter: int) -> ndarray:
    """Λ of bins (mics, bins) by iterative projection, with ``n_iter`` iterations at each ε of ``steps``."""
    n_mics, n_bins = bins.shape
    w = np.eye(n_mics)
    power = np.sum(np.abs(bins) ** 2, axis=0)
    for step in steps:
        w = np.diag(np.linalg.inv(w))[:, None] * w
        noise = [NOISE * np.sort(np.abs(row @ bins) ** 2)[max(1, round(QUIET * n_bins)) - 1] for row in w]
        for _ in range(n_iter):
            w = np.diag(np.linalg.inv(w))[:, None] * w
            weights = [1 / (np.abs(w[n] @ bins) ** 2 + step * power + noise[n]) for n in range(n_mics)]
            for n in range(n_mics):
                covariance = np.zeros((n_mics, n_mics))
                for i in range(n_mics):
                    for j in range(n_mics):
                        covariance[i, j] = np.sum(weights[n] * bins[i] * bins[j].conj()).real / n_bins
                w[n] = np.linalg.solve(w @ covariance, np.eye(n_mics)[n])
                w[n] /= np.sqrt(w[n] @ covariance @ w[n])
    w = np.diag(np.linalg.inv(w))[:, None] * w
    return np.linalg.inv(w)
