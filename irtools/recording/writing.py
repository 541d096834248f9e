"""Microphone files written whole or not at all: to a temporary name, renamed at the end."""

from __future__ import annotations

import secrets
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from irtools.recording.decoding import first_non_finite
from irtools.recording.multitrack import check_names
from irtools.recording.replacing import check_targets, make_folder, remove_folders

# A WAV file counts its bytes in 32 bits; 4 KiB are left for the header. RF64 counts in 64.
WAV_MAX_SAMPLES = (2**32 - 4096) // 4


class MultitrackWriter:
    """Write one float32 WAV file a microphone, block by block.

    Parameters
    ----------
    folder : path
        Made if missing.
    names : sequence of str
        Names of the microphones: ``<folder>/<name>.wav``.
    sample_rate : int
        In Hz.
    samples : int, optional
        The total length, where known: checked at the end, and needed for files above 4 GiB (6.7 hours at 44.1 kHz),
        which are written as RF64.

    Raises
    ------
    ValueError
        A name that makes no file name, a target that is a folder, a block of another number of microphones or with a
        NaN or infinite sample, nothing written, or a length other than announced.

    Notes
    -----
    Samples are written as they are, beyond ±1 too: nothing is scaled, clipped or dithered. The same samples make the
    same bytes. The files appear, and replace older ones, when the ``with`` block ends; if it ends with an exception,
    what was there before is untouched.

    Examples
    --------
    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> with MultitrackWriter(folder.name, ["vocals", "bass"], 44100) as writer:
    ...     writer.write(torch.zeros(2, 1000))
    ...     writer.write(torch.ones(2, 500))
    >>> [path.name for path in writer.paths], writer.samples
    (['vocals.wav', 'bass.wav'], 1500)
    >>> folder.cleanup()
    """

    def __init__(self, folder, names, sample_rate: int, *, samples: int | None = None):
        self.folder = Path(folder)
        self.names = _check_file_names(check_names(names))
        if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
            raise TypeError(f"sample_rate: expected an int in Hz, got {sample_rate!r}")
        if sample_rate <= 0:
            raise ValueError(f"sample_rate: expected a positive number of Hz, got {sample_rate}")
        self.sample_rate, self.samples, self._announced = sample_rate, 0, samples
        self.paths = tuple(self.folder / f"{name}.wav" for name in self.names)
        self._format = "RF64" if samples is not None and samples > WAV_MAX_SAMPLES else "WAV"
        self._files: list[soundfile.SoundFile] = []
        self._temporary: list[Path] = []
        self._made: list[Path] = []

    def __enter__(self) -> MultitrackWriter:
        check_targets(self.folder, self.paths)
        self._made = make_folder(self.folder)
        token = secrets.token_hex(4)
        self._temporary = [self.folder / f".{token}-{mic}.part" for mic in range(len(self.names))]
        try:
            for path in self._temporary:
                self._files.append(
                    soundfile.SoundFile(path, "w", self.sample_rate, 1, subtype="FLOAT", format=self._format)
                )
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, block: Tensor) -> None:
        """Append ``block`` to the files.

        Parameters
        ----------
        block : Tensor, shape (mics, samples), float32 or float64
            On any device; written as float32.

        Raises
        ------
        TypeError
            Not a real floating-point tensor.
        ValueError
            Outside the ``with`` block, another number of microphones, a NaN or infinite sample (named by microphone
            and position in the file), or more than a WAV file can hold when no length was announced.

        Examples
        --------
        >>> import tempfile, torch
        >>> folder = tempfile.TemporaryDirectory()
        >>> with MultitrackWriter(folder.name, ["vocals"], 44100) as writer:
        ...     writer.write(torch.full((1, 3), 1.5))
        >>> folder.cleanup()
        """
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

    def __exit__(self, kind, *exception) -> None:
        try:
            self._close()
            if kind is None:
                self._check_length()
                check_targets(self.folder, self.paths)
                for temporary, path in zip(self._temporary, self.paths, strict=True):
                    _clear_time_stamp(temporary)
                    temporary.replace(path)
        finally:
            self._discard()

    def _check_length(self) -> None:
        if self.samples == 0:
            raise ValueError(f"{self.folder}: no samples were written; expected at least one")
        if self._announced is not None and self.samples != self._announced:
            raise ValueError(f"{self.folder}: {self.samples} samples were written; expected {self._announced}")

    def _close(self) -> None:
        files, self._files = self._files, []
        for file in files:
            file.close()

    def _discard(self) -> None:
        self._close()
        for path in self._temporary:
            path.unlink(missing_ok=True)
        remove_folders(self._made)  # those that hold no file


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
