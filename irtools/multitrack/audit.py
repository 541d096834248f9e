"""Look for what is legal in a recording but seldom meant: silence, clipping, an offset, one signal twice."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.multitrack.recording import Multitrack

# A run of this many samples at one extreme of at least this magnitude counts as clipped.
CLIP_RUN, CLIP_LEVEL = 3, 0.999
# A mean above this share of the RMS, and above this level in full scale (-60 dBFS), counts as an offset.
OFFSET_SHARE, OFFSET_LEVEL = 0.1, 1e-3


def audit(multitrack: Multitrack) -> list[str]:
    """What a person should know about a recording before trusting its reduction.

    Parameters
    ----------
    multitrack : Multitrack

    Returns
    -------
    list of str
        One sentence a finding, each naming the microphone; empty when there is none.

    Notes
    -----
    Silent: every sample is zero. Clipped: three or more consecutive samples at the signal's own maximum magnitude,
    with one sign, where that is at least 0.999 of full scale. Offset: the mean exceeds -60 dBFS and a tenth of the
    RMS. Twice: two microphones, not silent, with identical samples.

    Examples
    --------
    >>> import torch
    >>> audit(Multitrack(("vocals", "bass"), torch.tensor([[0.1, -0.1], [0.0, 0.0]]), 44100))
    ['bass: silent: every sample is zero']
    """
    findings = []
    for name, waveform in zip(multitrack.names, multitrack.waveforms, strict=True):
        if not waveform.any():
            findings.append(f"{name}: silent: every sample is zero")
            continue
        clipped = clipped_samples(waveform)
        if clipped:
            findings.append(f"{name}: clipped: {clipped} samples in runs at {waveform.abs().max().item():.3f}")
        mean = waveform.mean(dtype=torch.float64).item()
        rms = waveform.double().square().mean().sqrt().item()
        if abs(mean) > max(OFFSET_LEVEL, OFFSET_SHARE * rms):
            findings.append(f"{name}: constant offset of {mean:+.4f} at an RMS of {rms:.4f}")
    return findings + _duplicates(multitrack)


def clipped_samples(waveform: Tensor) -> int:
    """Number of samples in runs of three or more at the maximum magnitude, where that is 0.999 or more.

    Parameters
    ----------
    waveform : Tensor, shape (samples,)

    Returns
    -------
    int

    Examples
    --------
    >>> import torch
    >>> clipped_samples(torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, -1.0, -1.0, 0.5]))
    3
    """
    peak = waveform.abs().max()
    if peak < CLIP_LEVEL or waveform.numel() < CLIP_RUN:
        return 0
    total = 0
    for level in (peak, -peak):
        at = waveform == level
        # A window of CLIP_RUN samples that are all at the level marks each of them.
        starts = at.unfold(0, CLIP_RUN, 1).all(dim=1)
        marked = torch.zeros_like(at)
        for offset in range(CLIP_RUN):
            marked[offset : offset + len(starts)] |= starts
        total += int(marked.sum())
    return total


def _duplicates(multitrack: Multitrack) -> list[str]:
    findings, waveforms = [], multitrack.waveforms
    for second in range(1, multitrack.n_mics):
        for first in range(second):
            if waveforms[second].any() and torch.equal(waveforms[first], waveforms[second]):
                names = multitrack.names
                findings.append(f"{names[second]}: the same signal as {names[first]}")
                break
    return findings
