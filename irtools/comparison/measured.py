"""One method on one recording in a process of its own: `python -P -m irtools.comparison.measured CALL ANSWER`.

CALL holds the arguments of :func:`measure`, ANSWER gets what it returns, both as `torch.save` writes them. One process
per job: its peak of memory is its own, and a method that takes the whole process with it takes nothing else.
"""

from __future__ import annotations

import re
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from irtools.comparison.rivals import reduce_with

_MIB = 1 << 20


def measure(**call) -> dict:
    """The method's sources and gains with what they cost, or ``error``; memory is None where the system does not tell.

    ``peak_mib`` is the largest resident memory of the process, ``extra_mib`` that above what was resident before.
    """
    try:
        return _measured(**call)
    except Exception as error:
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())}


def _measured(mics: Tensor, mixdown: Tensor | None, sample_rate, method, options, device, threads) -> dict:
    if threads is not None:
        torch.set_num_threads(threads)
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}

    def call(samples: int):
        torch.manual_seed(0)
        given = options if mixdown is None else options | {"mixdown": mixdown[:samples]}
        return reduce_with(mics[:, :samples].contiguous(), sample_rate, method, device=device, **given)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # One second that is not measured: imports, plans of transforms and the start of a GPU belong to no method.
        with suppress(Exception):  # the measured call tells
            call(sample_rate)
    on_gpu = torch.cuda.is_available() and device != "cpu"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    before = _resident_mib("VmRSS")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = call(mics.shape[1])
    # Not `ru_maxrss`, which starts at the peak of the process that started this one.
    peak = _resident_mib("VmHWM")
    return {
        "sources": found.sources,
        "gains": found.gains,
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


def _resident_mib(field: str) -> float | None:
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None


if __name__ == "__main__":
    torch.save(measure(**torch.load(sys.argv[1], weights_only=True)), sys.argv[2])
