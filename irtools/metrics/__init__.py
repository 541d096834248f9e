"""The metrics of this library in one place, and :func:`score`, which takes them all at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from irtools.metrics.bleed import gains_error, residual_bleed_db
from irtools.metrics.bss_eval import BssEval, bss_eval
from irtools.metrics.distortion import check_signals, delay_aligned_sdr, gain_aligned_sdr, sdr, si_sdr
from irtools.metrics.scores import Scores

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
    h, s = check_signals(estimates, references)
    if s.ndim != 2:
        raise ValueError(f"estimates: expected shape (sources, samples), got {tuple(s.shape)}")
    if not s.any():
        raise ValueError("references: expected at least one source that is not silent, got silence only")
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
        raise TypeError(f"sample_rate: expected an int in Hz, got {type(sample_rate).__name__} {sample_rate!r}")
    if sample_rate <= 0:
        raise ValueError(f"sample_rate: expected a positive number of Hz, got {sample_rate}")
    window, hop = (_samples(name, value, sample_rate) for name, value in (("window_s", window_s), ("hop_s", hop_s)))
    if not (math.isfinite(max_delay_s) and max_delay_s >= 0):
        raise ValueError(f"max_delay_s: expected 0 or more seconds, got {max_delay_s!r}")
    names = tuple(str(n + 1) for n in range(len(s))) if names is None else tuple(names)
    if len(names) != len(s) or len(set(names)) != len(s):
        raise ValueError(f"names: expected {len(s)} different names (one a source), got {names}")
    if (gains is None) != (true_gains is None):
        raise ValueError("gains and true_gains: expected both or neither")

    aligned, delay = delay_aligned_sdr(h, s, min(round(max_delay_s * sample_rate), s.shape[1] - 1))
    ratios, si = bss_eval(h, s, window=window, hop=hop, filter_length=filter_length), si_sdr(h, s)
    before = None
    if inputs is not None:
        x, _ = check_signals(inputs, references, "inputs")
        before = si_sdr(x, s), bss_eval(x, s, window=window, hop=hop, filter_length=1).sdr  # SDR needs no filters
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
        si_sdr_improvement=None if before is None else si - before[0],
        sdr_improvement=None if before is None else ratios.sdr - before[1],
        gains_error=None if gains is None else gains_error(gains, true_gains),
    )


def _samples(name: str, seconds: float, sample_rate: int) -> int:
    if not (isinstance(seconds, int | float) and math.isfinite(seconds) and round(seconds * sample_rate) >= 1):
        raise ValueError(f"{name}: expected at least one sample at {sample_rate} Hz, in seconds, got {seconds!r}")
    return round(seconds * sample_rate)
