"""Alternating minimisation on second moments against the same rules on the samples.

    python benchmarks/bench_alternating.py [--seconds 10] [--mics 4] [--iterations 100]

Parity first: no time is reported unless both give the same iterates to 1e-8.
"""

from __future__ import annotations

import argparse
import warnings

import torch
from on_device import best_of
from tables import write_rows

import irtools as ir
from irtools.methods.alternating.loops import alternate_on_samples
from irtools.methods.alternating.updates import AMSettings
from irtools.methods.separator import ConvergenceWarning
from irtools.provenance import provenance

SAMPLE_RATE = 44100


def recording(mics: int, seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse independent sources, bled with gains of U[.01, .5]: microphones and the clean sum, float64."""
    generator = torch.Generator().manual_seed(0)
    shape = (mics, round(seconds * SAMPLE_RATE))
    sources = torch.randn(shape, generator=generator, dtype=torch.float64)
    sources = 0.1 * sources * torch.rand(shape, generator=generator, dtype=torch.float64) ** 4
    gains = torch.empty(mics, mics, dtype=torch.float64).uniform_(0.01, 0.5, generator=generator).fill_diagonal_(1)
    return gains @ sources, sources.sum(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mics", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=100)
    args = parser.parse_args()
    mics, clean = recording(args.mics, args.seconds)
    # A negative fall is never reached: both run all their iterations.
    settings = {"stop": "objective", "tol": 0.0, "max_iter": args.iterations}

    warnings.simplefilter("ignore", ConvergenceWarning)
    plain_s, plain = best_of(2, lambda: alternate_on_samples(mics, clean, AMSettings(), args.iterations))
    moments_s, ours = best_of(
        5,
        lambda: ir.reduce(mics, SAMPLE_RATE, "am", mixture="clean", mixdown=clean, weights="ones", **settings),
    )
    error = float((ours.sources - plain[1]).norm() / plain[1].norm())
    if not error < 1e-8 or ours.n_iter != args.iterations:
        raise SystemExit(f"no times: the iterates differ by {error:.1e} (relative) after {ours.n_iter} iterations")
    row = {
        "mics": args.mics,
        "seconds": args.seconds,
        "iterations": args.iterations,
        "threads": torch.get_num_threads(),
        "baseline": "alternate_on_samples",
        "baseline_s": f"{plain_s:.3f}",
        "moments_s": f"{moments_s:.4f}",
        "ratio": f"{plain_s / moments_s:.0f}",
        "relative_error": f"{error:.1e}",
    }
    path = write_rows("alternating", [row | provenance("torch", "numpy")])
    print(f"{plain_s:.3f} s on samples, {moments_s:.4f} s on moments: {plain_s / moments_s:.0f}x -> {path.name}")


if __name__ == "__main__":
    main()
