"""Execute a chapter with papermill and compare what it publishes with what is expected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).resolve().parent / "expected"
# A result within either tolerance has not moved. Levels in dB are read to a twentieth.
RELATIVE = 1e-3
ABSOLUTE_DB = 0.05
ABSENT = "absent"


def chapters() -> list[Path]:
    """Every notebook of the book."""
    return sorted((ROOT / "book").glob("*.ipynb"))


def execute(notebook: Path, folder: Path, profile: str = "smoke") -> dict:
    """What the notebook publishes in ``profile``; the executed copy and the JSON file stay in ``folder``.

    Raises
    ------
    RuntimeError
        A cell that raises, or a chapter that publishes nothing, with the end of papermill's report.
    """
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / notebook.name)]
    command += ["-p", "profile", profile, "--cwd", str(ROOT / "book"), "-k", "python3", "--no-progress-bar"]
    environment = os.environ | {"IRTOOLS_RESULTS": str(folder)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        raise RuntimeError(f"{notebook.name} failed in profile {profile!r}:\n{run.stderr[-3000:]}")
    published = sorted(folder.glob("*.json"))
    if [path.stem for path in published] != [notebook.stem]:
        raise RuntimeError(f"{notebook.name} must publish {notebook.stem}.json, got {[p.name for p in published]}")
    return json.loads(published[0].read_text())["results"]


def expected_record(chapter: str) -> dict:
    """``{"results": ..., "tolerances": ...}`` of a chapter; empty where none was recorded."""
    path = EXPECTED / f"{chapter}.json"
    return json.loads(path.read_text()) if path.exists() else {"results": {}, "tolerances": {}}


@dataclass(frozen=True)
class Moved:
    """A result that is not what it was; ``ABSENT`` stands for one that is new or gone."""

    name: str
    old: object
    new: object
    limits: str
    outside: bool

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
            rows.append(Moved(name, old.get(name, ABSENT), new.get(name, ABSENT), "-", outside=True))
        elif not is_time(name) and not same(old[name], new[name]):
            relative, absolute = tolerance(name, record["tolerances"])
            outside = not within(old[name], new[name], relative, absolute)
            rows.append(Moved(name, old[name], new[name], f"rel {relative:g}, abs {absolute:g}", outside))
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


def tolerance(name: str, tolerances: dict) -> tuple[float, float]:
    stated = tolerances.get(top_level(name), {})
    absolute = ABSOLUTE_DB if top_level(name).endswith("_db") else 0.0
    return stated.get("rel", RELATIVE), stated.get("abs", absolute)


def same(old, new) -> bool:
    return type(old) is type(new) and old == new


def within(old, new, relative: float, absolute: float) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    return numbers and abs(new - old) <= max(relative * abs(old), absolute)


def _text(value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(name, old, new, limits) -> str:
    return f"{name:<40} {old:>14} {new:>14}  {limits}"
