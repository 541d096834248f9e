"""Files and reports written whole or not at all: to a temporary name beside the target, renamed at the end."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np


def write_json(path, report) -> Path:
    """Write a report as JSON, whole or not at all.

    Parameters
    ----------
    path : path
        Its folder is made if missing.
    report : dict, list, str, int, float, bool or None
        Plain types, nested. JSON has no NaN and no infinity: NaN becomes null, infinities "inf" and "-inf".

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        A value of another type; nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_json(Path(folder.name) / "report.json", {"sdr_db": [3.5, float("nan")]}).read_text()
    '{\\n  "sdr_db": [\\n    3.5,\\n    null\\n  ]\\n}\\n'
    >>> folder.cleanup()
    """
    path = Path(path)
    text = json.dumps(_without_non_finite(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@contextmanager
def replacing(path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an exception.

    Parameters
    ----------
    path : path
        Its folder is made if missing.

    Yields
    ------
    Path
        To be written inside the block; removed if the block raises.

    Raises
    ------
    ValueError
        ``path`` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> target = Path(folder.name) / "table.csv"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("method,sdr_db")
    >>> target.read_text()
    'method,sdr_db'
    >>> folder.cleanup()
    """
    path = Path(path)
    check_targets(path.parent, [path])
    made = make_folder(path.parent)
    temporary = path.with_name(f".{secrets.token_hex(4)}.part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        remove_folders(made)
        raise


def check_targets(folder: Path, paths) -> None:
    """Raise ValueError unless files can be written to ``paths``, all in ``folder``, which need not exist yet."""
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not existing.is_dir():
        raise ValueError(f"{existing}: is a file; expected a folder to write into")
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path}: is a folder; expected a file to write or replace")


def make_folder(folder: Path) -> list[Path]:
    """Make ``folder`` and return what had to be made, the innermost first."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def remove_folders(folders) -> None:
    """Remove those of ``folders`` that are empty."""
    for folder in folders:
        with suppress(OSError):  # somebody else has put a file there
            folder.rmdir()


def _without_non_finite(value):
    if isinstance(value, dict):
        return {key: _without_non_finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_non_finite(entry) for entry in value]
    if isinstance(value, float | np.floating):
        value = float(value)
        return None if math.isnan(value) else str(value) if math.isinf(value) else value
    return value
