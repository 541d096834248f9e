"""BSS Eval v4 of four mono stems: ``irtools.metrics.bss_eval`` against ``museval.evaluate``, in one process.

    python benchmarks/bench_metrics.py [--seconds 30] [--rounds 3]

The stems are the real ones of Falcon 69, repeated to length with a slowly changing level. Parity first: no time is
reported unless every ratio of every window agrees to 1e-4 dB (above 120 dB, where both hold rounding error, both must
say so). Both use the threads that OMP_NUM_THREADS allows, by default all cores, and are timed in turns; the
best of each counts.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch
from tables import write_rows

from irtools.metrics import bss_eval
from irtools.provenance import provenance
from irtools.recording.datasets import falcon69

TOLERANCE_DB = 1e-4
ROUNDING_DB = 120.0


def stems(seconds: float) -> tuple[torch.Tensor, torch.Tensor, int]:
    """References, estimates (4, samples) with bleed, soft clipping and noise, float64, and the sample rate."""
    song = falcon69()
    generator = torch.Generator().manual_seed(0)
    samples = round(seconds * song.sample_rate)
    references = song.waveforms.double().repeat(1, -(-samples // song.samples))[:, :samples]
    phase = 2 * torch.pi * torch.rand(4, 1, generator=generator, dtype=torch.float64)
    references *= 0.7 + 0.3 * torch.sin(torch.linspace(0, seconds, samples, dtype=torch.float64) + phase)
    gains = (0.3 * torch.rand(4, 4, generator=generator, dtype=torch.float64)).fill_diagonal_(0.9)
    noise = 1e-3 * torch.randn(references.shape, generator=generator, dtype=torch.float64)
    return references, torch.tanh(2 * gains @ references) / 2 + noise, song.sample_rate


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference in dB; infinite where only one of the two is rounding error or NaN."""
    ours, theirs = np.minimum(ours, ROUNDING_DB), np.minimum(theirs, ROUNDING_DB)
    return np.inf if np.isnan(ours).any() or np.isnan(theirs).any() else float(np.abs(ours - theirs).max())


def timed(call) -> tuple[float, object]:
    start = time.perf_counter()
    out = call()
    return time.perf_counter() - start, out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # musdb's and museval's own, at import
        import museval

    references, estimates, rate = stems(args.seconds)
    museval_input = references.numpy()[..., None], estimates.numpy()[..., None]
    museval_s = irtools_s = float("inf")
    for _ in range(args.rounds):  # in turns, so that a busy moment of the machine falls on both
        seconds, theirs = timed(lambda: museval.evaluate(*museval_input, win=rate, hop=rate, mode="v4"))
        museval_s = min(museval_s, seconds)
        for _ in range(8):
            seconds, ratios = timed(lambda: bss_eval(estimates, references, window=rate, hop=rate))
            irtools_s = min(irtools_s, seconds)
    difference = largest_difference(torch.stack(ratios).numpy(), np.stack(theirs))
    if not difference < TOLERANCE_DB:
        raise SystemExit(f"no times: museval and irtools differ by {difference:.1e} dB, allowed {TOLERANCE_DB:g} dB")
    row = {
        "stems": 4,
        "seconds": args.seconds,
        "sample_rate": rate,
        "threads": torch.get_num_threads(),
        "baseline": "museval.evaluate",
        "baseline_s": f"{museval_s:.2f}",
        "irtools_s": f"{irtools_s:.3f}",
        "ratio": f"{museval_s / irtools_s:.1f}",
        "max_difference_dB": f"{difference:.1e}",
    }
    path = write_rows("metrics", [row | provenance("torch", "museval", "numpy")])
    print(f"museval {museval_s:.2f} s, irtools {irtools_s:.3f} s: {museval_s / irtools_s:.1f}x -> {path.name}")
    print(f"largest difference {difference:.1e} dB over {theirs[0].size} windows of four ratios")


if __name__ == "__main__":
    main()
