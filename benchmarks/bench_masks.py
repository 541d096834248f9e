"""KAMIR, MIRA and FastMIRA against the same equations as loops over microphones and sources.

    python benchmarks/bench_masks.py [--seconds 10] [--mics 4]

Parity first: no time is reported unless both give the same sources to 1e-6, in double precision. ``ratio`` compares
whole reductions, whose spectra both make with the same transform; ``fit_ratio`` compares what is written twice, the
fit of the model. ``times_real_time`` is that of the method in single precision.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from loops_powers import fit_by_loops, reduce_by_loops
from on_device import best_of
from recordings import bursts
from tables import write_rows

import irtools as ir
from irtools.methods.powers import fastmira, kamir, mira
from irtools.methods.powers.fit import first_gains, first_psd, fit
from irtools.methods.powers.settings import PowerSettings
from irtools.methods.powers.spectra import powers
from irtools.provenance import provenance
from irtools.stft import stft

SAMPLE_RATE = 44100


def fastmira_by_loops(mics: torch.Tensor, settings: PowerSettings) -> tuple[torch.Tensor, np.ndarray]:
    spectra = stft(mics, settings.window_size, settings.hop, settings.window).numpy()
    weights = torch.randn(spectra.shape[2], 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = np.stack([np.abs(spectrum @ weights.numpy()) ** settings.alpha for spectrum in spectra])
    learning = replace(settings, n_iter=5, first_passes=0)
    _, gains = fit_by_loops(power / power.mean(), np.eye(len(mics), dtype=bool), learning)
    own = gains[range(len(mics)), range(len(mics))]
    return reduce_by_loops(mics, replace(settings, gain_iter=0), gains / own)


METHODS = {
    "kamir": (reduce_by_loops, kamir.PRESETS["practical"]),
    "mira": (reduce_by_loops, mira.PRESETS["practical"]),
    "fastmira": (fastmira_by_loops, fastmira.PRESETS["practical"]),
}


def fit_times(mics: torch.Tensor, settings: PowerSettings) -> tuple[float, float]:
    """Seconds of the fit, and of the fit by loops, of the powers of a recording."""
    power, close = powers(mics, settings), torch.eye(len(mics), dtype=torch.bool)
    planes = power.transpose(0, 1).contiguous().numpy()

    def ours():
        gains = first_gains(close, len(power), settings, power)
        return fit(power, first_psd(power, gains, close, settings), gains, close, settings)

    return best_of(5, ours)[0], best_of(2, lambda: fit_by_loops(planes, close.numpy(), settings))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mics", type=int, default=4)
    args = parser.parse_args()
    mics = bursts(args.mics, args.seconds, SAMPLE_RATE)
    for name, (by_loops, settings) in METHODS.items():
        plain_s, (expected, _) = best_of(2, lambda by_loops=by_loops, settings=settings: by_loops(mics, settings))
        ours_s, found = best_of(5, lambda name=name: ir.reduce(mics, SAMPLE_RATE, name))
        single_s, _ = best_of(5, lambda name=name: ir.reduce(mics.float(), SAMPLE_RATE, name))
        error = float((found.sources - expected).norm() / expected.norm())
        if not error < 1e-6:
            raise SystemExit(f"no times: the sources of {name} differ by {error:.1e} (relative)")
        fit_s, fit_plain_s = fit_times(mics, settings)
        row = {
            "method": name,
            "mics": args.mics,
            "seconds": args.seconds,
            "threads": torch.get_num_threads(),
            "baseline": by_loops.__name__,
            "baseline_s": f"{plain_s:.3f}",
            "method_s": f"{ours_s:.3f}",
            "ratio": f"{plain_s / ours_s:.1f}",
            "fit_baseline_s": f"{fit_plain_s:.3f}",
            "fit_s": f"{fit_s:.3f}",
            "fit_ratio": f"{fit_plain_s / fit_s:.1f}",
            "times_real_time": f"{args.seconds / single_s:.0f}",
            "relative_error": f"{error:.1e}",
        }
        path = write_rows("masks", [row | provenance("torch", "numpy")], ("method", "threads"))
        print(
            f"{name}: {plain_s:.2f} s by loops, {ours_s:.2f} s: {plain_s / ours_s:.1f}x (fit alone "
            f"{fit_plain_s / fit_s:.1f}x), {args.seconds / single_s:.0f}x real time -> {path.name}"
        )


if __name__ == "__main__":
    main()
