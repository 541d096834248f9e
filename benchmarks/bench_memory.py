"""Peak memory and speed of `irtools reduce` on a long recording, one process per method.

    python benchmarks/bench_memory.py [METHOD ...] [--minutes 30] [--mics 8] [--rate 44100] [--chunk-seconds 30]

The recording is made first (sparse sources, instantaneous bleed) and deleted afterwards. Parity first: a figure is
reported only if the estimates have the length of the recording and err no more than the microphones. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from tables import write_rows

from irtools.methods.registry import METHODS
from irtools.provenance import provenance
from irtools.recording.reading import MultitrackReader
from irtools.recording.writing import MultitrackWriter

LIMIT_MIB = 2048


def write_recording(folder: Path, mics: int, samples: int, rate: int) -> None:
    """Sources that start and stop, bled with gains of U[.05, .4]: ``mics/`` and the clean ``references/``."""
    generator = torch.Generator().manual_seed(0)
    gains = torch.empty(mics, mics).uniform_(0.05, 0.4, generator=generator).fill_diagonal_(1)
    names = [f"mic{n}" for n in range(mics)]
    with (
        MultitrackWriter(folder / "mics", names, rate, samples=samples) as heard,
        MultitrackWriter(folder / "references", names, rate, samples=samples) as clean,
    ):
        for start in range(0, samples, 5 * rate):
            size = min(5 * rate, samples - start)
            draw = torch.randn(mics, size, generator=generator) * torch.rand(mics, size, generator=generator) ** 4
            sources = 0.2 * draw * (torch.rand(mics, 1, generator=generator) < 0.7)
            clean.write(sources)
            heard.write(gains @ sources)


def error_of(estimates: Path, references: Path) -> float:
    """Energy of the error relative to that of the references, in blocks."""
    with MultitrackReader(estimates) as found, MultitrackReader(references) as clean:
        assert (found.samples, found.sample_rate, found.names) == (clean.samples, clean.sample_rate, clean.names)
        error = energy = 0.0
        for start in range(0, clean.samples, 1 << 20):
            ours, its = found.read(start, 1 << 20), clean.read(start, 1 << 20)
            error, energy = error + float((ours - its).square().sum()), energy + float(its.square().sum())
    return error / energy


# Not ru_maxrss, which starts at the peak of the process that started this one.
_MEASURED = r"""
import re
from pathlib import Path
from irtools.commands import main as cli
try:
    cli.main()
finally:
    print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def reduce_in_a_process(folder: Path, method: str, chunk_seconds: float) -> tuple[float, dict]:
    """Peak resident memory of `irtools reduce` in MiB, and its report."""
    out = folder / method
    call = ["reduce", folder / "mics", out, "--method", method, "--chunk-seconds", chunk_seconds]
    done = subprocess.run([sys.executable, "-c", _MEASURED, *map(str, call)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{method}: irtools reduce exited with {done.returncode}")
    return int(done.stdout.split()[-1]) / 1024, json.loads((out / "report.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=sorted(METHODS))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--mics", type=int, default=8)
    parser.add_argument("--rate", type=int, default=44100)
    parser.add_argument("--chunk-seconds", type=float, default=30.0)
    parser.add_argument(
        "--folder", type=Path, help="where the recording goes; the system's temporary folder if not given"
    )
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=args.folder) as root:
        folder = Path(root)
        write_recording(folder, args.mics, round(args.minutes * 60 * args.rate), args.rate)
        before = error_of(folder / "mics", folder / "references")
        for method in args.methods:
            peak, report = reduce_in_a_process(folder, method, args.chunk_seconds)
            after = error_of(folder / method, folder / "references")
            if not after <= before:
                raise SystemExit(
                    f"{method}: no figures: the error rose from {before:.3f} to {after:.3f} of the sources"
                )
            for path in (folder / method).glob("*.wav"):
                path.unlink()
            row = {
                "method": method,
                "mics": args.mics,
                "minutes": args.minutes,
                "rate": args.rate,
                "chunk_s": f"{report['chunk_seconds']:.2f}",
                "overlap_s": f"{report['overlap_seconds']:.2f}",
                "threads": torch.get_num_threads(),
                "peak_mib": f"{peak:.0f}",
                "times_real_time": f"{report['times_real_time']:.1f}",
                "error_before": f"{before:.4f}",
                "error_after": f"{after:.4f}",
            }
            row |= provenance("torch", "numpy", "scikit-learn")
            path = write_rows("memory", [row], ("method", "mics", "minutes", "threads"))
            verdict = "under" if peak < LIMIT_MIB else "OVER"
            print(
                f"{method:10} {peak:6.0f} MiB ({verdict} {LIMIT_MIB}), {report['times_real_time']:.1f} x real time, "
                f"error {before:.3f} -> {after:.3f} -> {path.name}"
            )


if __name__ == "__main__":
    main()
