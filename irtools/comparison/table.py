"""The table of a benchmark as a CSV file: appended job by job, it survives a kill, and a later run goes on with it."""

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
    "song": "falcon69, band:SEED, kit:SEED or the name of a folder",
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
    """A CSV file of one benchmark, locked while it is open; ``jobs`` has the rows of every job by its key.

    The rows of a job are appended in one write, and are on the disk before the next job's. A row names the number of
    rows of its job, so that a job which a kill cut off is known, removed, and done again.
    """

    def __init__(self, path):
        self.path = Path(path)

    def __enter__(self) -> Table:
        if self.path.is_dir():
            raise ValueError(f"{self.path}: is a folder; expected a .csv file")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            _lock(self._file, self.path)
            self._file.seek(0)
            self.jobs, whole = _jobs(self._file.read(), self.path)
            self._file.truncate(whole)
            if not whole:
                self._write([COLUMNS])
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def append(self, rows: list[dict]) -> None:
        """Write all rows of one job; missing columns are empty."""
        self._write([row.get(name, "") for name in COLUMNS] for row in rows)
        self.jobs[rows[0]["key"]] = rows

    def _write(self, rows: Iterable[Iterable]) -> None:
        self._file.write(_lines(rows))
        self._file.flush()
        os.fsync(self._file.fileno())


def read_rows(path) -> list[dict]:
    """The rows of a table, of each job the last ones written; numbers are floats, NaN where a cell is empty."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a table that `irtools bench` wrote")
    jobs, whole = _jobs(path.read_bytes(), path)
    if not whole:
        raise ValueError(f"{path}: is empty; expected a table that `irtools bench` wrote")
    return [{name: _value(name, text) for name, text in row.items()} for rows in jobs.values() for row in rows]


def _jobs(content: bytes, path: Path) -> tuple[dict[str, list[dict]], int]:
    """The rows of every job that is complete, by its key, and the number of bytes that they and the header take."""
    header = _lines([COLUMNS])
    if header.startswith(content) and content != header:
        return {}, 0
    if not content.startswith(header):
        raise ValueError(f"{path}: is no table of this version of the benchmark; expected another file")
    jobs, rows, size, whole = {}, [], len(header), len(header)
    for number, line in enumerate(content[size:].splitlines(keepends=True), start=2):
        if not line.endswith(b"\n"):  # cut off by a kill
            break
        row = dict(zip(COLUMNS, next(csv.reader([line.decode(errors="replace")]), []), strict=False))
        if len(row) != len(COLUMNS) or not row["stems"].isdecimal() or (rows and row["key"] != rows[0]["key"]):
            raise ValueError(f"{path}: line {number} does not go on with the table; expected it as it was written")
        rows.append(row)
        size += len(line)
        if len(rows) == int(row["stems"]):
            jobs[row["key"]], rows, whole = rows, [], size
    return jobs, whole


def _lines(rows: Iterable[Iterable]) -> bytes:
    text = io.StringIO()
    # One line per row, whatever a method says: the file is cut at line ends.
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
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
