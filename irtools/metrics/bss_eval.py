"""BSS Eval v4: the distortion of an estimate, split into spatial (filter) error, interference and artifacts."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from irtools.metrics.distortion import check_signals, decibels

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
    window : int, optional
        Samples per window; None, or more than there are, for one window over everything.
    hop : int, optional
        Samples from one window to the next; None for ``window`` (no overlap). A last incomplete window is dropped.
    filter_length : int
        Taps of the distortion filters.

    Returns
    -------
    BssEval
        ``sdr, isr, sir, sar``, each (..., sources, windows), float64, in dB. Silence is decided for each source and
        window on its own: all four are NaN where the *reference* is silent (nothing to find), and ISR, SIR and SAR
        are NaN where only the *estimate* is (it has no content to split; its SDR is 0 dB). Every other value stays.

    Raises
    ------
    TypeError, ValueError
        Signals that cannot be compared (see :func:`irtools.metrics.distortion.check_signals`); ``window``, ``hop`` or
        ``filter_length`` that is no positive integer.

    Notes
    -----
    Let s be a reference, h its estimate, P_s and P the least-squares projections on s, and on all references,
    delayed by 0 to ``filter_length - 1`` samples. Then h - s = e_spat + e_interf + e_artif with [1]_

    e_spat = P_s h - s, e_interf = P h - P_s h, e_artif = h - P h, and

    SDR = |s|² / |h - s|², ISR = |s|² / |e_spat|², SIR = |P_s h|² / |e_interf|², SAR = |P h|² / |e_artif|².

    As in version 4 [2]_ the filters are fitted once, on everything; a window's signals are cut out first and filtered
    then, tails included. All references enter P together, so one call must hold all sources.

    Differs from museval, which it equals to 1e-4 dB wherever that gives a number that rounding does not decide:
    a silent source makes museval drop the window for *all* sources, and refuse a recording where one is silent
    throughout, while here such a source leaves the projection; the normal equations, with museval's loading of
    2.2e-16 on the diagonal, are solved once for all estimates and by Cholesky; energies are taken in the frequency
    domain (Parseval), so that no projection is synthesised. Where the references have no unique filters (one is a
    delayed copy of another, or all lack the same band) the diagonal is loaded further, by 1e-14 of its mean or the
    next power of ten that suffices: museval's SIR and SAR then change by many dB with the last bit of the input,
    these do not. A SAR above 120 dB is rounding error in both.

    Memory: the filters' spectra take 8 (sources + 1) · sources bytes per sample of the window.

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
    h, s = check_signals(estimates, references)
    n_sources, samples = s.shape[-2:]
    window = min(_positive("window", samples if window is None else window), samples)
    hop = _positive("hop", window if hop is None else hop)
    _positive("filter_length", filter_length)
    starts = range(0, samples - window + 1, hop)
    pairs = zip(h.reshape(-1, n_sources, samples), s.reshape(-1, n_sources, samples), strict=True)
    ratios = torch.stack([_bss_eval_one(a, b, window, starts, filter_length) for a, b in pairs], dim=1)
    return BssEval(*ratios.reshape(4, *s.shape[:-1], len(starts)))


def projection_filters(estimates: Tensor, references: Tensor, filter_length: int) -> tuple[Tensor, Tensor]:
    """Least-squares filters that take the references to each estimate, all together and each on its own.

    Parameters
    ----------
    estimates : Tensor, shape (estimates, samples), float64
    references : Tensor, shape (sources, samples), float64
    filter_length : int
        Taps: delays of 0 to ``filter_length - 1`` samples.

    Returns
    -------
    joint : Tensor, shape (estimates, sources, filter_length)
        Minimises |h - Σ_j joint[n, j] * s_j|²; zero for a silent reference.
    single : Tensor, shape (estimates, sources, filter_length)
        Minimises |h - single[n, j] * s_j|² for each j on its own.

    Examples
    --------
    >>> s = torch.tensor([[1.0, 0, 0, 0, 0], [0, 1.0, 1.0, 0, 0]], dtype=torch.float64)
    >>> joint, _ = projection_filters(2 * s[:1].roll(1, -1) - s[1:], s, 2)
    >>> joint.round(decimals=6) + 0.0
    tensor([[[ 0.,  2.],
             [-1.,  0.]]], dtype=torch.float64)
    """
    joint = references.new_zeros(len(estimates), len(references), filter_length)
    single = torch.zeros_like(joint)
    active = references.any(-1).nonzero()[:, 0]
    if not len(active):
        return joint, single
    basis = references if len(active) == len(references) else references[active]
    auto, cross = correlations(basis, estimates, filter_length)
    # Unit levels: sources far apart in level must not decide how well the system is conditioned.
    level = auto.diagonal()[0].sqrt()[:, None]
    auto = auto / (level * level.T)[..., None]
    auto.diagonal()[0].add_(LOADING / level[:, 0].square())
    cross = (cross / level[..., None]).transpose(1, 2)  # (sources, taps, estimates)
    solution = _solve(auto, cross.reshape(-1, len(estimates)))
    joint[:, active] = solution.T.reshape(len(estimates), len(basis), filter_length) / level
    for n, source in enumerate(active):
        single[:, source] = _solve(auto[n : n + 1, n : n + 1], cross[n]).T / level[n]
    return joint, single


def correlations(references: Tensor, estimates: Tensor, n_lags: int) -> tuple[Tensor, Tensor]:
    """Correlations of the references with themselves and with the estimates, at the lags 0 to ``n_lags - 1``.

    Parameters
    ----------
    references : Tensor, shape (sources, samples), real
    estimates : Tensor, shape (estimates, samples), real
    n_lags : int

    Returns
    -------
    auto : Tensor, shape (sources, sources, n_lags)
        ``[i, j, k]`` = Σ_t s_i(t) s_j(t + k), zero beyond the ends.
    cross : Tensor, shape (sources, estimates, n_lags)
        The same with h_j(t + k).

    Notes
    -----
    Each block of s_i meets as many samples of the other signal and ``n_lags - 1`` more; the products of their spectra
    are summed over the blocks. One short inverse FFT per pair then replaces one as long as the recording.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> auto, cross = correlations(x, -x, 3)
    >>> auto.round(decimals=4), cross.shape
    (tensor([[[14.,  8.,  3.]]]), torch.Size([1, 1, 3]))
    """
    n_sources, samples = references.shape
    n_fft = max(1024, 16 * (1 << (n_lags - 1).bit_length()))
    step = n_fft - n_lags + 1
    stride = 4 * step  # 4 blocks at a time stay in the cache
    piece = references.new_empty(n_sources + len(estimates), stride + n_lags - 1)
    total = torch.fft.rfft(references.new_zeros(n_sources, len(piece), n_fft))
    for begin in range(0, samples, stride):
        stop = min(begin + piece.shape[1], samples)
        piece[:n_sources, : stop - begin] = references[:, begin:stop]
        piece[n_sources:, : stop - begin] = estimates[:, begin:stop]
        piece[:, stop - begin :] = 0
        behind = torch.fft.rfft(piece[:n_sources, :stride].unflatten(-1, (4, step)), n_fft).conj_physical()
        ahead = torch.fft.rfft(piece.unfold(-1, n_fft, step), n_fft)
        for block in range(4):
            total.addcmul_(behind[:, None, block], ahead[:, block])
    lags = torch.fft.irfft(total, n_fft)[..., :n_lags]
    return lags[:, :n_sources], lags[:, n_sources:]


def block_toeplitz(lags: Tensor) -> Tensor:
    """Gram matrix of all sources at all delays, from their correlations.

    Parameters
    ----------
    lags : Tensor, shape (sources, sources, taps)
        ``[i, j, k]`` = Σ_t s_i(t) s_j(t + k), as :func:`correlations` gives it.

    Returns
    -------
    Tensor, shape (sources * taps, sources * taps)
        Entry ((i, a), (j, b)) = Σ_t s_i(t - a) s_j(t - b): symmetric, each block Toeplitz.

    Examples
    --------
    >>> block_toeplitz(torch.tensor([[[14.0, 8.0, 3.0]]]))
    tensor([[14.,  8.,  3.],
            [ 8., 14.,  8.],
            [ 3.,  8., 14.]])
    """
    n_sources, _, taps = lags.shape
    both = torch.cat([lags.flip(-1), lags.transpose(0, 1)[..., 1:]], dim=-1)  # lag a - b at taps - 1 - a + b
    gram = lags.new_empty(n_sources, taps, n_sources, taps)
    for i, j in itertools.product(range(n_sources), repeat=2):  # block by block: no second copy of the large matrix
        gram[i, :, j] = both[i, j].unfold(-1, taps, 1).flip(0)
    return gram.reshape(n_sources * taps, n_sources * taps)


def _solve(lags: Tensor, rhs: Tensor) -> Tensor:
    """Solve the normal equations of the Gram matrix of ``lags``, loading its diagonal only if it must be."""
    failed = torch.zeros((), dtype=torch.int32, device=lags.device)
    for loading in (0.0, *(10.0**exponent for exponent in range(-14, -1))):
        loaded = lags.clone()
        loaded.diagonal()[0].add_(loading * lags.diagonal()[0].mean())
        gram = block_toeplitz(loaded).mT  # symmetric; LAPACK works in place on columns
        factor, _ = torch.linalg.cholesky_ex(gram, upper=True, out=(gram, failed))
        if not failed:  # two triangular solves: torch.cholesky_solve would copy the factor first
            half = torch.linalg.solve_triangular(factor.mT, rhs, upper=False)
            return torch.linalg.solve_triangular(factor, half, upper=True)
    raise FloatingPointError("bss_eval: the references' correlation matrix is not finite; are they too loud to square?")


def _bss_eval_one(h: Tensor, s: Tensor, window: int, starts: range, filter_length: int) -> Tensor:
    """The four ratios (4, sources, windows) of estimates ``h`` and references ``s``, (sources, samples)."""
    from scipy.fft import next_fast_len

    n_fft = next_fast_len(window + filter_length - 1, real=True)
    joint, single = projection_filters(h, s, filter_length)
    joint = torch.fft.rfft(joint, n_fft)
    single = torch.fft.rfft(single.diagonal().T, n_fft)
    return torch.stack(
        [_window_ratios(h[:, i : i + window], s[:, i : i + window], joint, single, n_fft) for i in starts], dim=-1
    )


def _window_ratios(h: Tensor, s: Tensor, joint: Tensor, single: Tensor, n_fft: int) -> Tensor:
    """The four ratios (4, sources) in one window, given the spectra of the filters."""
    signal, content, error = (x.square().sum(-1) for x in (s, h, s - h))
    h_spec, s_spec = torch.fft.rfft(h, n_fft), torch.fft.rfft(s, n_fft)
    own = single * s_spec  # P_s h
    everything = (joint * s_spec).sum(1)  # P h
    interference = 0 * own if len(s) == 1 else everything - own  # one source: the two projections are one
    ratios = torch.stack(
        [
            decibels(signal, error),
            decibels(signal, _spectral_energy(own - s_spec, n_fft)),
            decibels(_spectral_energy(own, n_fft), _spectral_energy(interference, n_fft)),
            decibels(_spectral_energy(everything, n_fft), _spectral_energy(h_spec - everything, n_fft)),
        ]
    )
    ratios[:, signal == 0] = torch.nan
    ratios[1:, content == 0] = torch.nan
    return ratios


def _spectral_energy(half_spectrum: Tensor, n_fft: int) -> Tensor:
    """Energy of a real signal from the non-negative half of its spectrum (Parseval)."""
    twice = 2 * torch.linalg.vector_norm(torch.view_as_real(half_spectrum).flatten(-2), dim=-1).square()
    once = half_spectrum[..., [0, -1] if n_fft % 2 == 0 else [0]].real.square().sum(-1)
    return (twice - once) / n_fft


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__} {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")
    return value
