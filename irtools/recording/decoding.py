"""One audio file as a signal that can be read at any place, once it is known to be whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from irtools.recording.truncation import missing_bytes

# An MP3 frame (1152 samples) takes bits from frames before it, up to 511 bytes back: five of the smallest frames.
# A decoder that starts in the middle is right after those only, so it starts this many samples early.
_MP3_LEAD = 16 * 1152
# Without a Xing header the length of an MP3 is estimated from its size in bytes, tags at its end included.
_MP3_ESTIMATE = 2 * 1152


class AudioFile:
    """An open audio file of any format that libsndfile decodes: WAV, RF64, FLAC, MP3 and others.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    path : Path
    sample_rate : int
        In Hz.
    channels : int
    samples : int
        Length of a channel.

    Raises
    ------
    ValueError
        File missing, unreadable, truncated or without samples.

    Notes
    -----
    The length of an MP3 is found by decoding its end, since its header may leave it open. A FLAC file that is
    truncated shows when it is read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(Path(folder, "ramp.wav"), np.arange(4) / 4, 8000)
    ...     with AudioFile(Path(folder, "ramp.wav")) as file:
    ...         print(file.samples, file.channels, file.read(1, 2).tolist())
    4 1 [[0.25], [0.5]]
    """

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

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, start: int, samples: int) -> np.ndarray:
        """``samples`` samples from ``start`` on, of every channel.

        Parameters
        ----------
        start, samples : int

        Returns
        -------
        ndarray, shape (samples, channels), float32
            Integer samples of B bits are divided by 2^(B-1).

        Raises
        ------
        ValueError
            The file is damaged, ends before, or holds a NaN or infinite sample there.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     soundfile.write(Path(folder, "ramp.wav"), np.arange(4) / 4, 8000)
        ...     with AudioFile(Path(folder, "ramp.wav")) as file:
        ...         print(file.read(0, 1).dtype)
        float32
        """
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
        if self.samples and self._file.format == "MP3":
            self._find_end()
        if self.samples == 0:
            raise ValueError(f"{self.path}: holds no samples; expected at least one")

    def _find_end(self) -> None:
        start = max(self.samples - _MP3_ESTIMATE, 0)
        end = start + len(self._decode(start, self.samples - start))
        if end == start:
            raise ValueError(f"{self.path}: truncated: it ends before sample {start} of {self.samples} announced")
        self.samples = end
        self._file.seek(0)


def first_non_finite(frames: np.ndarray) -> int | None:
    """Index along the first axis of the first NaN or infinite value, or None.

    Parameters
    ----------
    frames : ndarray, shape (samples, ...)

    Returns
    -------
    int or None

    Examples
    --------
    >>> first_non_finite(np.array([[0.0, 1.0], [2.0, np.nan]]))
    1
    """
    # A finite sum means finite terms and costs no mask of their size; float32 terms cannot overflow it.
    if np.isfinite(frames.sum(dtype=np.float64)):
        return None
    bad = ~np.isfinite(frames.reshape(len(frames), -1)).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
