"""Look for what is legal in a recording but seldom meant: silence, clipping, an offset, one signal twice."""

from __future__ import annotations

import torch
from torch import Tensor

# A run of this many samples at one extreme of at least this magnitude counts as clipped.
CLIP_RUN, CLIP_LEVEL = 3, 0.999
# A mean above this share of the RMS, and above this level in full scale (-60 dBFS), counts as an offset.
OFFSET_SHARE, OFFSET_LEVEL = 0.1, 1e-3


class Auditor:
    """What a person should know about a recording before trusting its reduction; the recording comes in pieces.

    Silent: every sample is zero. Clipped: three or more consecutive samples of one piece at the signal's own maximum,
    or at its own minimum (in integer files the two rails differ by one step), where that is at least 0.999 of full
    scale. Offset: the mean exceeds -60 dBFS and a tenth of the RMS. Twice: two microphones, not silent, with identical
    samples.

    Examples
    --------
    >>> import torch
    >>> auditor = Auditor(["vocals", "bass"])
    >>> for piece in torch.tensor([[0.1, -0.1], [0.0, 0.0]]).split(1, dim=1):
    ...     auditor.add(piece)
    >>> auditor.findings()
    ['bass: silent: every sample is zero']
    """

    def __init__(self, names):
        self.names = tuple(names)
        self._samples = 0
        self._rails = torch.zeros(2, len(self.names), dtype=torch.float64)  # the maximum, the minimum
        self._clipped = torch.zeros(2, len(self.names), dtype=torch.int64)
        self._sum = torch.zeros(len(self.names), dtype=torch.float64)
        self._energy = torch.zeros(len(self.names), dtype=torch.float64)
        self._same = {(first, second) for second in range(len(self.names)) for first in range(second)}

    def add(self, waveforms: Tensor) -> None:
        """Take in the next piece, shape (mics, samples)."""
        waveforms = waveforms.cpu()
        for rail, levels in enumerate((waveforms.amax(dim=1), waveforms.amin(dim=1))):
            for mic, level in enumerate(levels.double()):
                known = self._rails[rail, mic]
                # Only samples at the outermost level of the whole recording are clipped.
                if (level >= known) if rail == 0 else (level <= known):
                    before = self._clipped[rail, mic] if level == known else 0
                    self._clipped[rail, mic] = before + _samples_in_runs(waveforms[mic], level)
                    self._rails[rail, mic] = level
        self._sum += waveforms.sum(dim=1, dtype=torch.float64)
        self._energy += torch.stack([waveform.double().square().sum() for waveform in waveforms])
        self._same = {(a, b) for a, b in self._same if torch.equal(waveforms[a], waveforms[b])}
        self._samples += waveforms.shape[1]

    def findings(self) -> list[str]:
        """One sentence per finding, headed by the microphone's name; empty when there is none."""
        silent = (self._rails == 0).all(dim=0).tolist()
        findings = []
        for mic, name in enumerate(self.names):
            if silent[mic]:
                findings.append(f"{name}: silent: every sample is zero")
                continue
            if clipped := int(self._clipped[:, mic].sum()):
                peak = self._rails[:, mic].abs().max().item()
                findings.append(f"{name}: clipped: {clipped} samples in runs at {peak:.3f}")
            mean = (self._sum[mic] / self._samples).item()
            rms = (self._energy[mic] / self._samples).sqrt().item()
            if abs(mean) > max(OFFSET_LEVEL, OFFSET_SHARE * rms):
                findings.append(f"{name}: constant offset of {mean:+.4f} at an RMS of {rms:.4f}")
        for mic, name in enumerate(self.names):
            twin = next((first for first in range(mic) if (first, mic) in self._same), None)
            if twin is not None and not silent[mic]:
                findings.append(f"{name}: the same signal as {self.names[twin]}")
        return findings


def _samples_in_runs(waveform: Tensor, level) -> int:
    if abs(level) < CLIP_LEVEL or waveform.numel() < CLIP_RUN:
        return 0
    at = waveform == level
    # A window of CLIP_RUN samples that are all at the level marks each of them.
    starts = at.unfold(0, CLIP_RUN, 1).all(dim=1)
    marked = torch.zeros_like(at)
    for offset in range(CLIP_RUN):
        marked[offset : offset + len(starts)] |= starts
    return int(marked.sum())
