"""Where and with what a figure was measured: machine, commit and versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

LIBRARY = Path(__file__).parent


def provenance(*packages: str) -> dict[str, str]:
    """Date, commit, processor, cores, Python and the versions of ``packages``, as plain strings.

    The commit is that of the checkout that the library runs from, with ``+changes`` where the library differs from it;
    ``unknown`` where it does not run from a checkout of its own.
    """
    row = {
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "cpu": _processor(),
        "cores": str(usable_cores()),
        "python": platform.python_version(),
    }
    return row | {name: importlib.metadata.version(name) for name in packages}


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _commit() -> str:
    # A library installed inside somebody else's checkout is not tracked there.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return "unknown"
    commit = _git("rev-parse", "--short", "HEAD")
    if commit is None:
        return "unknown"
    return commit if _git("diff", "--quiet", "HEAD", "--", ".") is not None else f"{commit}+changes"


def _git(*arguments: str) -> str | None:
    """What git prints in the library's folder; None where it fails or is missing."""
    try:
        done = subprocess.run(["git", "-C", str(LIBRARY), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
