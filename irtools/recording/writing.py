"""Files written whole or not at all: to a temporary name, renamed at the end; nothing of somebody else is replaced."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from irtools.checks import check_rate
from irtools.recording.reading import SUFFIXES, check_names, find_files, first_non_finite

# A WAV file counts its bytes in 32 bits; 4 KiB are left for the header. RF64 counts in 64.
WAV_MAX_SAMPLES = (2**32 - 4096) // 4


class MultitrackWriter:
    """One float32 WAV file per microphone, ``<folder>/<name>.wav``, written block by block inside a ``with`` block.

    The files appear, and replace older ones, when the block ends; if it ends with an exception, what was there before
    is untouched. The total ``samples``, where known, are checked at the end; files above 4 GiB (6.7 hours at
    44.1 kHz), which are written as RF64, need them.
    """

    def __init__(self, folder, names, sample_rate: int, *, samples: int | None = None):
        self.folder = Path(folder)
        self.names = _check_file_names(check_names(names))
        self.sample_rate, self.samples, self._announced = check_rate(sample_rate), 0, samples
        self.paths = tuple(self.folder / f"{name}.wav" for name in self.names)
        self._format = "RF64" if samples is not None and samples > WAV_MAX_SAMPLES else "WAV"
        self._files: list[soundfile.SoundFile] = []

    def __enter__(self) -> MultitrackWriter:
        self._session = self._writing()
        self._session.__enter__()
        return self

    def __exit__(self, *exception) -> bool | None:
        return self._session.__exit__(*exception)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _replacing_all(self.folder, self.paths) as temporary:
            with ExitStack() as stack:
                stack.callback(self._files.clear)
                for path in temporary:
                    file = soundfile.SoundFile(path, "w", self.sample_rate, 1, subtype="FLOAT", format=self._format)
                    self._files.append(stack.enter_context(file))
                yield
            if self.samples == 0:
                raise ValueError(f"{self.folder}: no samples were written; expected at least one")
            if self._announced is not None and self.samples != self._announced:
                raise ValueError(f"{self.folder}: {self.samples} samples were written; expected {self._announced}")
            for path in temporary:
                _clear_time_stamp(path)

    def write(self, block: Tensor) -> None:
        """Append samples, shape (mics, samples), float32 or float64, on any device; all of them have to be finite."""
        if not self._files:
            raise ValueError("writer: expected to be inside its `with` block")
        if not isinstance(block, Tensor) or block.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"block: expected a float32 or float64 tensor, got {getattr(block, 'dtype', type(block))}")
        if block.ndim != 2 or block.shape[0] != len(self.names):
            raise ValueError(f"block: expected shape ({len(self.names)}, samples), got {tuple(block.shape)}")
        if self._format == "WAV" and self.samples + block.shape[1] > WAV_MAX_SAMPLES:
            raise ValueError(
                f"{self.paths[0]}: more than {WAV_MAX_SAMPLES} samples do not fit a WAV file; "
                "expected their number in samples= (the files are then RF64)"
            )
        rows = block.detach().to("cpu", torch.float32).numpy()
        for row, path in zip(rows, self.paths, strict=True):
            bad = first_non_finite(row)
            if bad is not None:
                raise ValueError(f"{path}: non-finite value ({row[bad]}) at sample {self.samples + bad}; not written")
        for row, file in zip(rows, self._files, strict=True):
            file.write(row)
        self.samples += block.shape[1]


def _check_file_names(names: tuple[str, ...]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for name in names:
        if name.startswith(".") or any(character in name for character in "/\\:\0"):
            raise ValueError(f"names: {name!r} makes no file name; expected no leading dot and none of / \\ :")
        if seen.setdefault(name.casefold(), name) != name:
            raise ValueError(f"names: {name!r} and {seen[name.casefold()]!r} are one file where case does not count")
    return names


def _clear_time_stamp(path: Path) -> None:
    # libsndfile stamps the time into the PEAK chunk of float WAV files: the same samples would make other bytes.
    with path.open("r+b") as file:
        header = file.read(128)
        peak = header[: header.find(b"data")].find(b"PEAK")
        if peak >= 0:
            file.seek(peak + 12)
            file.write(bytes(4))


# Any file


def write_json(path, report) -> Path:
    """Write a report of plain types as JSON, whole or not at all, and return its path."""
    path = Path(path)
    text = json_text(report) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def json_text(report) -> str:
    """Plain types as JSON, which has no NaN and no infinity: NaN becomes null, infinities "inf" and "-inf"."""
    return json.dumps(_without_non_finite(report), indent=2, ensure_ascii=False, allow_nan=False)


def _without_non_finite(value):
    if isinstance(value, dict):
        return {key: _without_non_finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_non_finite(entry) for entry in value]
    if isinstance(value, float | np.floating):
        value = float(value)
        return None if math.isnan(value) else str(value) if math.isinf(value) else value
    return value


@contextmanager
def replacing(path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends, and is removed when it raises."""
    path = Path(path)
    with _replacing_all(path.parent, [path]) as (temporary,):
        yield temporary


@contextmanager
def _replacing_all(folder: Path, paths) -> Iterator[list[Path]]:
    _check_targets(folder, paths)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    temporary = [folder / f".{token}-{number}.part" for number in range(len(paths))]
    try:
        yield temporary
        _check_targets(folder, paths)  # once more, so that all are renamed or none
        for written, path in zip(temporary, paths, strict=True):
            written.replace(path)
    except BaseException:
        for written in temporary:
            written.unlink(missing_ok=True)
        for parent in made:
            with suppress(OSError):  # somebody else has put a file there
                parent.rmdir()
        raise


def _check_targets(folder: Path, paths) -> None:
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not existing.is_dir():
        raise ValueError(f"{existing}: is a file; expected a folder to write into")
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path}: is a folder; expected a file to write or replace")


# Whose files may be replaced


def check_output_folder(folder: Path, source) -> None:
    """Refuse to write where ``source`` is read from, so that no recording is overwritten by its own reduction."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; expected a folder for the output")
    for path in find_files(source).values():
        if folder.resolve() in (path.parent.resolve(), path.resolve().parent):
            raise ValueError(f"{folder}: holds the input {path}; expected another folder for the output")


def check_alone(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder that holds other audio: it would be read as more microphones of this recording."""
    ours = {f"{name}.wav" for name in names}
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix.lower() in SUFFIXES and path.name not in ours:
            raise ValueError(f"{path}: belongs to another recording; expected a folder without it")


def check_replaceable(folder: Path, names: Iterable[str], report: Path, key: str) -> None:
    """Refuse to replace files that no earlier run wrote: its ``report`` lists the names of its files under ``key``."""
    try:
        told = json.loads(report.read_text(encoding="utf-8"))
        ours = {report, *(folder / f"{name}.wav" for name in told[key])} if "irtools" in told else set()
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    for target in (report, *(folder / f"{name}.wav" for name in names)):
        if target.exists() and target not in ours:
            raise ValueError(f"{target}: exists; expected a new or empty folder, or --overwrite")
