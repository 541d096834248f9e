"""Read and write the microphone files of a recording: the whole recording at once."""

from __future__ import annotations

from pathlib import Path

from irtools.recording.listing import find_files
from irtools.recording.multitrack import Multitrack
from irtools.recording.reading import MultitrackReader
from irtools.recording.replacing import write_json
from irtools.recording.writing import MultitrackWriter

__all__ = [
    "Multitrack",
    "MultitrackReader",
    "MultitrackWriter",
    "check_output_folder",
    "read_multitrack",
    "write_json",
    "write_multitrack",
]


def read_multitrack(source, *, channels: str = "error", lengths: str = "error", names=None) -> Multitrack:
    """Read a recording: a folder of .wav and .flac files, or a list of files, one a microphone.

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
        Anything that keeps the files from being one recording, see :class:`MultitrackReader`; the message names the
        file and what was expected.

    Notes
    -----
    Samples are never rescaled: integer PCM of B bits is divided by 2^(B-1), float PCM is kept as it is. Silence,
    clipping and a constant offset are no errors: see :func:`irtools.recording.audit.audit`.

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


def check_output_folder(folder, source) -> Path:
    """Refuse to write where ``source`` is read from, so that no recording is overwritten by its own reduction.

    Parameters
    ----------
    folder : path
        Where output will go; may not exist yet.
    source : path, or sequence of paths
        What is read, as in :func:`read_multitrack`.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    ValueError
        ``folder`` is the folder of an input file, or of the file that an input links to, or is a file.

    Examples
    --------
    >>> check_output_folder("stage", ["stage/vocals.wav"])
    Traceback (most recent call last):
      ...
    ValueError: stage: holds the input stage/vocals.wav; expected another folder for the output
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; expected a folder for the output")
    for path in find_files(source).values():
        if folder.resolve() in (path.parent.resolve(), path.resolve().parent):
            raise ValueError(f"{folder}: holds the input {path}; expected another folder for the output")
    return folder
