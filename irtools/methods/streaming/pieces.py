"""Where a long recording is cut into pieces that overlap, and how their estimates are joined without a click."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def cut(samples: int, size: int, overlap: int = 0) -> list[tuple[int, int]]:
    """First and end sample of each piece of a recording.

    Parameters
    ----------
    samples : int
        Length of the recording.
    size : int
        Length of a piece.
    overlap : int
        Samples that each piece shares with the one before; at most half of ``size``.

    Returns
    -------
    list of (int, int)
        Pieces of ``size`` samples; the last one has from a half to less than one and a half of that, so that no method
        meets a stub. A recording of no more than ``size`` samples is one piece.

    Raises
    ------
    ValueError
        No samples, no size, or an overlap of more than half a piece.

    Examples
    --------
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


def fade_in(overlap: int) -> Tensor:
    """Weights of the later one of two pieces where they overlap; the earlier one has what is left to one.

    Parameters
    ----------
    overlap : int
        In samples.

    Returns
    -------
    Tensor, shape (overlap,), float64
        sin² of a quarter turn: without a step or a kink at either end.

    Examples
    --------
    >>> fade_in(3).round(decimals=3)
    tensor([0.0670, 0.5000, 0.9330], dtype=torch.float64)
    """
    return ((torch.arange(overlap, dtype=torch.float64) + 0.5) * (math.pi / 2 / max(overlap, 1))).sin().square()


def join(parts: Iterable[Tensor], overlap: int) -> Iterator[Tensor]:
    """Cross-fade consecutive parts where they overlap; no more than two of them are held at a time.

    Parameters
    ----------
    parts : iterable of Tensor, shape (..., samples)
        Each shares its first ``overlap`` samples with the end of the one before.
    overlap : int

    Yields
    ------
    Tensor
        Consecutive stretches that make up the whole.

    Examples
    --------
    >>> ramp = torch.arange(10.0)
    >>> torch.cat(list(join([ramp[:6], ramp[4:]], overlap=2)))
    tensor([0., 1., 2., 3., 4., 5., 6., 7., 8., 9.])
    """
    held = None
    for part in parts:
        if held is not None:
            # In this form two equal samples give that very sample.
            faded = torch.lerp(held, part[..., :overlap], fade_in(overlap).to(part))
            part = torch.cat([faded, part[..., overlap:]], dim=-1) if overlap else part
        held = part[..., part.shape[-1] - overlap :].clone()
        yield part[..., : part.shape[-1] - overlap]
    if held is not None and overlap:
        yield held
