"""Microphone files read lazily, in bounded memory, once their headers are known to agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from irtools.recording.decoding import AudioFile
from irtools.recording.listing import find_files
from irtools.recording.multitrack import check_names

CHANNELS = ("error", "mean", "left", "right")
LENGTHS = ("error", "pad", "trim")


class MultitrackReader:
    """Read the microphone files of one recording block by block; their headers are checked on opening.

    Parameters
    ----------
    source : path, or sequence of paths
        A folder (each .wav and .flac file in it, in natural order: ``mic2`` before ``mic10``; hidden files, folders
        and other files are ignored), or the files themselves, in the order wanted.
    channels : {"error", "mean", "left", "right"}
        What a file of several channels becomes: an error, their average, the first or the second channel.
    lengths : {"error", "pad", "trim"}
        What files of different lengths are: an error, padded with zeros to the longest, cut to the shortest.
    names : sequence of str, optional
        Read only these microphones, in this order. A microphone's name is its file's name without the suffix.

    Attributes
    ----------
    names : tuple of str
    paths : tuple of Path
    sample_rate : int
        In Hz.
    samples : int
        Length of every signal as it is read, in samples.

    Raises
    ------
    ValueError
        Folder missing, not a folder, or without audio; a file missing, unreadable, truncated or empty; two files of
        one name, of different rates or, with ``lengths="error"``, of different lengths; several channels with
        ``channels="error"``. The message names the file and what was expected.

    Notes
    -----
    Samples are float32 and never rescaled: integer PCM of B bits is divided by 2^(B-1), float PCM is kept as it is.

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.recording.files import Multitrack, write_multitrack
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_multitrack(folder.name, Multitrack(("vocals", "bass"), torch.zeros(2, 10), 44100))
    >>> with MultitrackReader(folder.name) as reader:
    ...     print(reader.names, [tuple(block.shape) for block in reader.blocks(4)])
    ('bass', 'vocals') [(2, 4), (2, 4), (2, 2)]
    >>> folder.cleanup()
    """

    def __init__(self, source, *, channels: str = "error", lengths: str = "error", names=None):
        _check_choice("channels", channels, CHANNELS)
        _check_choice("lengths", lengths, LENGTHS)
        paths = _select(find_files(source), source, names)
        self.names, self.paths = tuple(paths), tuple(paths.values())
        self._channels, self._closed = channels, False
        with ExitStack() as stack:
            self._files = [stack.enter_context(AudioFile(path)) for path in self.paths]
            _check_headers(self._files, channels, lengths)
            self._handles = stack.pop_all()
        shortest_or_longest = min if lengths == "trim" else max
        self.sample_rate: int = self._files[0].sample_rate
        self.samples: int = shortest_or_longest(file.samples for file in self._files)

    def __enter__(self) -> MultitrackReader:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; the reader cannot be read any more."""
        self._closed = True
        self._handles.close()

    def read(self, start: int = 0, samples: int | None = None) -> Tensor:
        """Samples ``start`` to ``start + samples`` of every microphone, fewer where the recording ends before.

        Parameters
        ----------
        start : int
            First sample.
        samples : int, optional
            How many; None reads to the end.

        Returns
        -------
        Tensor, shape (mics, samples), float32

        Raises
        ------
        ValueError
            A start outside the recording, fewer than one sample asked for, a reader that is closed, a file that ends
            before its header says, or a NaN or infinite sample (the file and its position are named).

        Examples
        --------
        >>> import tempfile, torch
        >>> from irtools.recording.files import Multitrack, write_multitrack
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = write_multitrack(folder.name, Multitrack(("ramp",), torch.arange(6.0)[None], 8000))
        >>> with MultitrackReader(folder.name) as reader:
        ...     reader.read(start=2, samples=3)
        tensor([[2., 3., 4.]])
        >>> folder.cleanup()
        """
        if self._closed:
            raise ValueError("reader: expected an open MultitrackReader, got one that was closed")
        if not 0 <= start < self.samples:
            raise ValueError(f"start: expected a sample from 0 to {self.samples - 1}, got {start}")
        if samples is not None and samples < 1:
            raise ValueError(f"samples: expected at least 1, got {samples}")
        stop = self.samples if samples is None else min(start + samples, self.samples)
        block = torch.zeros(len(self._files), stop - start)
        for row, file in zip(block, self._files, strict=True):
            present = min(stop, file.samples) - start
            if present > 0:
                row[:present] = torch.from_numpy(_to_mono(file.read(start, present), self._channels))
        return block

    def blocks(self, block_samples: int) -> Iterator[Tensor]:
        """Go through the whole recording, ``block_samples`` samples at a time.

        Parameters
        ----------
        block_samples : int

        Yields
        ------
        Tensor, shape (mics, block_samples), float32
            The last one is shorter where the length is no multiple.

        Raises
        ------
        ValueError
            Fewer than one sample a block; otherwise as :meth:`read`.

        Examples
        --------
        >>> import tempfile, torch
        >>> from irtools.recording.files import Multitrack, write_multitrack
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = write_multitrack(folder.name, Multitrack(("ramp",), torch.arange(5.0)[None], 8000))
        >>> with MultitrackReader(folder.name) as reader:
        ...     [block.tolist() for block in reader.blocks(3)]
        [[[0.0, 1.0, 2.0]], [[3.0, 4.0]]]
        >>> folder.cleanup()
        """
        if block_samples < 1:
            raise ValueError(f"block_samples: expected at least 1, got {block_samples}")
        return (self.read(start, block_samples) for start in range(0, self.samples, block_samples))


def _select(found: dict[str, Path], source, names) -> dict[str, Path]:
    if names is None:
        return found
    names = check_names(names)
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{source}: no file for microphone {missing[0]!r}; it holds {', '.join(found)}")
    return {name: found[name] for name in names}


def _check_choice(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument}: expected one of {', '.join(allowed)}, got {value!r}")


def _check_headers(files: list[AudioFile], channels: str, lengths: str) -> None:
    first = files[0]
    for file in files:
        if file.sample_rate != first.sample_rate:
            raise ValueError(
                f"{file.path}: {file.sample_rate} Hz, but {first.path} has {first.sample_rate} Hz; "
                "expected one sample rate"
            )
        if file.channels > 1 and channels == "error":
            raise ValueError(
                f"{file.path}: {file.channels} channels; expected one a microphone "
                '(channels="mean", "left" or "right" makes one of them)'
            )
        if file.samples != first.samples and lengths == "error":
            raise ValueError(
                f"{file.path}: {file.samples} samples, but {first.path} has {first.samples}; expected one length "
                '(lengths="pad" appends zeros, "trim" cuts to the shortest)'
            )


def _to_mono(frames: np.ndarray, channels: str) -> np.ndarray:
    if frames.shape[1] == 1 or channels == "left":
        return frames[:, 0]
    if channels == "right":
        return frames[:, 1]
    return frames.mean(axis=1, dtype=np.float64).astype(np.float32)
