"""The marks that listeners saved, read from the page's CSV files and checked."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

COLUMNS = (
    "listener",
    "trial",
    "stem",
    "condition",
    "position",
    "IRQ",
    "AQ",
    "seconds_listened",
    "started",
    "finished",
)
SCALES = ("IRQ", "AQ")


@dataclass(frozen=True)
class Rating:
    """What one listener said of one condition in one trial.

    Attributes
    ----------
    listener : str
    trial : int
        From 1.
    stem, condition : str
    position : int
        In the order of this listener, from 1.
    IRQ, AQ : int
        Interference reduction and audio quality, 1 to 5.
    seconds_listened : float
    started, finished : datetime
        Of the trial.
    """

    listener: str
    trial: int
    stem: str
    condition: str
    position: int
    IRQ: int
    AQ: int
    seconds_listened: float
    started: datetime
    finished: datetime


def read_ratings(paths: Iterable) -> list[Rating]:
    """Ratings of all files together.

    Parameters
    ----------
    paths : iterable of path
        CSV files of the page; one file may hold several listeners.

    Returns
    -------
    list of Rating
        In the order of the files.

    Raises
    ------
    ValueError
        No file, one that cannot be read, other columns, a value that is none of its column, a condition rated twice by
        a listener, or one that others rated and this listener did not. The message names the file and the line.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "ada.csv"
    >>> times = "2030-01-01T12:00:00Z,2030-01-01T12:01:00Z"
    >>> _ = path.write_text(f"{','.join(COLUMNS)}\\nada,1,vocals,kamir,1,4,3,9.5,{times}\\n")
    >>> [(rating.condition, rating.IRQ, rating.AQ) for rating in read_ratings([path])]
    [('kamir', 4, 3)]
    >>> folder.cleanup()
    """
    ratings, seen = [], {}
    for path in map(Path, paths):
        for line, rating in _rows(path):
            key = rating.listener, rating.trial, rating.condition
            if key in seen:
                raise ValueError(
                    f"{path}, line {line}: {rating.condition!r} in trial {rating.trial} was rated by "
                    f"{rating.listener!r} before, in {seen[key]}; expected one rating"
                )
            seen[key] = f"{path}, line {line}"
            ratings.append(rating)
    if not ratings:
        raise ValueError("ratings: expected at least one CSV file of the page, got none")
    _check_complete(ratings, seen)
    return ratings


def _rows(path: Path):
    try:
        # Spreadsheets put a byte order mark in front.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if tuple(header) != COLUMNS:
                raise ValueError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}, got {','.join(header)!r}")
            empty = True
            for cells in reader:
                empty = False
                yield reader.line_num, _rating(path, reader.line_num, cells)
            if empty:
                raise ValueError(f"{path}, line 2: expected a rating, got the end of the file")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8, got other bytes at {error.start}") from error
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: expected CSV, got {error}") from error


def _rating(path: Path, line: int, cells: list[str]) -> Rating:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{path}, line {line}: expected {len(COLUMNS)} values, got {len(cells)}")
    values = {}
    for column, text in zip(COLUMNS, cells, strict=True):
        read, expected = _READERS.get(column, (_text, "some text"))
        try:
            values[column] = read(text)
        except ValueError:
            raise ValueError(f"{path}, line {line}: {column}: expected {expected}, got {text!r}") from None
    return Rating(**values)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError
    return int(text)


def _mark(text: str) -> int:
    if text not in ("1", "2", "3", "4", "5"):
        raise ValueError
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


_TIME = (datetime.fromisoformat, "a time as 2030-01-31T12:00:00Z")
_READERS = {
    "trial": (_count, "a whole number from 1"),
    "position": (_count, "a whole number from 1"),
    "IRQ": (_mark, "a whole number from 1 to 5"),
    "AQ": (_mark, "a whole number from 1 to 5"),
    "seconds_listened": (_seconds, "a number of seconds"),
    "started": _TIME,
    "finished": _TIME,
}


def _check_complete(ratings: list[Rating], seen: dict) -> None:
    """Means of listeners can be compared only if each has rated the same."""
    wanted = sorted({(rating.trial, rating.condition) for rating in ratings})
    stems = {}
    for rating in ratings:
        where = seen[rating.listener, rating.trial, rating.condition]
        if stems.setdefault(rating.trial, rating.stem) != rating.stem:
            raise ValueError(
                f"{where}: trial {rating.trial} is {rating.stem!r}, but {stems[rating.trial]!r} before; "
                "expected files of one test"
            )
    for listener in dict.fromkeys(rating.listener for rating in ratings):
        for trial, condition in wanted:
            if (listener, trial, condition) not in seen:
                last = next(where for key, where in reversed(seen.items()) if key[0] == listener)
                raise ValueError(
                    f"{last}: listener {listener!r} ends without a rating of {condition!r} in trial {trial}"
                )
