"""The marks that listeners saved, read from the page's CSV files and checked."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

SCALES = ("IRQ", "AQ")


@dataclass(frozen=True)
class Rating:
    """What one listener said of one condition in one trial."""

    listener: str
    trial: int  # from 1
    stem: str
    condition: str
    position: int  # in the order of this listener, from 1
    IRQ: int  # interference reduction, 1 to 5
    AQ: int  # audio quality, 1 to 5
    seconds_listened: float
    started: datetime  # of the trial
    finished: datetime


COLUMNS = tuple(field.name for field in fields(Rating))


def read_ratings(paths: Iterable) -> list[Rating]:
    """Ratings of all files of the page together; one file may hold several listeners.

    A ``ValueError`` names the file and the line: other columns, a value that is none of its column, a condition that
    a listener rated twice, or that others rated and this listener did not.
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


def _rows(path: Path) -> list[tuple[int, Rating]]:
    try:
        # Spreadsheets put a byte order mark in front.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if tuple(header) != COLUMNS:
                raise ValueError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}, got {','.join(header)!r}")
            rows = [(reader.line_num, cells) for cells in reader]
            if not rows:
                raise ValueError(f"{path}, line 2: expected a rating, got the end of the file")
            return [(line, _rating(path, line, cells)) for line, cells in rows]
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
        pattern, read, expected = _READERS.get(column, _TEXT)
        try:
            if not re.fullmatch(pattern, text, re.DOTALL):
                raise ValueError
            values[column] = read(text)
        except ValueError:
            raise ValueError(f"{path}, line {line}: {column}: expected {expected}, got {text!r}") from None
    return Rating(**values)


# What the text of a column looks like, how it is read, and what is said where it looks different.
_TEXT = (r".*\S.*", str, "some text")
_COUNT = ("0*[1-9][0-9]*", int, "a whole number from 1")
_MARK = ("[1-5]", int, "a whole number from 1 to 5")
_SECONDS = (r"[0-9]+(\.[0-9]*)?", float, "a number of seconds")
_TIME = (".*", datetime.fromisoformat, "a time as 2030-01-31T12:00:00Z")
_READERS = {
    "trial": _COUNT,
    "position": _COUNT,
    "IRQ": _MARK,
    "AQ": _MARK,
    "seconds_listened": _SECONDS,
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
