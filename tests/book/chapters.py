"""Execute a chapter with papermill and compare what it publishes with what is expected."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).resolve().parent / "expected"
# A result within either tolerance has not moved. Levels in dB are read to a twentieth.
RELATIVE = 1e-3
ABSOLUTE_DB = 0.05
# What an exact result leaves is rounding, which no two kinds of processor share: a level beyond the one, a number below
# the other. A chapter says "exact" and publishes the comparison with a bound.
LOUDEST_DB = 100.0
SMALLEST = 1e-4
ABSENT = "absent"
# One chapter takes two minutes at most on a quiet machine. A hang ends, other work does not end it.
PATIENCE_S = 3000


def chapters() -> list[Path]:
    """Every notebook of the book."""
    return sorted((ROOT / "book").glob("*.ipynb"))


def execute(notebook: Path, folder: Path, profile: str = "smoke") -> dict:
    """What the notebook publishes in ``profile``; the executed copy and the JSON file stay in ``folder``.

    Raises
    ------
    RuntimeError
        A cell that raises, or a chapter that publishes nothing, with the end of papermill's report.
    subprocess.TimeoutExpired
        A smoke run that does not end.
    """
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / notebook.name)]
    command += ["-p", "profile", profile, "--cwd", str(ROOT / "book"), "-k", "python3", "--no-progress-bar"]
    environment = os.environ | {"IRTOOLS_RESULTS": str(folder)}
    limit = None
    if profile == "smoke":
        # Several chapters run at a time; and on one thread sums have one order.
        environment.setdefault("OMP_NUM_THREADS", "1")
        limit = PATIENCE_S
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit, check=False)
    if run.returncode:
        raise RuntimeError(f"{notebook.name} failed in profile {profile!r}:\n{run.stderr[-3000:]}")
    published = sorted(folder.glob("*.json"))
    if [path.stem for path in published] != [notebook.stem]:
        raise RuntimeError(f"{notebook.name} must publish {notebook.stem}.json, got {[p.name for p in published]}")
    return json.loads(published[0].read_text())["results"]


def expected_record(chapter: str) -> dict:
    """``{"results": ..., "tolerances": ...}`` of a chapter; empty where none was recorded.

    A tolerance is ``{"of": [pattern of names, ...], "rel": ..., "abs": ..., "why": "one sentence"}``. The first that
    fits a result counts; what it leaves out is the default.
    """
    path = EXPECTED / f"{chapter}.json"
    return json.loads(path.read_text()) if path.exists() else {"results": {}, "tolerances": []}


@dataclass(frozen=True)
class Moved:
    """A result that is not what it was; ``ABSENT`` stands for one that is new or gone."""

    name: str
    old: object
    new: object
    limits: str
    share: float  # how much of its tolerance the difference takes

    @property
    def outside(self) -> bool:
        return self.share > 1

    @property
    def old_text(self) -> str:
        return _text(self.old)

    @property
    def new_text(self) -> str:
        return _text(self.new)


def moved(record: dict, new: dict) -> list[Moved]:
    """Every result that differs at all from the record, by name."""
    old, new = flat(record["results"]), flat(new)
    rows = []
    for name in sorted(old | new):
        if name not in old or name not in new:
            rows.append(Moved(name, old.get(name, ABSENT), new.get(name, ABSENT), "-", math.inf))
        elif not is_time(name) and not same(old[name], new[name]):
            relative, absolute = tolerance(name, record["tolerances"])
            share = share_of_tolerance(old[name], new[name], relative, absolute)
            rows.append(Moved(name, old[name], new[name], f"rel {relative:g}, abs {absolute:g}", share))
    return rows


def compare(record: dict, new: dict) -> tuple[list[str], list[str]]:
    """Lines of a table with every result that differs at all, and the names of those outside their tolerance."""
    rows = moved(record, new)
    table = [_line(row.name, row.old_text, row.new_text, row.limits) for row in rows]
    head = [_line("result", "expected", "now", "tolerance")] if table else []
    return head + table, [row.name for row in rows if row.outside]


def flat(value, name: str = "") -> dict:
    """Nested results as ``{"gains[0][1]": 0.1, "scores.bass": 7.2}``."""
    if isinstance(value, dict):
        items = [(f"{name}.{key}" if name else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(f"{name}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {name: value}
    return {path: leaf for key, item in items for path, leaf in flat(item, key).items()}


def without_times(results: dict) -> dict:
    return {name: value for name, value in flat(results).items() if not is_time(name)}


def is_time(name: str) -> bool:
    """A wall-clock time belongs to the machine: its name ends in ``_seconds``, and only its presence is compared."""
    return top_level(name).endswith("_seconds")


def top_level(name: str) -> str:
    return name.split(".")[0].split("[")[0]


def tolerance(name: str, tolerances: list[dict]) -> tuple[float, float]:
    stated = next((one for one in tolerances if fits(one, top_level(name))), {})
    return stated.get("rel", RELATIVE), stated.get("abs", ABSOLUTE_DB if is_level(name) else 0.0)


def fits(stated: dict, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in stated["of"])


def is_level(name: str) -> bool:
    return top_level(name).endswith("_db")


def not_portable(results: dict) -> list[str]:
    """A line for each result that the next processor would publish otherwise."""
    wrong = []
    for name, value in without_times(results).items():
        if isinstance(value, float) and 0 < abs(value) < SMALLEST:
            wrong.append(f"{name}: {value:.3g} is rounding or in the wrong unit: publish whether it is below a bound")
        elif isinstance(value, float) and is_level(name) and abs(value) > LOUDEST_DB:
            wrong.append(f"{name}: {value:.1f} dB is rounding: publish whether it is beyond a bound")
        elif isinstance(value, str) and re.search(r"\d\.\d", value):
            wrong.append(f"{name}: {value!r} holds a rounded number, which is compared as text: publish the number")
    return wrong


def same(old, new) -> bool:
    return type(old) is type(new) and old == new


def share_of_tolerance(old, new, relative: float, absolute: float) -> float:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    limit = max(relative * abs(old), absolute) if numbers else 0.0
    return abs(new - old) / limit if limit else math.inf


def _text(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(name, old, new, limits) -> str:
    return f"{name:<40} {old:>14} {new:>14}  {limits}"
