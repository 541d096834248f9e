"""The table of a benchmark: one row a commit, with where and with what it was measured."""

from __future__ import annotations

import csv
from pathlib import Path

from irtools.provenance import provenance

__all__ = ["provenance", "write_row", "write_rows"]

RESULTS = Path(__file__).parent / "results"


def write_row(name: str, row: dict) -> Path:
    """Replace ``results/<name>.csv`` by this one row, or append it where the columns agree and the commit differs."""
    path = RESULTS / f"{name}.csv"
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if list(old) == list(row) and old["commit"] != row["commit"]]
    return _write(path, [*rows, row])


def write_rows(name: str, rows: list[dict], keys: tuple[str, ...]) -> Path:
    """Replace the rows of ``results/<name>.csv`` that a new one agrees with in ``keys``; all if the columns differ."""
    path = RESULTS / f"{name}.csv"
    new = {tuple(row[key] for key in keys) for row in rows}
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            old = [row for row in csv.DictReader(file) if list(row) == list(rows[0])]
        kept = [row for row in old if tuple(row[key] for key in keys) not in new]
    return _write(path, [*kept, *rows])


def _write(path, rows):
    RESULTS.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
