"""Audio files found, checked and read piece by piece, so that a recording of any length fits into memory."""

from __future__ import annotations

import re
import struct
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from irtools.checks import check_choice, check_int

SUFFIXES = (".wav", ".flac")
# An MP3 frame (1152 samples) takes bits from frames before it, up to 511 bytes back: five of the smallest frames.
# A decoder that starts in the middle is right after those only, so it starts this many samples early.
_MP3_LEAD = 16 * 1152
# Without a Xing header the length of an MP3 is estimated from its size in bytes, tags at its end included.
_MP3_ESTIMATE = 2 * 1152
# Sizes that a program writes into a header when it streams and cannot know the length: no sign of truncation.
_UNKNOWN_SIZES = {0, 0xFFFFFFFF, *range(0x7FFFF000, 0x80000000)}


class MultitrackReader:
    """The files of one recording, opened and compared; arguments and errors are :func:`irtools.read_multitrack`'s.

    Attributes: ``names``, ``paths``, ``sample_rate`` in Hz, and ``samples``, the length of every signal as it is read.
    """

    def __init__(self, source, *, channels: str = "error", lengths: str = "error", names=None):
        self._channels = check_choice("channels", channels, ("error", "mean", "left", "right"))
        check_choice("lengths", lengths, ("error", "pad", "trim"))
        paths = _select(find_files(source), source, names)
        self.names, self.paths = tuple(paths), tuple(paths.values())
        with ExitStack() as stack:
            self._files = [stack.enter_context(closing(AudioFile(path))) for path in self.paths]
            _check_headers(self._files, channels, lengths)
            self._handles = stack.pop_all()
        self.sample_rate: int = self._files[0].sample_rate
        self.samples: int = (min if lengths == "trim" else max)(file.samples for file in self._files)

    def __enter__(self) -> MultitrackReader:
        return self

    def __exit__(self, *exception) -> None:
        self._files = []
        self._handles.close()

    def read(self, start: int = 0, samples: int | None = None) -> Tensor:
        """``samples`` samples from ``start`` on, fewer where the recording ends before: (mics, samples), float32."""
        if not self._files:
            raise ValueError("reader: expected an open MultitrackReader, got one that was closed")
        if not 0 <= start < self.samples:
            raise ValueError(f"start: expected a sample from 0 to {self.samples - 1}, got {start}")
        stop = self.samples if samples is None else min(start + check_int("samples", samples, 1), self.samples)
        block = torch.zeros(len(self._files), stop - start)
        for row, file in zip(block, self._files, strict=True):
            present = min(stop, file.samples) - start
            if present > 0:
                row[:present] = torch.from_numpy(_to_mono(file.read(start, present), self._channels))
        return block


# Which files


def find_files(source) -> dict[str, Path]:
    """Audio files by name: those of a folder in natural order, or those of a sequence of paths as they come."""
    if isinstance(source, str | Path):
        paths = _list_folder(Path(source))
    else:
        try:
            paths = [Path(path) for path in source]
        except TypeError:
            raise TypeError(f"source: expected a folder or a sequence of paths, got {source!r}") from None
    if not paths:
        raise ValueError("source: expected at least one file, got an empty sequence")
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise ValueError(f"{path}: same microphone name {path.stem!r} as {found[path.stem]}; expected each once")
        found[path.stem] = path
    return found


def _list_folder(folder: Path) -> list[Path]:
    if not folder.exists():
        raise ValueError(f"{folder}: no such folder; expected a folder of .wav or .flac files")
    if not folder.is_dir():
        raise ValueError(f"{folder}: is a file; expected a folder of .wav or .flac files, or a list of files")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    ]
    if not found:
        raise ValueError(f"{folder}: holds no audio; expected at least one .wav or .flac file")
    return sorted(found, key=lambda path: (natural_key(path.stem), path.name))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts names as people do: runs of digits by their value, letters without regard to case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def check_names(names) -> tuple[str, ...]:
    """``names`` as a tuple, after checking that they are non-empty strings, each there once."""
    if isinstance(names, str):
        raise TypeError(f"names: expected a sequence of str, got the single str {names!r}")
    names = tuple(names)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"names: expected a sequence of str, got {name!r} in it")
        if not name:
            raise ValueError(f"names: expected non-empty names, got {names}")
        if names.count(name) > 1:
            raise ValueError(f"names: expected each name once, got {name!r} {names.count(name)} times")
    if not names:
        raise ValueError("names: expected at least one name, got none")
    return names


def _select(found: dict[str, Path], source, names) -> dict[str, Path]:
    if names is None:
        return found
    names = check_names(names)
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{source}: no file for microphone {missing[0]!r}; it holds {', '.join(found)}")
    return {name: found[name] for name in names}


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
                f"{file.path}: {file.channels} channels; expected one per microphone "
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


# One file


class AudioFile:
    """An open audio file of any format that libsndfile decodes, known to be whole (a FLAC file once it is read)."""

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            raise ValueError(f"{path}: no such file; expected an audio file")
        try:
            self._file = soundfile.SoundFile(path)
        except (soundfile.SoundFileError, OSError) as error:
            raise ValueError(f"{path}: not a readable audio file ({error}); expected e.g. WAV or FLAC") from error
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.samples: int = self._file.frames
        self._lead = _MP3_LEAD if self._file.format == "MP3" else 0
        try:
            self._check_whole()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, start: int, samples: int) -> np.ndarray:
        """Samples of every channel, (samples, channels), float32; integers of B bits are divided by 2^(B-1)."""
        frames = self._decode(start, samples)
        if len(frames) < samples:
            raise ValueError(
                f"{self.path}: truncated: its header announces {self.samples} samples, it ends at {start + len(frames)}"
            )
        bad = first_non_finite(frames)
        if bad is not None:
            value = frames[bad][~np.isfinite(frames[bad])][0]
            raise ValueError(
                f"{self.path}: non-finite value ({value}) at sample {start + bad}; expected finite samples"
            )
        return frames

    def _decode(self, start: int, samples: int) -> np.ndarray:
        try:
            lead = 0
            if self._file.tell() != start:
                lead = min(self._lead, start)
                self._file.seek(start - lead)
            return self._file.read(lead + samples, dtype="float32", always_2d=True)[lead:]
        except soundfile.SoundFileError as error:
            raise ValueError(f"{self.path}: damaged or truncated after sample {start} ({error})") from error

    def _check_whole(self) -> None:
        missing = missing_bytes(self.path)
        if missing:
            raise ValueError(f"{self.path}: truncated: its header announces {missing} bytes more than it holds")
        if self.samples == 0:
            raise ValueError(f"{self.path}: holds no samples; expected at least one")
        if self._file.format == "MP3":
            # Its header may leave the length open: the end is found by decoding it.
            start = max(self.samples - _MP3_ESTIMATE, 0)
            end = start + len(self._decode(start, self.samples - start))
            if end == start:
                raise ValueError(f"{self.path}: truncated: it ends before sample {start} of {self.samples} announced")
            self.samples = end
            self._file.seek(0)


def missing_bytes(path: Path) -> int:
    """Bytes of samples that the header of a WAV or RF64 file announces beyond those that the file holds."""
    # A decoder mends that length without a word. A WAV file is a row of chunks, each of a four-letter name, a 32-bit
    # size and its content, filled up to an even length; the samples are the chunk "data". RF64 gives that size in 64
    # bits in an earlier chunk "ds64" (EBU Tech 3306, 2018).
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            return 0
        large = None
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            start = file.tell()
            if name == b"ds64":
                large = int.from_bytes(file.read(16)[8:], "little")
            elif name == b"data":
                announced = large if large and size == 0xFFFFFFFF else size
                held = path.stat().st_size - start
                return 0 if announced in _UNKNOWN_SIZES else max(announced - held, 0)
            file.seek(start + size + size % 2)
    return 0


def first_non_finite(frames: np.ndarray) -> int | None:
    """Index along the first axis of the first NaN or infinite value, or None."""
    # A finite sum means finite terms and costs no mask of their size; float32 terms cannot overflow it.
    if np.isfinite(frames.sum(dtype=np.float64)):
        return None
    bad = ~np.isfinite(frames.reshape(len(frames), -1)).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
