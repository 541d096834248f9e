"""Time, peak memory and name of the device that a benchmark runs on."""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

from irtools.provenance import provenance

MIB = 1 << 20


def chosen_device(name: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is a GPU where there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def clock(device: str) -> str:
    """What :func:`seconds_of` reads: a single thread's own time does not grow when other programs take turns."""
    if device == "cuda":
        return "gpu"
    return "processor" if torch.get_num_threads() == 1 else "wall"


def timed(call: Callable, device: str = "cpu") -> tuple[float, object]:
    """What a call took, by the wall or a single thread's own time, and what it gave."""
    now = time.process_time if clock(device) == "processor" else time.perf_counter
    start = now()
    found = call()
    return now() - start, found


def best_of(repeats: int, call: Callable) -> tuple[float, object]:
    """The least that one of several calls took on a processor, and what the last one gave."""
    runs = [timed(call) for _ in range(repeats)]
    return min(seconds for seconds, _ in runs), runs[-1][1]


def seconds_of(call: Callable, arguments: tuple, device: str) -> float:
    """What one call took by :func:`clock`."""
    if device == "cpu":
        return timed(lambda: call(*arguments))[0]
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call(*arguments)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def peak_of(call: Callable, device: str) -> float:
    """MiB that a second call takes beyond what was there before it; Linux, and a process of its own."""
    call()
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = call()
        torch.cuda.synchronize()
        del kept
        return (torch.cuda.max_memory_allocated() - before) / MIB
    # What the first call left to the allocator would hide what the second one takes.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory_of_process("VmRSS")
    kept = call()
    del kept
    return _memory_of_process("VmHWM") - before


def _memory_of_process(line):
    return int(re.search(rf"{line}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def machine(device: str) -> dict[str, str]:
    """Columns that say where a row was measured."""
    row = {"gpu": "", "driver": "", "threads": str(torch.get_num_threads()), "clock": clock(device)}
    if device == "cuda":
        row["gpu"] = torch.cuda.get_device_name()
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            row["driver"] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            row["driver"] = "unknown"
    try:
        row["triton"] = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        row["triton"] = ""
    return row | provenance("torch", "numpy")
