"""BSS Eval v4: the distortion of an estimate, split into spatial (filter) error, interference and artifacts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from irtools.checks import check_int
from irtools.metrics.correlations import block_toeplitz, correlations
from irtools.metrics.distortion import sdr
from irtools.metrics.signals import check_signals, decibels

LOADING = torch.finfo(torch.float64).eps  # museval's, added to the energies of the references as they are


class BssEval(NamedTuple):
    """Ratios of BSS Eval in dB, each of shape (..., sources, windows), float64."""

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor


def bss_eval(
    estimates: Tensor,
    references: Tensor,
    *,
    window: int | None = None,
    hop: int | None = None,
    filter_length: int = 512,
) -> BssEval:
    """SDR, ISR, SIR and SAR of BSS Eval v4 (images), in windows.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64
        ``estimates[n]`` is the estimate of ``references[n]``: no permutation is searched.
    window, hop : int, optional
        In samples. No window is one over everything, no hop a window; a last incomplete window is dropped.
    filter_length : int
        Taps of the distortion filters.

    Returns
    -------
    BssEval
        Silence is decided for each source and window on its own: all four are NaN where the *reference* is silent
        (nothing to find), and ISR, SIR and SAR where only the *estimate* is (no content to split; its SDR is 0 dB).

    Notes
    -----
    Let s be a reference, h its estimate, P_s and P the least-squares projections on s, and on all references,
    delayed by 0 to ``filter_length - 1`` samples. Then h - s = e_spat + e_interf + e_artif with [1]_

    e_spat = P_s h - s, e_interf = P h - P_s h, e_artif = h - P h, and

    SDR = |s|² / |h - s|², ISR = |s|² / |e_spat|², SIR = |P_s h|² / |e_interf|², SAR = |P h|² / |e_artif|².

    As in version 4 [2]_ the filters are fitted once, on everything; a window's signals are cut out first and filtered
    then, tails included. All references enter P together, so one call must hold all sources. SDR is
    :func:`irtools.metrics.distortion.sdr` of the window.

    Equals museval to 1e-4 dB wherever that gives a number that rounding does not decide (a SAR above 120 dB is
    rounding in both). Differs in that a silent source makes museval drop the window for *all* sources, or refuse the
    recording, while here it leaves the projection; and where the references have no unique filters (one is a delayed
    copy of another, or all lack the same band): the diagonal, with museval's 2.2e-16 on it, is loaded further, by 1e-14
    of its mean or the next power of ten that suffices, so that SIR and SAR do not hang on the last bit of the input.

    References
    ----------
    .. [1] E. Vincent, H. Sawada, P. Bofill, S. Makino, J. P. Rosca, "First stereo audio source separation evaluation
       campaign: data, algorithms and results", ICA 2007.
    .. [2] F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.

    Examples
    --------
    >>> s = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    >>> ratios = bss_eval(s + 0.1 * s.flip(0), s, window=1000, filter_length=8)
    >>> ratios.sir.shape, bool((ratios.sir - 20).abs().max() < 1)
    (torch.Size([2, 4]), True)
    """
    check_signals(estimates, references)
    *batch, n_sources, samples = references.shape
    window = min(check_int("window", samples if window is None else window, 1), samples)
    hop = check_int("hop", window if hop is None else hop, 1)
    check_int("filter_length", filter_length, 1)
    cuts = window_slices(samples, window, hop)
    pairs = zip(estimates.reshape(-1, n_sources, samples), references.reshape(-1, n_sources, samples), strict=True)
    ratios = torch.stack([_one_recording(h, s, cuts, filter_length) for h, s in pairs], dim=1)
    return BssEval(*ratios.reshape(4, *batch, n_sources, len(cuts)))


def window_slices(samples: int, window: int, hop: int) -> list[slice]:
    """The complete windows of a recording, the whole of it where it is shorter than one."""
    window = min(window, samples)
    return [slice(begin, begin + window) for begin in range(0, samples - window + 1, hop)]


def _one_recording(estimates: Tensor, references: Tensor, cuts: list[slice], filter_length: int) -> Tensor:
    """The four ratios, (4, sources, windows)."""
    from scipy.fft import next_fast_len

    n_fft = 2 * next_fast_len((cuts[0].stop + filter_length) // 2, real=True)
    joint, own = (torch.fft.rfft(c, n_fft) for c in projection_filters(estimates, references, filter_length))
    return torch.stack([_one_window(estimates[:, i], references[:, i], joint, own, n_fft) for i in cuts], dim=-1)


def projection_filters(estimates: Tensor, references: Tensor, filter_length: int) -> tuple[Tensor, Tensor]:
    """Filters of the projections of each estimate: on all references together, and on its own one alone.

    The first, (sources, sources, taps), minimise |h_n - Σ_j joint[n, j] * s_j|², the second, (sources, taps),
    |h_n - own[n] * s_n|². Those of a silent reference are zero.
    """
    lags = correlations(references, [references, estimates], 0, filter_length - 1)
    auto, cross = lags[:, : len(references)], lags[:, len(references) :]
    joint = torch.zeros_like(cross)
    own = torch.zeros_like(cross[0])
    active = auto.diagonal()[0].nonzero().flatten()
    if not len(active):
        return joint, own
    auto = auto[active][:, active]
    # Unit levels: sources far apart in level must not decide how well the system is conditioned.
    level = auto.diagonal()[0].sqrt()[:, None]
    auto = auto / (level * level.T)[..., None]
    auto.diagonal()[0].add_(LOADING / level[:, 0].square())
    cross = (cross[active] / level[..., None]).mT  # (sources, taps, estimates)
    solution = _solve(auto, cross.flatten(0, 1)).T
    joint[:, active] = solution.reshape(-1, len(active), filter_length) / level
    for n, source in enumerate(active):
        own[source] = _solve(auto[n : n + 1, n : n + 1], cross[n, :, source, None])[:, 0] / level[n]
    return joint, own


def _solve(lags: Tensor, rhs: Tensor) -> Tensor:
    """Solve the normal equations of the Gram matrix of ``lags``, loading its diagonal only if it must be."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    if not torch.isfinite(lags).all():
        raise FloatingPointError("bss_eval: the references' correlations are not finite; are they too loud to square?")
    for loading in (0.0, *(10.0**exponent for exponent in range(-14, 2))):
        loaded = lags.cpu().clone()
        loaded.diagonal()[0].add_(loading * lags.diagonal()[0].mean().item())
        gram = block_toeplitz(loaded).numpy().T  # symmetric; LAPACK works in place on columns
        try:
            factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            continue
        return torch.from_numpy(cho_solve(factor, rhs.cpu().numpy(), check_finite=False)).to(rhs.device)
    raise AssertionError("a Gram matrix with its own mean on the diagonal is positive definite")


def _one_window(estimates: Tensor, references: Tensor, joint: Tensor, own: Tensor, n_fft: int) -> Tensor:
    """The four ratios (4, sources) in one window, given the spectra of the filters."""
    estimates, references = estimates.double(), references.double()
    h, s = torch.fft.rfft(estimates, n_fft), torch.fft.rfft(references, n_fft)
    alone = own * s  # P_s h
    together = joint[:, 0] * s[0]  # P h
    for j in range(1, len(s)):
        together.addcmul_(joint[:, j], s[j])
    # With one source the two projections are one.
    interference = together - alone if len(s) > 1 else torch.zeros_like(alone)
    found, signal, content = _energy(alone, n_fft), _energy(s, n_fft), _energy(h, n_fft)
    ratios = torch.stack(
        [
            sdr(estimates, references),
            decibels(signal, _energy(alone.sub_(s), n_fft)),
            decibels(found, _energy(interference, n_fft)),
            decibels(_energy(together, n_fft), _energy(h.sub_(together), n_fft)),
        ]
    )
    ratios[1:, (signal == 0) | (content == 0)] = torch.nan
    return ratios


def _energy(half_spectrum: Tensor, n_fft: int) -> Tensor:
    """Energy of a real signal from the non-negative half of its spectrum of even length (Parseval)."""
    twice = 2 * torch.linalg.vector_norm(torch.view_as_real(half_spectrum).flatten(-2), dim=-1).square()
    once = half_spectrum[..., :: n_fft // 2].real.square().sum(-1)  # the first and the last bin
    return (twice - once) / n_fft
