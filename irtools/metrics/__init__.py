"""The metrics of this library in one place, and :func:`score`, which takes them all at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from irtools.checks import check_number, check_rate
from irtools.metrics.bleed import gains_error, residual_bleed_db
from irtools.metrics.bss_eval import BssEval, bss_eval, window_slices
from irtools.metrics.distortion import delay_aligned_sdr, gain_aligned_sdr, sdr, si_sdr
from irtools.metrics.scores import Scores
from irtools.metrics.signals import check_signals, samples_in

__all__ = [
    "BssEval",
    "Scores",
    "bss_eval",
    "delay_aligned_sdr",
    "gain_aligned_sdr",
    "gains_error",
    "residual_bleed_db",
    "score",
    "sdr",
    "si_sdr",
]


def score(
    estimates: Tensor,
    references: Tensor,
    sample_rate: int,
    *,
    names: Sequence[str] | None = None,
    inputs: Tensor | None = None,
    window_s: float = 1.0,
    hop_s: float = 1.0,
    filter_length: int = 512,
    max_delay_s: float = 0.05,
    gains: Tensor | None = None,
    true_gains: Tensor | None = None,
) -> Scores:
    """Score estimates against their references with every metric of this library.

    Parameters
    ----------
    estimates, references : Tensor, shape (sources, samples), float32 or float64
        Source n as heard at its own microphone, estimated and true.
    sample_rate : int
        In Hz.
    names : sequence of str, optional
        Of the sources; "1", "2", ... without.
    inputs : Tensor, shape (sources, samples), optional
        The close microphone of each source, to tell the improvement.
    window_s, hop_s : float
        Windows of BSS Eval in s; 1 s and 1 s are the convention of SiSEC. A signal shorter than a window is one window.
    filter_length : int
        Taps of the distortion filters.
    max_delay_s : float
        Largest delay, in s, that the delay-aligned SDR may remove.
    gains, true_gains : Tensor, shape (mics, sources), optional
        Estimated and true Λ in amplitude, source n's close microphone being microphone n.

    Returns
    -------
    Scores

    Raises
    ------
    TypeError, ValueError
        Signals that cannot be compared or are all silent, a rate or window that is not positive, names that do not fit.

    Examples
    --------
    >>> import torch
    >>> s = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    >>> scores = score(s + 0.1 * s.flip(0), s, 1000, names=("kick", "snare"), filter_length=8)
    >>> scores.sdr.shape, [round(value) for value in scores.overall("si_sdr")]
    (torch.Size([2, 4]), [20, 20])
    """
    h, s = estimates, references
    check_signals(h, s)
    if s.ndim != 2:
        raise ValueError(f"estimates: expected shape (sources, samples), got {tuple(s.shape)}")
    n_sources, samples = s.shape
    if s.norm(1) == 0:
        raise ValueError("references: expected at least one source that is not silent, got silence only")
    check_rate(sample_rate)
    window, hop = samples_in("window_s", window_s, sample_rate), samples_in("hop_s", hop_s, sample_rate)
    check_number("max_delay_s", max_delay_s, 0, unit="s")
    names = tuple(str(n + 1) for n in range(n_sources)) if names is None else tuple(names)
    if len(names) != n_sources or len(set(names)) != n_sources:
        raise ValueError(f"names: expected {n_sources} different names (one per source), got {names}")
    if (gains is None) != (true_gains is None):
        raise ValueError("gains and true_gains: expected both or neither")
    if inputs is not None:
        check_signals(inputs, s, "inputs")

    ratios, si = bss_eval(h, s, window=window, hop=hop, filter_length=filter_length), si_sdr(h, s)
    aligned, delay = delay_aligned_sdr(h, s, min(round(max_delay_s * sample_rate), samples - 1))
    si_improvement = sdr_improvement = None
    if inputs is not None:
        si_improvement = si - si_sdr(inputs, s)
        before = [sdr(inputs[:, cut], s[:, cut]) for cut in window_slices(samples, window, hop)]
        sdr_improvement = ratios.sdr - torch.stack(before, -1)
    return Scores(
        names=names,
        sample_rate=sample_rate,
        window_s=window_s,
        hop_s=hop_s,
        filter_length=filter_length,
        max_delay_s=max_delay_s,
        **ratios._asdict(),
        si_sdr=si,
        gain_aligned_sdr=gain_aligned_sdr(h, s),
        delay_aligned_sdr=aligned,
        delay_samples=delay,
        residual_bleed_db=residual_bleed_db(h, s),
        si_sdr_improvement=si_improvement,
        sdr_improvement=sdr_improvement,
        gains_error=None if gains is None else gains_error(gains, true_gains),
    )
