"""A folder of rendered songs that several processes may use at the same time."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np

from irtools.recording.writing import replacing

_SUFFIX = ".song"
LIMIT_BYTES = 2 * 1024**3


def default_folder() -> Path:
    """Folder for rendered songs: ``$IRTOOLS_CACHE``, else ``$XDG_CACHE_HOME/irtools``, else ``~/.cache/irtools``."""
    if chosen := os.environ.get("IRTOOLS_CACHE"):
        return Path(chosen) / "songs"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "irtools" / "songs"


def load(folder: Path, key: str) -> np.ndarray | None:
    """Array kept under a key; None where there is no file, or one that its SHA-256 finds damaged."""
    try:
        content = _path(folder, key).read_bytes()
    except OSError:
        return None
    digest, payload = content[:32], content[32:]
    return np.load(io.BytesIO(payload)) if sha256(payload).digest() == digest else None


def store(folder: Path, key: str, array: np.ndarray, *, limit_bytes: int = LIMIT_BYTES) -> None:
    """Keep an array under a key, whole or not at all, and remove the oldest until the folder is within its limit."""
    stream = io.BytesIO()
    np.save(stream, array)
    payload = stream.getvalue()
    try:
        with replacing(_path(folder, key)) as temporary:
            temporary.write_bytes(sha256(payload).digest() + payload)
        _prune(folder, limit_bytes)
    except (OSError, ValueError) as error:
        warnings.warn(f"{folder}: the song is not kept ({error}); set IRTOOLS_CACHE", RuntimeWarning, stacklevel=3)


def _path(folder: Path, key: str) -> Path:
    return folder / (sha256(key.encode()).hexdigest()[:32] + _SUFFIX)


def _prune(folder: Path, limit_bytes: int) -> None:
    kept = []
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):  # another process removed it
            kept.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept)[:-1]:
        if total <= limit_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size
