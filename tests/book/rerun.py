"""Execute chapters with papermill and say which results moved: python tests/book/rerun.py [CHAPTER ...]

Several run at a time. OUT gets the executed notebooks, what they publish, and what moved as moved.csv and moved.md. The
exit code is 0 where everything stayed within its tolerance, 1 where a result left it or a chapter failed, 2 for a bad
argument.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from chapters import ROOT, Moved, chapters, execute, expected_record, moved

COLUMNS = ("chapter", "result", "old", "new", "tolerance", "share", "outside")


@dataclass(frozen=True)
class Rerun:
    """What came of one chapter: how long it took, what moved, and the report of a failure."""

    chapter: str
    seconds: float
    rows: list[Moved] = field(default_factory=list)
    failure: str = ""
    compared: bool = True

    @property
    def is_right(self) -> bool:
        return not self.failure and not any(row.outside for row in self.rows)

    @property
    def verdict(self) -> str:
        if self.failure:
            return "failed"
        if not self.compared:
            return "executed, not compared"
        outside = sum(row.outside for row in self.rows)
        return f"{outside} outside, {len(self.rows) - outside} moved within tolerance"


def rerun(notebook: Path, profile: str, out: Path, record: dict | None) -> Rerun:
    """Execute one chapter into ``out`` and compare; without a ``record`` nothing is compared."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            new = execute(notebook, Path(folder), profile)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return Rerun(notebook.stem, time.monotonic() - start, failure=str(error))
        finally:
            # A failed chapter leaves its notebook too: its last cell holds the traceback.
            shutil.copytree(folder, out, dirs_exist_ok=True)
    rows = [] if record is None else moved(record, new)
    return Rerun(notebook.stem, time.monotonic() - start, rows, compared=record is not None)


def record_of(chapter: str, against: Path | None, profile: str) -> dict | None:
    """What a chapter is compared with: its expected record, or what an earlier run published.

    Raises
    ------
    ValueError
        ``against`` has no such chapter, or it was published in another profile.
    """
    if against is None:
        return expected_record(chapter) if profile == "smoke" else None
    path = against / f"{chapter}.json"
    if not path.is_file():
        raise ValueError(f"--against: expected {path}, which an earlier run writes")
    published = json.loads(path.read_text(encoding="utf-8"))
    if published["profile"] != profile:
        raise ValueError(f"{path}: expected results of profile {profile!r}, got {published['profile']!r}")
    return {"results": published["results"], "tolerances": expected_record(chapter)["tolerances"]}


def markdown(runs: list[Rerun]) -> str:
    """The report: one line per chapter, then one row per result that moved, those outside their tolerance first."""
    lines = ["| chapter | seconds | what moved |", "|---|---|---|"]
    lines += [f"| {run.chapter} | {run.seconds:.0f} | {run.verdict} |" for run in runs]
    rows = [(row.outside, run.chapter, row) for run in runs for row in run.rows]
    if rows:
        lines += ["", "| chapter | result | old | new | tolerance | outside |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {chapter} | `{row.name}` | {row.old_text} | {row.new_text} | {row.limits} | {'yes' * row.outside} |"
            for _, chapter, row in sorted(rows, key=lambda row: not row[0])
        ]
    for run in runs:
        if run.failure:
            lines += ["", f"{run.chapter}:", "```", run.failure, "```"]
    return "\n".join(lines) + "\n"


def write(runs: list[Rerun], out: Path) -> str:
    """Write the table and the report to ``out``, and to the summary of a workflow's run where there is one."""
    with (out / "moved.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for run in runs:
            table.writerows((run.chapter, r.name, r.old, r.new, r.limits, r.share, int(r.outside)) for r in run.rows)
    text = markdown(runs)
    (out / "moved.md").write_text(text, encoding="utf-8")
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
            summary.write(text)
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = {path.stem: path for path in chapters()}
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help=f"of {', '.join(known)}; all if none is named")
    parser.add_argument("--profile", choices=("smoke", "book", "paper"), default="smoke")
    parser.add_argument("--jobs", type=int, default=2, help="chapters at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "rerun")
    parser.add_argument("--against", type=Path, help="folder of an earlier run; tests/book/expected for smoke")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.chapters) - set(known)):
        parser.error(f"CHAPTER: expected some of {', '.join(known)}; got {', '.join(unknown)}")
    if chosen.jobs < 1:
        parser.error(f"--jobs: expected 1 or more, got {chosen.jobs}")
    names = chosen.chapters or list(known)
    try:
        records = {name: record_of(name, chosen.against, chosen.profile) for name in names}
    except ValueError as error:
        parser.error(str(error))
    chosen.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        jobs = [pool.submit(rerun, known[name], chosen.profile, chosen.out, records[name]) for name in names]
        runs = [job.result() for job in jobs]
    print(write(runs, chosen.out))
    return 0 if all(run.is_right for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
