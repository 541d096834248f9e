"""How much of each source leaks into each microphone, as the microphones alone tell."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from irtools.checks import check_mics
from irtools.stft import stft

# Longer than the delays, and than most of the reverberation, between microphones.
WINDOW_S = 0.37
_N_BANDS, _LOWEST_HZ = 24, 50.0
# Cells this far below the loudest of all tell of noise, not of bleed.
_RANGE_DB = 50.0
# A microphone at most this many times as loud as the others explain hears nothing but bleed.
_MARGIN = 2.0
_ITERATIONS, _FIRST_GAIN, _LEAST_CELLS, _RADIUS = 50, 0.1, 20, 0.999


def bleed_matrix(mics: Tensor, sample_rate: int) -> Tensor:
    """Power of each source at each microphone, relative to its power at its own, from the microphones alone.

    Microphone n is the close microphone of source n. The matrix is (mics, sources), float64, with 1 on the diagonal;
    NaN in the row and the column of a silent microphone, and everywhere where no such matrix explains the microphones
    (two that hear the same) or there are fewer than 20 cells.

    Notes
    -----
    Powers add up, P_k = Σ_n B_kn p_n with B_nn = 1. Where source k rests, p_k = 0, its microphone is a combination of
    the *other microphones*, P_k = Σ_{n≠k} C_kn P_n, and where it plays, it is louder than that. So C is fitted at the
    lower edge of the cells (bands of log-spaced frequency, frames): least Itakura-Saito divergence in those cells where
    P_k ≤ 2 Σ C_kn P_n (the 20 that come closest, if there are fewer), chosen anew before every multiplicative
    step. (I - C) B is diagonal, hence

    B = (I - C)^{-1}, each column divided by its diagonal entry,

    which exists and is not negative where the spectral radius of C is below 1 (0.999 here). One number stands for all
    frequencies. A fixed number of steps, no stopping rule. Cells 50 dB below the loudest take no part. A source that
    never rests, in no band, gives an upper bound of what leaks into its microphone.
    """
    combination = explained_by_others(mics, sample_rate)
    matrix = torch.full_like(combination, torch.nan)
    heard = (combination.diagonal() == 0).nonzero().flatten()
    inner = combination[heard][:, heard]
    if len(heard) and torch.isfinite(inner).all() and torch.linalg.eigvals(inner).abs().max() < _RADIUS:
        found = torch.linalg.inv(torch.eye(len(heard), dtype=inner.dtype, device=inner.device) - inner).clamp(min=0)
        matrix[heard[:, None], heard] = found / found.diagonal()
    return matrix


def explained_by_others(mics: Tensor, sample_rate: int) -> Tensor:
    """C of :func:`bleed_matrix`: how the power of each microphone follows from that of the others at its source's rest.

    Of shape (mics, mics), float64; zeros on the diagonal. NaN in the row and column of a silent microphone, and beside
    the diagonal of one that has fewer than 20 cells.
    """
    check_mics(mics, sample_rate)
    power = band_powers(mics, sample_rate)
    level = power.mean((1, 2))
    combination = torch.full((len(mics), len(mics)), torch.nan, dtype=torch.float64, device=mics.device)
    heard = (level > 0).nonzero().flatten()
    cells = (power[heard] / level[heard, None, None]).flatten(1)
    loudest = cells.sum(0)
    cells = cells[:, loudest > 10 ** (-_RANGE_DB / 10) * loudest.max()] if len(heard) else cells
    for place, mic in enumerate(heard.tolist()):
        others = [row for row in range(len(heard)) if row != place]
        inside = cells[place] > 0
        ratios = cells[others][:, inside] / cells[place, inside]
        found = torch.zeros(len(heard), dtype=torch.float64, device=mics.device)
        found[others] = _lower_edge(ratios)
        combination[mic, heard] = found * level[mic] / level[heard]
    return combination


def band_powers(mics: Tensor, sample_rate: int) -> Tensor:
    """Power of each microphone in at most 24 bands, log-spaced from 50 Hz up: (mics, bands, frames), float64.

    Frames are half a window apart; bands narrower than a bin of the transform are merged.
    """
    window_size = 2 * round(WINDOW_S * sample_rate / 2)
    if window_size < 8:
        raise ValueError(f"sample_rate: expected eight samples or more in {WINDOW_S} s, got {sample_rate} Hz")
    power = stft(mics.double(), window_size, window_size // 2).abs().square()
    hz = torch.logspace(0, 1, _N_BANDS + 1, base=sample_rate / 2 / _LOWEST_HZ, dtype=torch.float64) * _LOWEST_HZ
    edges = (hz * window_size / sample_rate).round().long().clamp(1, window_size // 2).unique().tolist()
    return torch.stack([power[:, low:high].sum(1) for low, high in pairwise(edges)], 1)


def _lower_edge(ratios: Tensor) -> Tensor:
    """c >= 0 with Σ_n c_n ratios_n ≈ 1 in the cells where that is at least 1 / _MARGIN."""
    weights = torch.full((len(ratios),), _FIRST_GAIN, dtype=ratios.dtype, device=ratios.device)
    if len(ratios) and ratios.shape[1] < _LEAST_CELLS:
        return torch.full_like(weights, torch.nan)
    for _ in range(_ITERATIONS if len(ratios) else 0):
        explained = weights @ ratios
        # A source that never rests leaves no cell that is explained: the edge is then in those that come closest.
        closest = explained.topk(_LEAST_CELLS).values[-1]
        inside = explained >= closest.clamp(max=1 / _MARGIN)
        share = ratios[:, inside] / explained[inside]
        weights = weights * ((share / explained[inside]).sum(1) / share.sum(1).clamp_min(1e-300)).sqrt()
    return weights
