"""The timing table of the paper anew: clips of ten seconds and four microphones through each method.

    python benchmarks/bench_clips.py [METHOD ...] [--clips 100] [--device auto|cpu|cuda]

Rajesh and Rajan (WASPAA 2023) report 660.4 s for KAMIR, 2.4 s for the CAE and 2.19 s for the t-UNet on 100 clips:
KAMIR on a processor, the networks on a GPU of 12 GB, without the time to load them. Here all run on the same machine,
loading and running apart, one clip after another at 22.05 kHz. The networks are those that come with the library.

Parity first: no time is reported unless the first clip comes out as on a processor in double precision (a network: in
single), to -60 dB. Providers: ``triton`` and ``torch``, the kernels of :mod:`irtools.kernels` with and without Triton;
on a processor there is ``torch`` alone. ``times_real_time`` is of the run; ``peak_mib`` what a clip takes beyond the
clip and the weights, in a process of its own. Nothing here imports pyroomacoustics, librosa or musdb.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial

import torch
from on_device import chosen_device, machine, peak_of, timed
from recordings import bursts
from tables import write_rows

import irtools as ir
from irtools.kernels import backend

SAMPLE_RATE, SECONDS, MICS = 22050, 10, 4
METHODS = {
    "kamir": ("kamir", {}),
    "kamir-paper": ("kamir", {"preset": "paper"}),
    "mira": ("mira", {}),
    "closemic": ("closemic", {"mode": "linear"}),
    "cae": ("cae", {}),
    "tunet": ("tunet", {}),
    "dfunet": ("dfunet", {}),
    "dfunet-gat": ("dfunet-gat", {}),
}
NETWORKS = ("cae", "tunet", "dfunet", "dfunet-gat")
PUBLISHED_S = {"kamir-paper": 660.4, "cae": 2.4, "tunet": 2.19}
TOLERANCE = 1e-3


def reduction(label: str, device: str):
    method, options = METHODS[label]
    return partial(ir.reduce, sample_rate=SAMPLE_RATE, method=method, device=device, **options)


def without_triton() -> None:
    """The kernels of this process are those of torch from now on."""
    backend._missing_triton = lambda: "left out by the benchmark"


def error_of(found: torch.Tensor, label: str, mics: torch.Tensor) -> float:
    """Energy of the difference from a processor's answer relative to it, as a root."""
    exact = reduction(label, "cpu")(mics if label in NETWORKS else mics.double()).sources
    return float((found.double() - exact).norm() / exact.norm())


def measure(label: str, provider: str, device: str, n_clips: int) -> dict:
    """A row; one process per provider, so that loading is measured where nothing is loaded."""
    if provider == "torch":
        without_triton()
    clips = [bursts(MICS, SECONDS, SAMPLE_RATE, seed).float().to(device) for seed in range(n_clips)]
    reduce = reduction(label, device)
    # The first call imports, reads weights, compiles kernels and plans transforms; a GPU copies the answer back.
    first_s, first = timed(lambda: reduce(clips[0]).sources.cpu(), device)
    run_s = sum(timed(lambda mics=mics: reduce(mics).sources.cpu(), device)[0] for mics in clips)
    error = error_of(first, label, clips[0].cpu())
    if not error <= TOLERANCE:
        raise SystemExit(f"{label}, {provider}: no times: {error:.1e} from the answer of a processor")
    return {
        "method": label,
        "device": device,
        "provider": provider,
        "clips": n_clips,
        "seconds": SECONDS,
        "mics": MICS,
        "rate": SAMPLE_RATE,
        "load_s": f"{max(0.0, first_s - run_s / n_clips):.2f}",
        "run_s": f"{run_s:.2f}",
        "s_for_100": f"{100 * run_s / n_clips:.3g}",
        "times_real_time": f"{n_clips * SECONDS / run_s:.0f}",
        "published_s_for_100": PUBLISHED_S.get(label, ""),
        "error": f"{error:.1e}",
        "peak_mib": f"{peak_of(lambda: reduce(clips[0]), device):.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help=f"of {', '.join(METHODS)}; all of them if not given")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = chosen_device(arguments.device)
    if arguments.only:
        print(json.dumps(measure(*arguments.methods, arguments.only, device, arguments.clips)))
        return
    if unknown := set(arguments.methods) - set(METHODS):
        parser.error(f"methods: expected of {', '.join(METHODS)}, got {', '.join(sorted(unknown))}")
    failed = []
    for label in arguments.methods or METHODS:
        for provider in ("torch", "triton") if device == "cuda" else ("torch",):
            command = [sys.executable, __file__, label, "--only", provider, "--device", device]
            done = subprocess.run([*command, "--clips", str(arguments.clips)], stdout=subprocess.PIPE, text=True)
            if done.returncode:
                failed.append(f"{label}, {provider}")
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            write_rows("clips", [row | machine(device)], ("method", "device", "provider", "gpu", "cpu", "threads"))
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if failed:
        raise SystemExit(f"no rows: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
