"""Where a long recording is cut into pieces that overlap, and how their estimates are joined without a click."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cut(samples: int, size: int, overlap: int = 0) -> list[tuple[int, int]]:
    """First and end sample of each piece of a recording.

    Pieces hold ``size`` samples; the last one has from a half to less than one and a half of that, so that no method
    meets a stub. A recording of no more than ``size`` samples is one piece. Each piece shares ``overlap`` samples, at
    most half a piece, with the one before.

    >>> cut(95, 40), cut(100, 40), cut(100, 40, overlap=10)
    ([(0, 40), (40, 95)], [(0, 40), (40, 80), (80, 100)], [(0, 40), (30, 70), (60, 100)])
    """
    if samples < 1 or size < 1:
        raise ValueError(f"samples, size: expected at least 1 of each, got {samples} and {size}")
    if not 0 <= 2 * overlap <= size:
        raise ValueError(f"overlap: expected 0 to {size // 2} samples (half a piece), got {overlap}")
    step = size - overlap
    starts = list(range(0, max(samples - overlap, 1), step))
    if len(starts) > 1 and 2 * (samples - starts[-1]) < size:
        starts.pop()
    return [(start, start + size) for start in starts[:-1]] + [(starts[-1], samples)]


class CrossFade:
    """Joins consecutive parts, each of which shares its first ``overlap`` samples with the end of the one before.

    >>> ramp, faded = torch.arange(10.0), CrossFade(overlap=2)
    >>> torch.cat([faded.add(ramp[:6]), faded.add(ramp[4:]), faded.rest()])
    tensor([0., 1., 2., 3., 4., 5., 6., 7., 8., 9.])
    """

    def __init__(self, overlap: int):
        self.overlap, self._held = overlap, None

    def add(self, part: Tensor) -> Tensor:
        """What is settled once ``part`` (..., samples) is there: all but the end that the next part shares."""
        if self._held is not None and self.overlap:
            # In this form two equal samples give that very sample.
            shared = torch.lerp(self._held, part[..., : self.overlap], fade_in(self.overlap).to(part))
            part = torch.cat([shared, part[..., self.overlap :]], dim=-1)
        settled = part.shape[-1] - self.overlap
        self._held = part[..., settled:].clone()
        return part[..., :settled]

    def rest(self) -> Tensor:
        """The end of the last part."""
        return self._held


def fade_in(overlap: int) -> Tensor:
    """Weights of the later of two pieces where they overlap: sin² of a quarter turn, without a step or a kink."""
    return ((torch.arange(overlap, dtype=torch.float64) + 0.5) * (math.pi / 2 / max(overlap, 1))).sin().square()
