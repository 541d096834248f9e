"""Files of somebody else in a folder to write to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from irtools.recording.listing import SUFFIXES


def check_alone(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder that holds other audio: it would be read as more microphones of this recording.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Of the microphones to be written.

    Raises
    ------
    ValueError
        Naming the other file.

    Examples
    --------
    >>> check_alone(Path("no such folder"), ["bass"])
    """
    ours = {f"{name}.wav" for name in names}
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix.lower() in SUFFIXES and path.name not in ours:
            raise ValueError(f"{path}: belongs to another recording; expected a folder without it")


def check_replaceable(folder: Path, names: Iterable[str], report: Path, key: str, overwrite: bool) -> None:
    """Refuse to replace files that no earlier run wrote.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Of the microphones to be written.
    report : Path
        Of an earlier run, if there is one.
    key : str
        Where the report lists the names of its own files.
    overwrite : bool
        Whether any file may be replaced.

    Raises
    ------
    ValueError
        Naming the file that is there.

    Examples
    --------
    >>> check_replaceable(Path("no such folder"), ["bass"], Path("no such folder/report.json"), "outputs", False)
    """
    if overwrite:
        return
    names = list(names)
    try:
        told = json.loads(report.read_text(encoding="utf-8"))
        ours = {report, *(folder / f"{name}.wav" for name in told[key])} if "irtools" in told else set()
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    for target in (report, *(folder / f"{name}.wav" for name in names)):
        if target.exists() and target not in ours:
            raise ValueError(f"{target}: exists; expected a new or empty folder, or --overwrite")
