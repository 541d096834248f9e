"""Reduce a recording of any length from file to file, in memory bounded by the length of one chunk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from irtools.methods.reduction import Separator
from irtools.methods.registry import LEARNERS, choose_device, find_method
from irtools.multitrack.audit import Auditor
from irtools.multitrack.files import MultitrackReader, MultitrackWriter


def reduce_files(
    reader: MultitrackReader,
    out_dir: Path,
    method: str = "am",
    *,
    mixdown: MultitrackReader | None = None,
    chunk_seconds: float = 30.0,
    device: str = "auto",
    on_chunk: Callable[[str, int, int], None] = lambda stage, done, total: None,
    **options,
) -> dict:
    """Reduce the recording behind ``reader`` into one file a source, named like the source's close microphone.

    Parameters
    ----------
    reader : MultitrackReader
        Read twice: to learn, and to separate.
    out_dir : Path
        Where ``<mic>.wav`` (float32) go; all of them appear at the end, or none.
    method : str
        A key of :data:`irtools.METHODS`.
    mixdown : MultitrackReader, optional
        One file with the mixdown, of the recording's rate and length, for a method that uses one.
    chunk_seconds : float
        Length of the pieces that are in memory at a time; rounded up to what the method needs.
    device : str
        As in :func:`irtools.reduce`.
    on_chunk : callable
        Called with the stage ("learn" or "separate"), the samples done and all samples after each piece.
    **options
        Parameters of the method.

    Returns
    -------
    dict
        Plain types, ready for a report: the method, its options, what it learned, what is odd about the recording
        (``findings``, see :func:`irtools.multitrack.audit.audit`), the time it took.

    Raises
    ------
    TypeError, ValueError
        Invalid options or unreadable files; nothing is written.

    Notes
    -----
    A linear method that learns from second moments gives the same samples as :func:`irtools.reduce` on the whole.

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.multitrack.files import Multitrack, write_multitrack
    >>> folder = Path(tempfile.mkdtemp())
    >>> mics = torch.randn(2, 900, generator=torch.Generator().manual_seed(0))
    >>> _ = write_multitrack(folder / "mics", Multitrack(("a", "b"), mics, 1000))
    >>> with MultitrackReader(folder / "mics") as reader:
    ...     report = reduce_files(reader, folder / "out", chunk_seconds=0.4, variant="notebook")
    >>> report["method"], report["outputs"], report["samples"]
    ('am', ['a', 'b'], 900)
    """
    find_method(method)
    if not 0 < chunk_seconds < math.inf:
        raise ValueError(f"chunk_seconds: expected a positive number of seconds, got {chunk_seconds}")
    _check_mixdown(reader, mixdown)
    target = choose_device(device)
    chunk = max(1, round(chunk_seconds * reader.sample_rate))
    start = time.perf_counter()

    def pieces(stage: str, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        done = 0
        mixdowns = mixdown.blocks(size) if mixdown else None
        for mics in reader.blocks(size):
            yield mics.to(target), next(mixdowns)[0].to(target) if mixdowns else None
            done += mics.shape[1]
            on_chunk(stage, done, reader.samples)

    separator = LEARNERS[method](pieces("learn", chunk), reader.sample_rate, **options)
    outputs = [reader.names[mic] for mic in separator.close_mics]
    auditor = Auditor(reader.names)
    size = -(-chunk // separator.align) * separator.align
    with MultitrackWriter(out_dir, outputs, reader.sample_rate, samples=reader.samples) as writer:
        for mics, piece in pieces("separate", size):
            auditor.add(mics)
            writer.write(separator.separate(mics, piece).sources.cpu())
    seconds = time.perf_counter() - start
    return _report(method, options, reader, outputs, separator) | {
        "findings": auditor.findings(),
        "device": str(target),
        "chunk_seconds": size / reader.sample_rate,
        "elapsed_s": seconds,
        "times_real_time": reader.samples / reader.sample_rate / seconds,
    }


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


def _report(method, options, reader, outputs, separator: Separator):
    return {
        "method": method,
        "options": options,
        "mics": list(reader.names),
        "outputs": outputs,
        "sample_rate": reader.sample_rate,
        "samples": reader.samples,
        "gains": None if separator.gains is None else separator.gains.tolist(),
        "cost": None if separator.cost is None else [float(separator.cost[0]), float(separator.cost[-1])],
        "n_iter": separator.n_iter,
        "converged": separator.converged,
        "details": separator.details,
    }
