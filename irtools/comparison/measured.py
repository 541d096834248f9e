"""One method on one recording in a process of its own: `python -m irtools.comparison.measured FOLDER`.

FOLDER has ``mics.npy``, perhaps ``mixdown.npy``, and ``job.json``; it gets ``measured.json`` and, unless the method
failed, ``sources.npy`` and perhaps ``gains.npy``. A process a job: its peak of memory is its own, and a method that
takes the whole process with it takes nothing else.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from irtools.comparison.rivals import reduce_with

_MIB = 1 << 20


def measure(folder: Path) -> dict:
    """Run the job in ``folder`` and write what came out of it.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict
        What ``measured.json`` holds: ``error``, or ``elapsed_s``, ``peak_mib`` (largest resident memory of the
        process), ``extra_mib`` (that above what was resident before the call), ``gpu_mib``, ``n_iter``, ``converged``,
        ``threads``, ``device`` and ``warnings``. Memory is None where the system does not tell.

    Notes
    -----
    A first call on the first second of the recording is not measured: imports, plans of transforms and the start of a
    GPU belong to no method. Resident memory is VmHWM of Linux, not ``ru_maxrss``, which starts at the peak of the
    process that started this one.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(f"{folder.name}/mics.npy", np.eye(2, 900))
    >>> job = {"method": "am", "options": {}, "sample_rate": 8000, "device": "cpu", "threads": None}
    >>> _ = Path(folder.name, "job.json").write_text(json.dumps(job))
    >>> measure(Path(folder.name))["converged"], np.load(f"{folder.name}/sources.npy").shape
    (True, (2, 900))
    >>> folder.cleanup()
    """
    try:
        found = _measured(folder, **json.loads((folder / "job.json").read_text(encoding="utf-8")))
    except Exception as error:
        found = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
    (folder / "measured.json").write_text(json.dumps(found), encoding="utf-8")
    return found


def _measured(folder, method, options, sample_rate, device, threads) -> dict:
    if threads is not None:
        torch.set_num_threads(threads)
    mics = torch.from_numpy(np.load(folder / "mics.npy"))
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    if (folder / "mixdown.npy").exists():
        options["mixdown"] = torch.from_numpy(np.load(folder / "mixdown.npy"))
    _warm_up(mics, sample_rate, method, device, options)
    on_gpu = torch.cuda.is_available() and device != "cpu"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    before = _resident_mib("VmRSS")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = reduce_with(mics, sample_rate, method, device=device, **options)
    peak = _resident_mib("VmHWM")
    np.save(folder / "sources.npy", found.sources.numpy())
    if found.gains is not None:
        np.save(folder / "gains.npy", found.gains.numpy())
    return {
        "elapsed_s": found.seconds,
        "peak_mib": peak,
        "extra_mib": None if peak is None else max(0.0, peak - before),
        "gpu_mib": torch.cuda.max_memory_allocated() / _MIB if on_gpu else None,
        "n_iter": found.n_iter,
        "converged": found.converged,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "warnings": "; ".join(" ".join(str(one.message).split()) for one in said),
    }


def _warm_up(mics, sample_rate, method, device, options) -> None:
    """A call whose outcome does not count, on a piece no longer than a second."""
    piece = dict(options)
    if "mixdown" in piece:
        piece["mixdown"] = piece["mixdown"][:sample_rate]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(Exception):  # the measured call tells
            reduce_with(mics[:, :sample_rate].clone(), sample_rate, method, device=device, **piece)


def _resident_mib(field: str) -> float | None:
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
