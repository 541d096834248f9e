"""A kernel against the plain way to write it, eager and compiled: time, memory traffic, peak memory.

    python benchmarks/bench_kernels.py [OP ...] [--device auto|cpu|cuda] [--rounds 20] [--no-gate]

Parity first: nothing is timed unless the parity tests of the kernel pass, and nothing is reported of a size at which
the answers differ. Providers: ``eager`` (plain torch), ``compile`` (torch.compile of it) and ``ours`` (the dispatcher:
Triton on a GPU). They are timed in turns, so that a busy moment falls on all, and a single thread by its own time
(``clock``). ``gb_per_s`` counts every argument read once and the answer written once, whatever a provider really moves;
``of_copy`` is its share of the bandwidth of a copy, measured here. ``peak_mib`` is what a call takes beyond its
arguments, in a process of its own. A provider that fails has a row that says why. The rows of other machines stay in
``results/kernels_<op>.csv``.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from kernel_cases import CASES, Case, tensors_of
from on_device import MIB, chosen_device, machine, peak_of, seconds_of
from tables import write_rows

ROOT = Path(__file__).resolve().parents[1]
PROVIDERS = ("eager", "compile", "ours")


def gate(op: str) -> None:
    """End unless the parity tests pass; the property tests among them need Hypothesis."""
    tests = [ROOT / f"tests/parity/test_{op}_triton.py"]
    if importlib.util.find_spec("hypothesis"):
        tests.append(ROOT / f"tests/parity/test_{op}.py")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *map(str, tests)], cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"no times: the parity tests of {op} do not pass")


def provider(case: Case, name: str):
    return {"eager": case.plain, "compile": torch.compile(case.plain), "ours": case.ours}[name]


def percentiles(seconds: list[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(seconds, n=10, method="inclusive")
    return cuts[1], statistics.median(seconds), cuts[7]


def copy_bandwidth(device: str) -> float:
    """Bytes read and written per second by a copy larger than any cache."""
    source = torch.ones((1024 if device == "cuda" else 128) * MIB // 4, device=device)
    target = torch.empty_like(source)
    seconds = [seconds_of(target.copy_, (source,), device) for _ in range(20)][3:]
    return 2 * 4 * source.numel() / statistics.median(seconds)


def difference(found, expected) -> float:
    """Largest difference relative to the largest number, of the worst of several answers."""
    pairs = zip(tensors_of(found), tensors_of(expected), strict=True)
    return max(float((ours - its).abs().max() / its.abs().max()) for ours, its in pairs)


def peak_mib(index: int, name: str, device: str) -> float | str:
    """Memory that one call takes, measured in another process; what that process says last where it fails."""
    command = [sys.executable, __file__, "--device", device, "--peak-of", str(index), name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def measure(index: int, device: str, rounds: int, bandwidth: float) -> list[dict]:
    """A row per provider."""
    case = CASES[index]
    arguments = case.draw(device)
    calls = {name: provider(case, name) for name in PROVIDERS}
    notes, seconds, errors = dict.fromkeys(PROVIDERS, ""), {}, {}
    expected = case.plain(*arguments)
    traffic = case.traffic(arguments, expected)
    for name, call in calls.items():
        try:
            errors[name] = difference(call(*arguments), expected)
            call(*arguments)
            seconds[name] = []
        except Exception as error:  # whatever a compiler raises is a row, not the end
            notes[name] = f"failed: {type(error).__name__}: {error}".splitlines()[0][:120]
    if not errors.get("ours", float("inf")) <= case.tolerance:
        raise SystemExit(f"{case.size}: ours differs by {errors.get('ours')} {notes['ours']}, not {case.tolerance}")
    del expected
    for _ in range(rounds):
        for name in seconds:
            seconds[name].append(seconds_of(calls[name], arguments, device))
    del arguments
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    eager = percentiles(seconds["eager"])[1] if "eager" in seconds else None
    rows = []
    for name in PROVIDERS:
        row = {"size": case.size, "device": device, "provider": name}
        row |= dict.fromkeys(("p20_ms", "p50_ms", "p80_ms", "times_eager", "gb_per_s", "of_copy", "error"), "")
        peak = ""
        if name in seconds:
            p20, p50, p80 = percentiles(seconds[name])
            row |= {"p20_ms": f"{1e3 * p20:.4g}", "p50_ms": f"{1e3 * p50:.4g}", "p80_ms": f"{1e3 * p80:.4g}"}
            row["times_eager"] = f"{eager / p50:.2f}" if eager else ""
            row |= {"gb_per_s": f"{traffic / p50 / 1e9:.4g}", "of_copy": f"{traffic / p50 / bandwidth:.3f}"}
            row["error"] = f"{errors[name]:.1e}"
            peak = peak_mib(index, name, device)
        if isinstance(peak, float):
            peak = f"{peak:.1f}"
        elif peak:
            notes[name], peak = f"memory: {peak}"[:120], ""
        rows.append(row | {"peak_mib": peak, "rounds": rounds, "note": notes[name]})
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items() if value != ""), flush=True)
    return rows


def main() -> None:
    ops = list(dict.fromkeys(case.op for case in CASES))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ops", nargs="*", help=f"of {', '.join(ops)}; all of them if not given")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-gate", action="store_true", help="where the parity tests have just passed")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = chosen_device(arguments.device)
    if arguments.peak_of:
        case = CASES[int(arguments.peak_of[0])]
        print(json.dumps(peak_of(partial(provider(case, arguments.peak_of[1]), *case.draw(device)), device)))
        return
    if unknown := set(arguments.ops) - set(ops):
        parser.error(f"ops: expected of {', '.join(ops)}, got {', '.join(sorted(unknown))}")
    for op in arguments.ops or ops:
        if not arguments.no_gate:
            gate(op)
        bandwidth = copy_bandwidth(device)
        there = machine(device) | {"copy_gb_per_s": f"{bandwidth / 1e9:.4g}"}
        chosen = [i for i, case in enumerate(CASES) if case.op == op and device in case.devices]
        rows = [row | there for i in chosen for row in measure(i, device, arguments.rounds, bandwidth)]
        path = write_rows(f"kernels_{op}", rows, ("size", "device", "provider", "gpu", "cpu", "threads"))
        print(f"copy {bandwidth / 1e9:.4g} GB/s -> {path.name}")


if __name__ == "__main__":
    main()
