"""A folder of rendered songs that several processes may use at the same time."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np

_SUFFIX = ".song"
LIMIT_BYTES = 2 * 1024**3


def default_folder() -> Path:
    """Folder for rendered songs: ``$IRTOOLS_CACHE``, else ``$XDG_CACHE_HOME/irtools``, else ``~/.cache/irtools``."""
    chosen = os.environ.get("IRTOOLS_CACHE")
    if chosen:
        return Path(chosen) / "songs"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "irtools" / "songs"


def load(folder: Path, key: str) -> np.ndarray | None:
    """Array kept under a key.

    Parameters
    ----------
    folder : Path
    key : str

    Returns
    -------
    ndarray or None
        None where there is no file, or one that is damaged: its SHA-256 does not agree with its content.
    """
    try:
        content = _path(folder, key).read_bytes()
    except OSError:
        return None
    digest, payload = content[:32], content[32:]
    if sha256(payload).digest() != digest:
        return None
    return np.load(io.BytesIO(payload), allow_pickle=False)


def store(folder: Path, key: str, array: np.ndarray, *, limit_bytes: int = LIMIT_BYTES) -> None:
    """Keep an array under a key; a reader sees the whole file or none.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    key : str
    array : ndarray
    limit_bytes : int
        The oldest songs are removed until the folder holds no more than this.

    Warns
    -----
    RuntimeWarning
        The folder cannot be written to; nothing is kept.
    """
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    payload = stream.getvalue()
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            file.write(sha256(payload).digest())
            file.write(payload)
        temporary.replace(_path(folder, key))
        _prune(folder, limit_bytes)
    except OSError as error:
        warnings.warn(f"{folder}: the song is not kept ({error}); set IRTOOLS_CACHE", RuntimeWarning, stacklevel=3)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _path(folder: Path, key: str) -> Path:
    return folder / (sha256(key.encode()).hexdigest()[:32] + _SUFFIX)


def _prune(folder: Path, limit_bytes: int) -> None:
    kept = []
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process removed it
            continue
        kept.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept)[:-1]:
        if total <= limit_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size
