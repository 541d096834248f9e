"""The table of a benchmark: one row a commit, with where and with what it was measured."""

from __future__ import annotations

import csv
from pathlib import Path

from irtools.provenance import provenance

__all__ = ["provenance", "write_row"]

RESULTS = Path(__file__).parent / "results"


def write_row(name: str, row: dict) -> Path:
    """Replace ``results/<name>.csv`` by this one row, or append it where the columns agree and the commit differs."""
    path = RESULTS / f"{name}.csv"
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if list(old) == list(row) and old["commit"] != row["commit"]]
    RESULTS.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
    return path
