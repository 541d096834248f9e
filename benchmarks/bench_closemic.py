"""Close-mic demixing against the same equations as loops over frequencies, microphones and sources.

    python benchmarks/bench_closemic.py [--seconds 10] [--mics 4]

Parity first: no time is reported unless both give the same matrices to 1e-6, in double precision. ``ratio`` compares
the demixing alone, of the same spectra and with the same number of iterations, the method in single precision in a
room as it runs in practice; ``times_real_time`` is that of the whole method, with transforms and mask.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from loops_closemic import linear_by_loops, room_by_loops
from on_device import best_of
from recordings import bursts
from tables import write_rows

import irtools as ir
from irtools.methods.closemic import linear as linear_demixing
from irtools.methods.closemic.linear import demix_linear
from irtools.methods.closemic.room import RoomLearner, RoomSettings
from irtools.provenance import provenance
from irtools.stft import stft

SAMPLE_RATE = 44100
ITERATIONS = 10
# Of the room mode: under the first prior, as the loops are, and at one frequency in so many.
LOOP_ITERATIONS, LOOP_EVERY = 3, 64


def room(mics: torch.Tensor) -> dict:
    settings = replace(RoomSettings(), floors=RoomSettings().floors[:LOOP_ITERATIONS])
    x = stft(mics, 8192, 2048).transpose(0, 1).contiguous()
    hop_s, rows = 2048 / SAMPLE_RATE, slice(0, None, LOOP_EVERY)

    def ours(spectra):
        learner = RoomLearner(spectra.clone(), spectra.real.new_ones(x.shape[2]), range(len(mics)), settings, hop_s)
        return learner.learn()

    # Frequencies do not hear of each other in so few iterations: the loops do some of them.
    some = x[rows].contiguous()
    baseline_s, (expected, _) = best_of(1, lambda: room_by_loops(some.numpy(), settings, hop_s))
    error = np.abs(ours(some).numpy() - expected).max()
    single = x.to(torch.complex64)
    method_s, _ = best_of(3, lambda: ours(single))
    scaled_s = baseline_s * len(x) / len(some)
    return {"baseline": "room_by_loops", "baseline_s": scaled_s, "method_s": method_s, "error": error}


def linear(mics: torch.Tensor) -> dict:
    spectra = stft(mics, 4096, 2048).flatten(1)
    bins = spectra[:, spectra.abs().square().sum(0) > 1e-6 * spectra.abs().square().sum(0).mean()]
    level = bins.abs().square().mean(1).sqrt()
    bins = bins / level[:, None]
    # The noise of microphones is in the method alone.
    linear_demixing._NOISE = 0.0
    steps = linear_demixing.SPARSITY_STEPS
    baseline_s, expected = best_of(1, lambda: linear_by_loops(bins.numpy(), steps, ITERATIONS))
    method_s, found = best_of(3, lambda: demix_linear(bins, max_iter=ITERATIONS, tol=0.0, steps=steps))
    error = np.abs(found.gains.numpy() - expected).max()
    return {"baseline": "linear_by_loops", "baseline_s": baseline_s, "method_s": method_s, "error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mics", type=int, default=4)
    arguments = parser.parse_args()
    mics = bursts(arguments.mics, arguments.seconds, SAMPLE_RATE)
    for mode, measure in (("room", room), ("linear", linear)):
        row = measure(mics)
        if row["error"] > 1e-6:
            raise SystemExit(f"{mode}: the method is {row['error']:.1e} from the loops, expected at most 1e-6")
        whole_s, _ = best_of(3, lambda mode=mode: ir.reduce(mics.float(), SAMPLE_RATE, "closemic", mode=mode))
        row = {
            "mode": mode,
            "mics": arguments.mics,
            "seconds": arguments.seconds,
            "threads": torch.get_num_threads(),
            "baseline": row["baseline"],
            "baseline_s": f"{row['baseline_s']:.2f}",
            "method_s": f"{row['method_s']:.2f}",
            "ratio": f"{row['baseline_s'] / row['method_s']:.1f}",
            "times_real_time": f"{arguments.seconds / whole_s:.1f}",
            "error": f"{row['error']:.1e}",
        }
        write_rows("closemic", [row | provenance()], ("mode", "threads"))


if __name__ == "__main__":
    main()
