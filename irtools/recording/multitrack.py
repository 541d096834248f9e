"""A multitrack recording in memory, named signals of one length and sample rate, and as files: read and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from irtools.checks import check_mics
from irtools.recording.reading import MultitrackReader, check_names
from irtools.recording.writing import MultitrackWriter


@dataclass(frozen=True, eq=False)
class Multitrack:
    """Named microphone signals of one length and one sample rate.

    Parameters
    ----------
    names : sequence of str
        One name per microphone, each once; kept as a tuple.
    waveforms : Tensor, shape (mics, samples), float32 or float64
        Finite samples; full scale is ±1, and values beyond it are kept.
    sample_rate : int
        In Hz.

    Raises
    ------
    TypeError
        Names that are not strings, waveforms that are no real floating-point tensor, or a rate that is no int.
    ValueError
        No microphone, no sample, a name that is empty or comes twice, a number of names other than the number of
        microphones, NaN or infinite samples, or a rate that is not positive.

    Notes
    -----
    Two recordings compare by identity: equality of samples is ``torch.equal(a.waveforms, b.waveforms)``.

    Examples
    --------
    >>> import torch
    >>> stage = Multitrack(("vocals", "bass"), torch.zeros(2, 22050), 44100)
    >>> stage.n_mics, stage.samples, stage.seconds
    (2, 22050, 0.5)
    """

    names: tuple[str, ...]
    waveforms: Tensor
    sample_rate: int

    def __post_init__(self):
        object.__setattr__(self, "names", check_names(self.names))
        check_mics(self.waveforms, self.sample_rate, min_mics=1, name="waveforms")
        if len(self.names) != self.waveforms.shape[0]:
            raise ValueError(
                f"names: expected one name for each of the {self.waveforms.shape[0]} microphones, "
                f"got {len(self.names)}: {', '.join(self.names)}"
            )

    @property
    def n_mics(self) -> int:
        """Number of microphones K."""
        return self.waveforms.shape[0]

    @property
    def samples(self) -> int:
        """Length L of every signal, in samples."""
        return self.waveforms.shape[1]

    @property
    def seconds(self) -> float:
        """Length of every signal, in seconds."""
        return self.samples / self.sample_rate

    def select(self, names) -> Multitrack:
        """The microphones called ``names``, in that order, with waveforms of their own."""
        chosen = check_names(names)
        unknown = [name for name in chosen if name not in self.names]
        if unknown:
            raise ValueError(f"names: no microphone called {unknown[0]!r}; expected some of {', '.join(self.names)}")
        rows = [self.names.index(name) for name in chosen]
        return Multitrack(chosen, self.waveforms[rows], self.sample_rate)


def read_multitrack(source, *, channels: str = "error", lengths: str = "error", names=None) -> Multitrack:
    """Read a recording: a folder of .wav and .flac files, or a list of files, one per microphone.

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

    Returns
    -------
    Multitrack
        With float32 waveforms of shape (mics, samples).

    Raises
    ------
    ValueError
        Folder missing, not a folder, or without audio; a file missing, unreadable, truncated, empty, or with a NaN or
        infinite sample; two files of one name, of different rates or, with ``lengths="error"``, of different lengths;
        several channels with ``channels="error"``. The message names the file and what was expected.

    Notes
    -----
    Samples are never rescaled: integer PCM of B bits is divided by 2^(B-1), float PCM is kept as it is. Silence,
    clipping and a constant offset are no errors: see :func:`irtools.recording.audit.Auditor`.

    Examples
    --------
    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_multitrack(folder.name, Multitrack(("vocals", "bass"), torch.rand(2, 441), 44100))
    >>> stage = read_multitrack(folder.name, names=["vocals", "bass"])
    >>> stage.names, stage.waveforms.shape, stage.sample_rate
    (('vocals', 'bass'), torch.Size([2, 441]), 44100)
    >>> folder.cleanup()
    """
    with MultitrackReader(source, channels=channels, lengths=lengths, names=names) as reader:
        return Multitrack(reader.names, reader.read(), reader.sample_rate)


def write_multitrack(folder, multitrack: Multitrack) -> tuple[Path, ...]:
    """Write a recording as float32 WAV files, ``<folder>/<name>.wav``.

    Parameters
    ----------
    folder : path
        Made if missing. Files of the same names are replaced, others are left alone.
    multitrack : Multitrack

    Returns
    -------
    tuple of Path
        The files, in the order of the microphones.

    Raises
    ------
    TypeError
        Not a :class:`Multitrack`.
    ValueError
        A name that makes no file name, or a target that is a folder.

    Notes
    -----
    Samples are written as they are, beyond ±1 too. The files appear only once all of them are complete.

    Examples
    --------
    >>> import tempfile, torch
    >>> folder = tempfile.TemporaryDirectory()
    >>> paths = write_multitrack(folder.name, Multitrack(("vocals", "bass"), torch.rand(2, 441), 44100))
    >>> [path.name for path in paths]
    ['vocals.wav', 'bass.wav']
    >>> folder.cleanup()
    """
    if not isinstance(multitrack, Multitrack):
        raise TypeError(f"multitrack: expected a Multitrack, got {type(multitrack).__name__}")
    with MultitrackWriter(folder, multitrack.names, multitrack.sample_rate, samples=multitrack.samples) as writer:
        writer.write(multitrack.waveforms)
    return writer.paths
