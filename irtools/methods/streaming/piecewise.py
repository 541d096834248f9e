"""Any method on a recording that comes in pieces: learn if it can, separate each piece, join the estimates."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from torch import Tensor

from irtools.methods.registry import LEARNERS, find_method
from irtools.methods.separator import ConvergenceWarning, Reduction, Separator, check_assignment
from irtools.methods.streaming.pieces import cut, join


def silent_progress(stage: str, done: int, total: int) -> None:
    """Where nobody wants to hear of progress."""


@dataclass(frozen=True)
class Recording:
    """Where the pieces come from.

    Attributes
    ----------
    read : callable
        ``read(start, end)`` gives the microphones (mics, samples) and the mixdown (samples,) or None.
    n_mics, samples, sample_rate : int
    has_mixdown : bool
    """

    read: Callable[[int, int], tuple[Tensor, Tensor | None]]
    n_mics: int
    samples: int
    sample_rate: int
    has_mixdown: bool = False


class Piecewise:
    """One method on one recording, piece by piece; learns on construction, where the method can.

    Parameters
    ----------
    recording : Recording
    method : str
        A key of :data:`irtools.METHODS`.
    chunk_seconds : float
        Length of a piece; rounded up to what the method needs.
    overlap_seconds : float
        What pieces share where the method reduces each on its own; at most half a piece.
    options : dict
        Parameters of the method.
    on_chunk : callable
        ``on_chunk(stage, done, total)`` in samples, at the start of "separate" and after each piece of each stage.

    Attributes
    ----------
    separator : Separator
    cuts : list of (int, int)
        First and end sample of each piece.
    overlap : int
        In samples.
    pieces : list of dict
        Each piece so far, in plain types: ``start_s`` and ``end_s`` and, unless one thing was learned for the whole
        recording, its own ``n_iter``, ``converged``, ``gains`` and ``cost`` (first and last).

    Raises
    ------
    ValueError
        Lengths that are no positive numbers, an unknown method, or a mixdown for a method that takes none.

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    >>> recording = Recording(lambda start, end: (mics[:, start:end], None), 2, 1000, 100)
    >>> run = Piecewise(recording, "am", chunk_seconds=3, options={"variant": "notebook"})
    >>> run.cuts, [tuple(stretch.shape) for stretch in run.stretches()]
    ([(0, 300), (300, 600), (600, 1000)], [(2, 300), (2, 300), (2, 400)])
    """

    def __init__(
        self,
        recording: Recording,
        method: str,
        *,
        chunk_seconds: float = 30.0,
        overlap_seconds: float = 1.0,
        options: dict | None = None,
        on_chunk: Callable[[str, int, int], None] = silent_progress,
    ):
        options = options or {}
        function = find_method(method)
        if not 0 < chunk_seconds < math.inf:
            raise ValueError(f"chunk_seconds: expected a positive number of seconds, got {chunk_seconds}")
        if not 0 <= overlap_seconds < math.inf:
            raise ValueError(f"overlap_seconds: expected 0 seconds or more, got {overlap_seconds}")
        if recording.has_mixdown and "mixdown" not in inspect.signature(function).parameters:
            raise ValueError(f"mixdown: given, but the method {method!r} does not use one")
        self._recording, self._on_chunk = recording, on_chunk
        size = max(1, round(chunk_seconds * recording.sample_rate))
        self.cuts, self.overlap = cut(recording.samples, size), 0
        self.pieces, self._last, self._weighted_gains = [], None, 0
        self._n_iter, self._converged = 0, True
        if method in LEARNERS:
            with closing(self._read("learn")) as pieces:
                self.separator = LEARNERS[method](pieces, recording.sample_rate, **options)
        else:
            overlap = min(round(overlap_seconds * recording.sample_rate), size // 2)
            self.separator = _each_on_its_own(function, recording, options, overlap)
        if len(self.cuts) > 1:
            align = self.separator.align
            self.overlap = _up(self.separator.overlap, align)
            self.cuts = cut(recording.samples, _up(max(size, 2 * self.overlap), align), self.overlap)

    def stretches(self) -> Iterator[Tensor]:
        """Estimates of consecutive stretches of the recording, each of shape (sources, samples); goes through it once.

        Warns
        -----
        ConvergenceWarning
            At the end, once, where pieces did not converge.
        """
        yield from join(self._estimates(), self.overlap)

    def outcome(self) -> dict:
        """What was learned, as the fields of :class:`Reduction` besides the samples, and ``gains_from``.

        ``gains`` are the separator's ("recording") or else the mean over the pieces, weighted with their lengths
        ("mean of pieces"); ``cost`` only where it is of the whole; ``n_iter`` is the largest.
        """
        alone, gains, source = len(self.cuts) == 1, self.separator.gains, "recording"
        if gains is None and self._last.gains is not None:
            gains = self._last.gains if alone else self._weighted_gains / sum(end - start for start, end in self.cuts)
            source = "recording" if alone else "mean of pieces"
        return {
            "gains": gains,
            "gains_from": None if gains is None else source,
            "cost": self._last.cost if alone else self.separator.cost,
            "n_iter": max(self.separator.n_iter, self._n_iter),
            "converged": self.separator.converged and self._converged,
            "details": self._last.details if alone else self.separator.details or self._last.details,
        }

    def _read(self, stage):
        total = self._recording.samples
        if stage == "separate":  # a method that learns from the first piece alone has no progress in learning
            self._on_chunk(stage, 0, total)
        for start, end in self.cuts:
            yield self._recording.read(start, end)
            self._on_chunk(stage, end, total)

    def _estimates(self):
        said = []
        for mics, mixdown in self._read("separate"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                found = self.separator.separate(mics, mixdown)
            said += _told_again(caught)
            self._note(found, mics.shape[1])
            yield found.sources
        if said:
            one = f"{said[0]} ({len(said)} of {len(self.cuts)} pieces)" if len(self.cuts) > 1 else said[0]
            warnings.warn(one, ConvergenceWarning, stacklevel=2)

    def _note(self, found, length):
        start, end = (at / self._recording.sample_rate for at in self.cuts[len(self.pieces)])
        # Numbers, not tensors: these small ones would pin the memory around them.
        own = {} if self.separator.gains is not None else _numbers(found)
        self.pieces.append({"start_s": start, "end_s": end} | own)
        self._n_iter, self._converged = max(self._n_iter, found.n_iter), self._converged and found.converged
        if found.gains is not None:
            self._weighted_gains = self._weighted_gains + length * found.gains.double()
        self._last = replace(found, sources=None)


def _numbers(found: Reduction) -> dict:
    gains = None if found.gains is None else found.gains.tolist()
    return {"n_iter": found.n_iter, "converged": found.converged, "gains": gains, "cost": ends(found.cost)}


def ends(cost: Tensor | None) -> list[float] | None:
    """The first and the last objective, as numbers.

    Examples
    --------
    >>> import torch
    >>> ends(torch.tensor([4.0, 2.0, 1.0]))
    [4.0, 1.0]
    """
    return None if cost is None else [float(cost[0]), float(cost[-1])]


def _told_again(caught) -> list[str]:
    """Messages of the convergence warnings; any other warning is passed on."""
    for one in caught:
        if not issubclass(one.category, ConvergenceWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return [str(one.message) for one in caught if issubclass(one.category, ConvergenceWarning)][:1]


def _each_on_its_own(function, recording, options, overlap) -> Separator:
    def separate(mics, mixdown) -> Reduction:
        mixdowns = {} if mixdown is None else {"mixdown": mixdown}
        return function(mics, recording.sample_rate, **mixdowns, **options)

    close_mics = check_assignment(options.get("assignment"), recording.n_mics, options.get("n_sources"))
    return Separator(separate=separate, close_mics=close_mics, overlap=overlap)


def _up(samples: int, align: int) -> int:
    return -(-samples // align) * align
