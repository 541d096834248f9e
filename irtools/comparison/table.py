"""The table of a benchmark as a CSV file: appended job by job, survives a kill, and is gone on with."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

#: Column -> what it holds. Ratios of BSS Eval are medians over windows of 1 s; NaN is an empty cell.
COLUMNS = {
    "key": "checksum of scene, method, options, device and version of the library",
    "scene": "the stage, with its reverberation time where it is a room",
    "kind": "linear or room",
    "song": "falcon69, band:SEED or the name of a folder",
    "seed": "of the simulation",
    "rt60_s": "reverberation time asked for, s",
    "method": "as in `irtools methods`, or a rival, or input, oracle-inverse, oracle-linear, oracle-mask",
    "options": "of the method, JSON",
    "stem": "name of the source; empty where the job failed",
    "stems": "number of rows of this job",
    "audio_s": "length of the recording, s",
    "sample_rate": "Hz",
    "input_si_sdr_db": "SI-SDR of the own microphone, dB",
    "si_sdr_db": "SI-SDR of the estimate, dB",
    "si_sdr_improvement_db": "the estimate's less the microphone's, dB",
    "oracle_inverse_si_sdr_db": "SI-SDR of the pseudo-inverse of the true gains, dB (linear scenes)",
    "oracle_linear_si_sdr_db": "SI-SDR of the best constant linear demixing, dB (rooms: in 0.37 s windows)",
    "oracle_mask_si_sdr_db": "SI-SDR of the Wiener mask of the true powers, dB (46 ms windows)",
    "input_sdr_db": "SDR (BSS Eval v4) of the own microphone, dB",
    "sdr_db": "SDR (BSS Eval v4) of the estimate, dB",
    "sir_db": "SIR (BSS Eval v4), dB",
    "sar_db": "SAR (BSS Eval v4), dB",
    "isr_db": "ISR (BSS Eval v4), dB",
    "input_bleed_db": "the other sources in the own microphone relative to its own, dB",
    "bleed_db": "the other sources in the estimate relative to its own, dB",
    "gains_error": "Frobenius norm of the error of the gains, where both are known",
    "elapsed_s": "wall-clock time of the method, s, after a call that is not counted",
    "times_real_time": "audio_s / elapsed_s",
    "peak_mib": "largest resident memory of the job's own process, MiB",
    "extra_mib": "that above what was resident before the method ran, MiB",
    "gpu_mib": "largest memory allocated on the GPU, MiB",
    "n_iter": "iterations",
    "converged": "True or False",
    "device": "that the method ran on",
    "threads": "of torch in the job's process",
    "warnings": "of the method",
    "error": "why the job failed",
    "irtools": "version",
    "date": "of the run",
    "commit": "of the library",
    "cpu": "processor",
    "cores": "that the process may use",
    "python": "version",
    "torch": "version",
    "numpy": "version",
    "fields": "of the scene, JSON",
}
TEXT = (
    *("key", "scene", "kind", "song", "method", "options", "stem", "device", "warnings", "error", "irtools", "date"),
    *("commit", "cpu", "python", "torch", "numpy", "fields"),
)


class Table:
    """A CSV file of one benchmark, locked while it is open.

    Parameters
    ----------
    path : path
        Made if missing, with its folder. Rows of a job that an earlier run did not finish writing are removed.

    Raises
    ------
    ValueError
        A file with other columns or with rows that are not as they were written, or one that another run writes to.

    Notes
    -----
    The rows of a job are appended in one write, and are on the disk before the next job's. A row names the number of
    rows of its job, so that a job cut off by a kill is known, and done again.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Table(f"{folder.name}/table.csv") as table:
    ...     table.append([{"key": "a", "stems": 1, "stem": "bass", "sdr_db": 3.5}])
    >>> with Table(f"{folder.name}/table.csv") as table:
    ...     table.keys
    {'a'}
    >>> folder.cleanup()
    """

    def __init__(self, path):
        self.path = Path(path)
        self.keys: set[str] = set()
        self.failed: set[str] = set()

    def __enter__(self) -> Table:
        if self.path.is_dir():
            raise ValueError(f"{self.path}: is a folder; expected a .csv file")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            _lock(self._file, self.path)
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def append(self, rows: Iterable[dict]) -> None:
        """Write all rows of one job; missing columns are empty."""
        rows = list(rows)
        self._write(rows)
        self.keys.add(rows[0]["key"])
        if rows[0].get("error"):
            self.failed.add(rows[0]["key"])

    def _read(self) -> None:
        header = _lines([COLUMNS])
        content = self._file.read()
        if not content or (len(content) < len(header) and header.startswith(content)):
            self._cut(0)
            self._file.write(header)
            self._sync()
            return
        if not content.startswith(header):
            raise ValueError(f"{self.path}: is no table of this version of the benchmark; expected another file")
        end = len(header)
        jobs, whole = _jobs(content[end:], self.path)
        for rows in jobs:
            self.keys.add(rows[0]["key"])
            (self.failed.add if rows[0]["error"] else self.failed.discard)(rows[0]["key"])
        self._cut(end + whole)

    def _cut(self, size: int) -> None:
        self._file.truncate(size)
        self._file.seek(size)

    def _write(self, rows) -> None:
        self._file.write(_lines([row.get(name, "") for name in COLUMNS] for row in rows))
        self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def read_rows(path) -> list[dict]:
    """The rows of a table, of each job the last ones written.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of dict
        Text columns as str, ``converged`` as bool, all others as float, NaN where empty.

    Raises
    ------
    ValueError
        No such file, or one with other columns.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Table(f"{folder.name}/table.csv") as table:
    ...     table.append([{"key": "a", "stems": 1, "stem": "bass", "sdr_db": 3.5}])
    >>> row, = read_rows(f"{folder.name}/table.csv")
    >>> row["stem"], row["sdr_db"], row["sir_db"]
    ('bass', 3.5, nan)
    >>> folder.cleanup()
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a table that `irtools bench` wrote")
    content, header = path.read_bytes(), _lines([COLUMNS])
    if not content.startswith(header):
        raise ValueError(f"{path}: is no table of this version of the benchmark; expected another file")
    last = {rows[0]["key"]: rows for rows in _jobs(content[len(header) :], path)[0]}
    return [{name: _value(name, text) for name, text in row.items()} for rows in last.values() for row in rows]


def _jobs(content: bytes, path: Path) -> tuple[list[list[dict]], int]:
    """The rows of every job that is complete, and the number of bytes they take."""
    jobs, rows, size, whole = [], [], 0, 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, start=2):
        if not line.endswith(b"\n"):  # cut off by a kill
            break
        row = dict(zip(COLUMNS, next(csv.reader([line.decode(errors="replace")]), []), strict=False))
        if len(row) != len(COLUMNS) or not row["stems"].isdecimal() or (rows and row["key"] != rows[0]["key"]):
            raise ValueError(f"{path}: line {number} does not go on with the table; expected it as it was written")
        rows.append(row)
        size += len(line)
        if len(rows) == int(row["stems"]):
            jobs, rows, whole = [*jobs, rows], [], size
    return jobs, whole


def _lines(rows: Iterable[Iterable]) -> bytes:
    text = io.StringIO()
    # One line a row, whatever a method says: the file is cut at line ends.
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode()


def _cell(value) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _value(name: str, text: str):
    if name in TEXT:
        return text
    if name == "converged":
        return None if text == "" else text == "True"
    return float(text) if text else float("nan")


def _lock(file, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError(f"{path}: another run writes to it; expected another file") from None
