"""Drop the built book when the library changed: the execution cache keys on cells, not on what they import."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = (
    "irtools/**/*.py",
    "irtools/nets/weights/*",
    "book/_ext/*.py",
    "pyproject.toml",
    "binder/constraints.txt",
)


def library_hash(root: Path) -> str:
    """Hash of the path and content of everything that a chapter's outputs depend on besides its own cells."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted({path for pattern in INPUTS for path in root.glob(pattern)}):
        digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def drop_stale_build(root: Path) -> str:
    """Remove ``_build`` unless it was made with this library; returns one line that says what was done."""
    build, record, now = root / "_build", root / "_build/.lib_hash", library_hash(root)
    if record.is_file() and record.read_text() == now:
        return "stale.py: the library is unchanged, executed chapters are kept"
    line = "stale.py: no build yet, every chapter will run"
    if build.exists():
        shutil.rmtree(build)
        line = "stale.py: the library changed, _build removed, every chapter will run"
    build.mkdir()
    record.write_text(now)
    return line


if __name__ == "__main__":
    print(drop_stale_build(ROOT))
