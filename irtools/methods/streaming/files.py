"""Reduce a recording of any length from file to file, with working memory bounded by one piece."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from irtools.checks import check_number
from irtools.methods.registry import choose_device, find_method
from irtools.methods.separator import ConvergenceWarning, Recording, Reduction, Separator
from irtools.methods.streaming.pieces import CrossFade, cut
from irtools.recording.audit import Auditor
from irtools.recording.reading import MultitrackReader
from irtools.recording.writing import MultitrackWriter

# Tensors of the details that hold more values than this stay out of a report.
_REPORTED_VALUES = 1024
# Options that say which microphones have a source.
_LAYOUT = ("assignment", "n_sources", "close_mics")
_LEFT_OUT = object()


def silent_progress(stage: str, done: int, total: int) -> None:
    """Where nobody wants to hear of progress."""


def reduce_files(
    reader: MultitrackReader,
    out_dir: Path,
    method: str = "closemic",
    *,
    mixdown: MultitrackReader | None = None,
    ambient: Sequence[str] = (),
    demix_ambient: bool = False,
    chunk_seconds: float = 30.0,
    device: str = "auto",
    on_chunk: Callable[[str, int, int], None] = silent_progress,
    **options,
) -> dict:
    """Reduce the recording behind ``reader`` into one file per microphone: of its source, or of an ambient one itself.

    Parameters
    ----------
    reader : MultitrackReader
        Read once to separate, and before that once more by a method that learns from the whole recording.
    out_dir : Path
        Where ``<mic>.wav`` (float32) go; all of them appear at the end, or none.
    method : str
        A key of :data:`irtools.METHODS`.
    mixdown : MultitrackReader, optional
        One file with the mixdown, of the recording's rate and length, for a method that uses one.
    ambient : sequence of str
        Names of microphones without a source of their own. The method hears them, and they are copied unchanged.
    demix_ambient : bool
        Instead of the copies, what these microphones hold besides the sources, by a method that has this option.
    chunk_seconds : float
        Length of the pieces that are in memory at a time; rounded up to what the method needs. The last piece has up to
        one and a half of it, and a recording no longer than that is reduced in one piece.
    device : str
        As in :func:`irtools.reduce`.
    on_chunk : callable
        Called with the stage ("learn" or "separate"), the samples done and all samples, at the start of "separate" and
        after each piece. Only a method that learns from the whole recording has a stage "learn".
    **options
        Parameters of the method.

    Returns
    -------
    dict
        Plain types, ready for a report: the method, its options, what it learned, each piece with its iterations, what
        is odd about the recording (``findings``, see :func:`irtools.recording.audit.Auditor`), the time it took.
        ``outputs`` names the files, sources first, and ``ambient`` says of each such microphone "copied" or "demixed".
        ``gains`` are those of the whole recording where the method learns them, otherwise the mean over the pieces,
        weighted with their lengths; ``gains_from`` says which.

    Raises
    ------
    TypeError, ValueError
        Invalid options or unreadable files; nothing is written.

    Warns
    -----
    ConvergenceWarning
        Once, with the number of pieces that did not converge.

    Notes
    -----
    Where two pieces overlap, the estimates are cross-faded with weights that add up to one. A linear method with one
    matrix for the recording ("am", "ica") gives the samples that :func:`irtools.reduce` gives on the whole.

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.recording.multitrack import Multitrack, write_multitrack
    >>> folder = Path(tempfile.mkdtemp())
    >>> mics = torch.randn(2, 900, generator=torch.Generator().manual_seed(0))
    >>> _ = write_multitrack(folder / "mics", Multitrack(("a", "b"), mics, 1000))
    >>> with MultitrackReader(folder / "mics") as reader:
    ...     report = reduce_files(reader, folder / "out", "am", chunk_seconds=0.4, variant="notebook")
    >>> report["method"], report["outputs"], report["samples"], len(report["pieces"])
    ('am', ['a', 'b'], 900, 2)
    """
    start = time.perf_counter()
    _check_mixdown(reader, mixdown)
    target = choose_device(device)
    chosen = find_method(method, mixdown is not None)
    check_number("chunk_seconds", chunk_seconds, above=0, unit="seconds")
    others = _ambient_mics(reader.names, ambient)
    layout = _ambient_options(method, options, len(reader.names), others, demix_ambient)
    copied = [] if demix_ambient else others
    size = max(1, round(chunk_seconds * reader.sample_rate))

    recording = _open(reader, mixdown, target, cut(reader.samples, size), on_chunk)
    separator = chosen.learn(recording, **options, **layout)
    cuts, overlap = _cut_to_separate(recording, separator, size)

    outputs = [reader.names[mic] for mic in separator.close_mics + others]
    separation, faded, auditor = Separation(separator, recording, cuts), CrossFade(overlap), Auditor(reader.names)
    with MultitrackWriter(out_dir, outputs, reader.sample_rate, samples=reader.samples) as writer:
        on_chunk("separate", 0, reader.samples)
        for first, end in cuts:
            mics, mix = recording.read(first, end)
            auditor.add(mics[:, 0 if first == 0 else overlap :])
            parts = torch.cat([separation.separate(mics, mix).sources, mics[copied]])
            writer.write(faded.add(parts).cpu())
            on_chunk("separate", end, reader.samples)
        if overlap:
            writer.write(faded.rest().cpu())
    separation.warn()

    seconds = time.perf_counter() - start
    return {
        "method": method,
        "options": options,
        "mics": list(reader.names),
        "outputs": outputs,
        "ambient": {reader.names[mic]: "demixed" if demix_ambient else "copied" for mic in others},
        "sample_rate": reader.sample_rate,
        "samples": reader.samples,
        **_plain(separation.outcome()),
        "pieces": separation.pieces,
        "findings": auditor.findings(),
        "device": str(target),
        "chunk_seconds": cuts[0][1] / reader.sample_rate,
        "overlap_seconds": overlap / reader.sample_rate,
        "elapsed_s": seconds,
        "times_real_time": reader.samples / reader.sample_rate / seconds,
    }


def _ambient_mics(names: Sequence[str], ambient: Sequence[str]) -> list[int]:
    """The microphones called ``ambient``, in order of the recording."""
    if isinstance(ambient, str):
        raise TypeError(f"ambient: expected a sequence of names, got the string {ambient!r}")
    for name in ambient:
        if name not in names:
            raise ValueError(f"ambient: no microphone called {name!r}; expected some of {', '.join(names)}")
    if len(set(ambient)) < len(ambient):
        raise ValueError(f"ambient: expected each microphone once, got {', '.join(ambient)}")
    if len(ambient) == len(names):
        raise ValueError(f"ambient: expected a microphone that is left for a source, got all: {', '.join(ambient)}")
    return [mic for mic, name in enumerate(names) if name in ambient]


def _ambient_options(method: str, options: dict, n_mics: int, others: list[int], demix: bool) -> dict:
    """What tells ``method`` of ambient microphones, once it and its other options allow for them."""
    if not others:
        if demix:
            raise ValueError("demix_ambient: expected names of ambient microphones, got none")
        return {}
    known = find_method(method).options
    if "assignment" not in known:
        raise ValueError(f"ambient: the method {method!r} needs a source at every microphone; expected another method")
    if demix and "demix_ambient" not in known:
        raise ValueError(f"demix_ambient: the method {method!r} estimates sources alone; expected closemic")
    for option in _LAYOUT:
        if option in options:
            raise ValueError(f"{option}: given beside ambient, which leaves a source to every other microphone")
    assignment = tuple(mic for mic in range(n_mics) if mic not in others)
    return {"assignment": assignment} | ({"demix_ambient": True} if demix else {})


def _open(reader, mixdown, target, cuts, on_chunk) -> Recording:
    def read(first: int, end: int) -> tuple[Tensor, Tensor | None]:
        mics = reader.read(first, end - first).to(target)
        return mics, mixdown.read(first, end - first)[0].to(target) if mixdown else None

    return Recording(len(reader.names), reader.samples, reader.sample_rate, read, cuts, on_chunk)


def _cut_to_separate(recording: Recording, separator: Separator, size: int) -> tuple[list[tuple[int, int]], int]:
    """Pieces that overlap and are aligned as the separator needs it, and their overlap."""
    if len(recording.cuts) == 1:
        return recording.cuts, 0
    overlap = _up(separator.overlap, separator.align)
    size = _up(max(size, 2 * overlap), separator.align)
    return cut(recording.samples, size, overlap), overlap


def _up(samples: int, align: int) -> int:
    return -(-samples // align) * align


class Separation:
    """Separates piece by piece and keeps what a report tells of each, and of all of them."""

    def __init__(self, separator: Separator, recording: Recording, cuts: list[tuple[int, int]]):
        self.separator, self.rate, self.cuts = separator, recording.sample_rate, cuts
        self.pieces, self._said = [], []
        self._gains, self._n_iter, self._converged = 0, separator.n_iter, separator.converged

    def separate(self, mics: Tensor, mixdown: Tensor | None) -> Reduction:
        """The next piece; its convergence warning waits for :meth:`warn`."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            found = self.separator.reduce(mics, mixdown)
        ours = [one for one in caught if issubclass(one.category, ConvergenceWarning)]
        self._said += [str(one.message) for one in ours[:1]]
        for one in caught:
            if one not in ours:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        self._note(found, mics.shape[1])
        return found

    def warn(self) -> None:
        """One warning for all pieces that did not converge."""
        if self._said:
            of = f" ({len(self._said)} of {len(self.cuts)} pieces)" if len(self.cuts) > 1 else ""
            warnings.warn(self._said[0] + of, ConvergenceWarning, stacklevel=3)

    def outcome(self) -> dict:
        """The fields of :class:`Reduction` besides the samples, and ``gains_from``; of costs, the first and the last.

        ``cost`` only where it is of the whole recording; ``n_iter`` is the largest of all pieces.
        """
        alone, gains, source = len(self.cuts) == 1, self.separator.gains, "recording"
        if gains is None and self._last.gains is not None:
            gains = self._last.gains if alone else self._gains / sum(end - start for start, end in self.cuts)
            source = "recording" if alone else "mean of pieces"
        return {
            "gains": gains,
            "gains_from": None if gains is None else source,
            "cost": _ends(self._last.cost if alone else self.separator.cost),
            "n_iter": self._n_iter,
            "converged": self._converged,
            "details": self._last.details if alone else self.separator.details or self._last.details,
        }

    def _note(self, found, length):
        start, end = (at / self.rate for at in self.cuts[len(self.pieces)])
        own = {}
        if self.separator.gains is None:
            # Numbers, not tensors: these small ones would pin the memory around them.
            gains = None if found.gains is None else found.gains.tolist()
            own = {"n_iter": found.n_iter, "converged": found.converged, "gains": gains, "cost": _ends(found.cost)}
        self.pieces.append({"start_s": start, "end_s": end} | own)
        self._n_iter, self._converged = max(self._n_iter, found.n_iter), self._converged and found.converged
        if found.gains is not None:
            self._gains = self._gains + length * found.gains.double()
        self._last = Reduction(None, found.gains, found.cost, details=found.details)


def _ends(cost: Tensor | None) -> list[float] | None:
    return None if cost is None else [float(cost[0]), float(cost[-1])]


def _check_mixdown(reader, mixdown):
    if mixdown is None:
        return
    if len(mixdown.names) != 1:
        raise ValueError(f"mixdown: expected one file, got {len(mixdown.names)}")
    ours, its = (reader.sample_rate, reader.samples), (mixdown.sample_rate, mixdown.samples)
    if ours != its:
        raise ValueError(
            f"{mixdown.paths[0]}: {its[1]} samples at {its[0]} Hz; expected the recording's {ours[1]} at {ours[0]} Hz"
        )


def _plain(value):
    """Plain types of JSON; what is too large for a report, or has no such type, is left out."""
    if isinstance(value, dict):
        plain = {str(name): _plain(item) for name, item in value.items()}
        return {name: item for name, item in plain.items() if item is not _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return [item for item in map(_plain, value) if item is not _LEFT_OUT]
    if isinstance(value, Tensor) and value.numel() <= _REPORTED_VALUES and not value.is_complex():
        return value.tolist()
    return value if value is None or isinstance(value, (bool, int, float, str)) else _LEFT_OUT
