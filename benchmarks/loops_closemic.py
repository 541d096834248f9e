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


def room_by_loops(x: ndarray, settings: RoomSettings) -> ndarray:
    """Demixing matrices (freqs, mics, mics) of spectra x (freqs, mics, frames), before the gains are smoothed.

    Of ``n_iter`` the first part.
    """
    exponents = [settings.competition] * settings.first_iter + [0.0] * settings.n_iter[0]
    return np.stack([_one_frequency(spectrum, settings, exponents) for spectrum in x])


def _one_frequency(x, settings, exponents):
    n_mics, frames = x.shape
    level = np.sqrt(np.mean(np.abs(x) ** 2))
    x = x / max(level, np.finfo(float).tiny)
    counted = max(1.0, frames * settings.frames_counted)
    w = np.eye(n_mics, dtype=complex)
    for exponent in exponents:
        power = np.abs(w @ x) ** 2
        weights = [1 / _model(power, n, exponent, settings) for n in range(n_mics)]
        for k in range(n_mics):
            z = np.stack([w[j] @ x for j in range(n_mics) if j != k]) if n_mics > 1 else np.zeros((0, frames))
            weighted = counted / frames * weights[k] * z.conj()
            gram = z @ weighted.T + np.eye(n_mics - 1) / settings.bleed**2
            gains = weighted @ x[k] @ np.linalg.inv(gram)
            others = [j for j in range(n_mics) if j != k]
            w[k] = np.eye(n_mics)[k] - sum((a * w[j] for a, j in zip(gains, others, strict=True)), np.zeros(n_mics))
    return w


def _model(power, n, exponent, settings):
    total = power.sum(0)
    own = power[n] * (power[n] / np.maximum(total, 1e-12)) ** exponent
    return own + settings.leftover * (total - power[n]) + settings.floor * power[n].mean() + 1e-12


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
