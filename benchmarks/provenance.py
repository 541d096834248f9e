"""Where and with what a benchmark row was measured."""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def provenance(*packages: str) -> dict[str, str]:
    """Date, commit, processor, cores, Python and the versions of ``packages``, as plain strings."""
    git = ["git", "-C", str(Path(__file__).parent)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    dirty = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "../irtools"]).returncode
    row = {
        "date": datetime.date.today().isoformat(),
        "commit": (commit or "unknown") + ("+changes" if commit and dirty else ""),
        "cpu": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "python": platform.python_version(),
    }
    return row | {name: importlib.metadata.version(name) for name in packages}


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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
