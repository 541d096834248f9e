"""Is a WAV file shorter than its header says? Decoders mend that length without a word."""

from __future__ import annotations

import struct
from pathlib import Path

# Sizes that a program writes into a header when it streams and cannot know the length: no sign of truncation.
_UNKNOWN_SIZES = {0, 0xFFFFFFFF, *range(0x7FFFF000, 0x80000000)}


def missing_bytes(path: Path) -> int:
    """How many bytes of samples the header of a WAV or RF64 file announces beyond those that the file holds.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int
        0 for a whole file, for one whose header leaves the length open, and for any other format.

    Notes
    -----
    A WAV file is a row of chunks, each of a four-letter name, a 32-bit size and its content, filled up to an even
    length; the samples are the chunk ``data``. RF64 gives that size in 64 bits in an earlier chunk ``ds64``.

    References
    ----------
    EBU Tech 3306, RF64: an extended file format for audio data, 2018.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "cut.wav")
    ...     _ = path.write_bytes(b"RIFF" + struct.pack("<I", 44) + b"WAVEdata" + struct.pack("<I", 32) + bytes(20))
    ...     missing_bytes(path)
    12
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            return 0
        large = None
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            start = file.tell()
            if name == b"ds64":
                large = int.from_bytes(file.read(16)[8:], "little")
            elif name == b"data":
                announced = large if large and size == 0xFFFFFFFF else size
                held = path.stat().st_size - start
                return 0 if announced in _UNKNOWN_SIZES else max(announced - held, 0)
            file.seek(start + size + size % 2)
    return 0
