"""What the chapters would publish on other processors: python tests/book/portable.py [VARIANT ...] [-- RERUN ...]

Each variant runs rerun.py with the libraries restricted to other code: vector instructions, BLAS kernels, threads.
What comes after -- goes to rerun.py, chapters for example. Prints, for each variant, how many results moved and which
came closest to their tolerance; everything that moved stays in moved.csv of the variant's folder in _build/portable.
The exit code is 0 where no result left its tolerance.
"""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

from chapters import ROOT

OUT = ROOT / "_build" / "portable"
# PyTorch, MKL, oneDNN, OpenBLAS, NumPy and the C library each choose their code by the processor.
VARIANTS = {
    "one-thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "two-threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Zen",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_CBWR": "AVX512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "OPENBLAS_CORETYPE": "SkylakeX",
    },
}
NEEDS = {"avx2": "avx2", "avx512": "avx512f"}


def can_run(variant: str) -> bool:
    """Whether this processor has the instructions; without a list of them only what needs none is sure to run."""
    flags = Path("/proc/cpuinfo")
    return variant not in NEEDS or (flags.is_file() and f" {NEEDS[variant]} " in flags.read_text())


def summary(folder: Path) -> str:
    """How many results moved, how many of them too far, and the three that take most of their tolerance."""
    with (folder / "moved.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: -float(row["share"]))
    outside = sum(row["outside"] == "1" for row in rows)
    closest = (f"{row['chapter']} {row['result']} {float(row['share']):.1%}" for row in rows[:3])
    return f"{len(rows)} moved, {outside} outside; most of its tolerance: {', '.join(closest) or 'none'}"


def main(arguments: list[str]) -> int:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, more = arguments[:at] or list(VARIANTS), arguments[at + 1 :]
    if unknown := sorted(set(chosen) - set(VARIANTS)):
        print(f"VARIANT: expected some of {', '.join(VARIANTS)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    worst = 0
    for variant in chosen:
        if not can_run(variant):
            print(f"{variant}: not run, this processor has no {NEEDS[variant]}", flush=True)
            continue
        shutil.rmtree(OUT / variant, ignore_errors=True)
        command = [sys.executable, str(ROOT / "tests/book/rerun.py"), "--out", str(OUT / variant), *more]
        run = subprocess.run(command, env=os.environ | VARIANTS[variant], stdout=subprocess.DEVNULL, check=False)
        if run.returncode not in (0, 1):
            print(f"{variant}: rerun.py ended with {run.returncode}", flush=True)
            return 2
        print(f"{variant}: {summary(OUT / variant)}", flush=True)
        if run.returncode:
            print((OUT / variant / "moved.md").read_text(encoding="utf-8"), flush=True)
        worst = max(worst, run.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
