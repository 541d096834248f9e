"""Which files make a recording, in which order, under which names."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = (".wav", ".flac")


def find_files(source) -> dict[str, Path]:
    """The audio files of ``source`` by name: see :class:`MultitrackReader`.

    Parameters
    ----------
    source : path, or sequence of paths

    Returns
    -------
    dict of str to Path
        In natural order for a folder, in the order given for a sequence.

    Raises
    ------
    TypeError
        Neither a path nor a sequence of paths.
    ValueError
        Folder missing, not a folder or without audio; no files; two files of one name.

    Examples
    --------
    >>> list(find_files(["stage/vocals.wav", "stage/bass.flac"]))
    ['vocals', 'bass']
    """
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


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts names as people do: runs of digits by their value, letters without regard to case.

    Parameters
    ----------
    name : str

    Returns
    -------
    list of tuple

    Examples
    --------
    >>> sorted(["mic10", "Mic2", "mic1"], key=natural_key)
    ['mic1', 'Mic2', 'mic10']
    """
    parts = re.split(r"(\d+)", name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


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
