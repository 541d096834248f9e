"""The timing table of the paper anew: clips of ten seconds and four microphones through each method.

    python benchmarks/bench_clips.py [--clips 100] [METHOD ...]

Rajesh and Rajan (WASPAA 2023) report 660.4 s for KAMIR, 2.4 s for the CAE and 2.19 s for the t-UNet on 100 clips:
KAMIR on a processor, the networks on a GPU of 12 GB, without the time to load them. Here all run on the same machine,
loading and running apart, one clip after another at 22.05 kHz. The networks are those that come with the library.
"""

from __future__ import annotations

import argparse
import time

import torch
from provenance import provenance, write_row

import irtools as ir

SAMPLE_RATE, SECONDS, MICS = 22050, 10, 4
METHODS = ("kamir", "mira", "closemic", "cae", "tunet", "dfunet", "dfunet-gat")
PUBLISHED_S = {"kamir": 660.4, "cae": 2.4, "tunet": 2.19}


def clip(seed: int) -> torch.Tensor:
    """Noise that comes and goes ten times a second, bled at -14 dB."""
    generator = torch.Generator().manual_seed(seed)
    shape = (MICS, SECONDS * SAMPLE_RATE)
    level = torch.rand(MICS, 10 * SECONDS, generator=generator) ** 3
    sources = torch.randn(shape, generator=generator) * level.repeat_interleave(SAMPLE_RATE // 10, 1)
    return (0.8 * torch.eye(MICS) + 0.2) @ sources


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--clips", type=int, default=100)
    arguments = parser.parse_args()
    clips = [clip(seed) for seed in range(arguments.clips)]
    for method in arguments.methods:
        options = {"mode": "linear"} if method == "closemic" else {}

        def reduce(mics, method=method, options=options):
            return ir.reduce(mics, SAMPLE_RATE, method, **options)

        # The first call imports, reads weights and plans transforms.
        first_s = timed(lambda: reduce(clips[0]))
        run_s = sum(timed(lambda mics=mics: reduce(mics)) for mics in clips)
        row = {
            "method": method,
            "clips": arguments.clips,
            "seconds": SECONDS,
            "mics": MICS,
            "rate": SAMPLE_RATE,
            "threads": torch.get_num_threads(),
            "load_s": f"{max(0.0, first_s - run_s / arguments.clips):.2f}",
            "run_s": f"{run_s:.1f}",
            "times_real_time": f"{arguments.clips * SECONDS / run_s:.0f}",
            "published_s_for_100": PUBLISHED_S.get(method, ""),
        }
        write_row(f"clips_{method.replace('-', '_')}", row | provenance("torch"))
        print(row)


if __name__ == "__main__":
    main()
