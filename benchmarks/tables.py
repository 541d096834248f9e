"""The committed tables of what was measured."""

from __future__ import annotations

import csv
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write_rows(name: str, rows: list[dict], keys: tuple[str, ...] = ("commit",)) -> Path:
    """Replace the rows of ``results/<name>.csv`` that a new one agrees with in ``keys``; all if the columns differ."""
    path = RESULTS / f"{name}.csv"
    new = {tuple(str(row[key]) for key in keys) for row in rows}
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            old = [row for row in csv.DictReader(file) if list(row) == list(rows[0])]
        kept = [row for row in old if tuple(row[key] for key in keys) not in new]
    RESULTS.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *rows])
    return path
