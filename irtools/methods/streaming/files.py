"""Reduce a recording of any length, from file to file or in memory, with working memory bounded by one chunk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from irtools.methods.registry import choose_device
from irtools.methods.separator import Reduction, check_mics
from irtools.methods.streaming.piecewise import Piecewise, Recording, ends, silent_progress
from irtools.recording.audit import Auditor
from irtools.recording.reading import MultitrackReader
from irtools.recording.writing import MultitrackWriter

# Tensors of the details that hold more values than this stay out of a report.
_REPORTED_VALUES = 1024
_LEFT_OUT = object()


def reduce_files(
    reader: MultitrackReader,
    out_dir: Path,
    method: str = "closemic",
    *,
    mixdown: MultitrackReader | None = None,
    chunk_seconds: float = 30.0,
    overlap_seconds: float = 1.0,
    device: str = "auto",
    on_chunk: Callable[[str, int, int], None] = silent_progress,
    **options,
) -> dict:
    """Reduce the recording behind ``reader`` into one file a source, named like the source's close microphone.

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
    chunk_seconds : float
        Length of the pieces that are in memory at a time; rounded up to what the method needs. The last piece has up to
        one and a half of it, and a recording no longer than that is reduced in one piece.
    overlap_seconds : float
        What consecutive pieces share, at most half a chunk, for a method that reduces each piece on its own. A method
        that learns from the recording knows the overlap that it needs.
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
    _check_mixdown(reader, mixdown)
    start = time.perf_counter()
    target = choose_device(device)
    auditor, audited = Auditor(reader.names), 0

    def read(first: int, end: int) -> tuple[Tensor, Tensor | None]:
        nonlocal audited
        mics = reader.read(first, end - first)
        if end > audited:
            auditor.add(mics[:, audited - first :])
            audited = end
        return mics.to(target), mixdown.read(first, end - first)[0].to(target) if mixdown else None

    run = Piecewise(
        Recording(read, len(reader.names), reader.samples, reader.sample_rate, mixdown is not None),
        method,
        chunk_seconds=chunk_seconds,
        overlap_seconds=overlap_seconds,
        options=options,
        on_chunk=on_chunk,
    )
    outputs = [reader.names[mic] for mic in run.separator.close_mics]
    with MultitrackWriter(out_dir, outputs, reader.sample_rate, samples=reader.samples) as writer:
        for stretch in run.stretches():
            writer.write(stretch.cpu())
    outcome, seconds = run.outcome(), time.perf_counter() - start
    return {
        "method": method,
        "options": options,
        "mics": list(reader.names),
        "outputs": outputs,
        "sample_rate": reader.sample_rate,
        "samples": reader.samples,
        **_plain(outcome | {"cost": ends(outcome["cost"])}),
        "pieces": run.pieces,
        "findings": auditor.findings(),
        "device": str(target),
        "chunk_seconds": run.cuts[0][1] / reader.sample_rate,
        "overlap_seconds": run.overlap / reader.sample_rate,
        "elapsed_s": seconds,
        "times_real_time": reader.samples / reader.sample_rate / seconds,
    }


def reduce_in_chunks(
    mics: Tensor,
    sample_rate: int,
    method: str = "closemic",
    *,
    mixdown: Tensor | None = None,
    chunk_seconds: float = 30.0,
    overlap_seconds: float = 1.0,
    device: str = "auto",
    on_chunk: Callable[[str, int, int], None] = silent_progress,
    **options,
) -> Reduction:
    """Reduce a recording that is in memory, chunk by chunk: as :func:`reduce_files` does, without files.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int
        In Hz.
    method : str
        A key of :data:`irtools.METHODS`.
    mixdown : Tensor, shape (samples,), optional
        For a method that uses one.
    chunk_seconds, overlap_seconds, device, on_chunk
        As in :func:`reduce_files`.
    **options
        Parameters of the method.

    Returns
    -------
    Reduction
        ``sources`` has the dtype, device and number of samples of ``mics``; ``details`` has, besides the method's own,
        ``gains_from`` and ``pieces`` as in the report of :func:`reduce_files`.

    Raises
    ------
    TypeError, ValueError
        As :func:`irtools.reduce`.

    Warns
    -----
    ConvergenceWarning
        Once, with the number of pieces that did not converge.

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0))
    >>> found = reduce_in_chunks(mics, 1000, "am", chunk_seconds=1, variant="notebook")
    >>> found.sources.shape, len(found.details["pieces"])
    (torch.Size([2, 3000]), 3)
    """
    check_mics(mics, sample_rate)
    start = time.perf_counter()
    target = choose_device(device, mics.device)
    if mixdown is not None and (not isinstance(mixdown, Tensor) or mixdown.shape != mics.shape[1:]):
        raise ValueError(f"mixdown: expected a Tensor of shape ({mics.shape[1]},), got {_shape(mixdown)}")

    def read(first: int, end: int) -> tuple[Tensor, Tensor | None]:
        return mics[:, first:end].to(target), None if mixdown is None else mixdown[first:end].to(target)

    run = Piecewise(
        Recording(read, *mics.shape, sample_rate, mixdown is not None),
        method,
        chunk_seconds=chunk_seconds,
        overlap_seconds=overlap_seconds,
        options=options,
        on_chunk=on_chunk,
    )
    sources, done = mics.new_empty(len(run.separator.close_mics), mics.shape[1]), 0
    for stretch in run.stretches():
        sources[:, done : done + stretch.shape[1]] = stretch
        done += stretch.shape[1]
    outcome = run.outcome()
    told = {"gains_from": outcome.pop("gains_from"), "pieces": run.pieces}
    return Reduction(
        **outcome
        | {
            "sources": sources,
            "gains": None if outcome["gains"] is None else outcome["gains"].to(mics),
            "seconds": time.perf_counter() - start,
            "method": method,
            "details": outcome["details"] | told,
        }
    )


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


def _shape(value):
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
