"""BSS Eval v4 alone, and every metric of ``ir.score``, against ``museval.evaluate`` on four mono stems, in one process.

    OMP_NUM_THREADS=1 python benchmarks/bench_metrics.py [--seconds 20] [--rounds 3]

The stems are the real ones of Falcon 69, repeated to length with a slowly changing level, in float32. Parity first: no
time is reported unless every ratio of every window agrees to 1e-4 dB (above 120 dB, where both hold rounding error,
both must say so). All use the threads that OMP_NUM_THREADS allows, and are timed in turns; the best of each counts.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from on_device import timed
from tables import write_rows

from irtools.metrics import bss_eval, score
from irtools.provenance import provenance
from irtools.recording.datasets import falcon69

TOLERANCE_DB = 1e-4
ROUNDING_DB = 120.0


def stems(seconds: float) -> tuple[torch.Tensor, torch.Tensor, int]:
    """References, estimates (4, samples) with bleed, soft clipping and noise, float32, and the sample rate."""
    song = falcon69()
    generator = torch.Generator().manual_seed(0)
    samples = round(seconds * song.sample_rate)
    references = song.waveforms.double().repeat(1, -(-samples // song.samples))[:, :samples]
    phase = 2 * torch.pi * torch.rand(4, 1, generator=generator, dtype=torch.float64)
    references *= 0.7 + 0.3 * torch.sin(torch.linspace(0, seconds, samples, dtype=torch.float64) + phase)
    gains = (0.3 * torch.rand(4, 4, generator=generator, dtype=torch.float64)).fill_diagonal_(0.9)
    noise = 1e-3 * torch.randn(references.shape, generator=generator, dtype=torch.float64)
    estimates = torch.tanh(2 * gains @ references) / 2 + noise
    return references.float(), estimates.float(), song.sample_rate


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference in dB; infinite where only one of the two is rounding error or NaN."""
    ours, theirs = np.minimum(ours, ROUNDING_DB), np.minimum(theirs, ROUNDING_DB)
    return np.inf if np.isnan(ours).any() or np.isnan(theirs).any() else float(np.abs(ours - theirs).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # musdb's and museval's own, at import
        import museval

    references, estimates, rate = stems(args.seconds)
    museval_input = references.double().numpy()[..., None], estimates.double().numpy()[..., None]
    calls = {
        "bss_eval": lambda: bss_eval(estimates, references, window=rate, hop=rate),
        "score": lambda: score(estimates, references, rate),
    }
    museval_s, irtools_s, found = float("inf"), dict.fromkeys(calls, float("inf")), {}
    for _ in range(args.rounds):  # in turns, so that a busy moment of the machine falls on all
        seconds, theirs = timed(lambda: museval.evaluate(*museval_input, win=rate, hop=rate, mode="v4"))
        museval_s = min(museval_s, seconds)
        for name, call in calls.items():
            for _ in range(8):
                seconds, found[name] = timed(call)
                irtools_s[name] = min(irtools_s[name], seconds)
    rows = []
    for name, ratios in found.items():
        ours = np.stack([getattr(ratios, ratio).numpy() for ratio in ("sdr", "isr", "sir", "sar")])
        difference = largest_difference(ours, np.stack(theirs))
        if not difference < TOLERANCE_DB:
            raise SystemExit(f"no times: museval and {name} differ by {difference:.1e} dB, allowed {TOLERANCE_DB:g} dB")
        row = {
            "call": name,
            "stems": 4,
            "seconds": args.seconds,
            "sample_rate": rate,
            "threads": torch.get_num_threads(),
            "baseline": "museval.evaluate",
            "baseline_s": f"{museval_s:.2f}",
            "irtools_s": f"{irtools_s[name]:.3f}",
            "ratio": f"{museval_s / irtools_s[name]:.1f}",
            "max_difference_dB": f"{difference:.1e}",
        }
        rows.append(row | provenance("torch", "museval", "numpy", "scipy"))
        print(
            f"{name}: museval {museval_s:.2f} s, irtools {irtools_s[name]:.3f} s: {row['ratio']}x, {difference:.1e} dB"
        )
    write_rows("metrics", rows, ("call", "seconds", "threads", "commit"))


if __name__ == "__main__":
    main()
