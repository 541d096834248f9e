"""Cases that the sources print numbers for, nearest conditions on songs at hand: gains, scores and times.

    python benchmarks/bench_published.py [gains] [times]

`gains`: linear mixtures through alternating minimisation, told the clean sum of the sources or the sum of the
microphones, and through KAMIR with the settings of its published code; `results/published_cases.csv` has the scores of
every stem, `results/published_gains.csv` the matrices found where every bleed gain is 0.1. `times`: clips of ten
seconds through networks of the published sizes, untrained, and KAMIR as published; `results/published_times.csv`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from itertools import islice

import torch
from tables import write_rows
from torch import Tensor

import irtools as ir
from irtools.band.songs import songs
from irtools.metrics import sdr, si_sdr
from irtools.nets import build
from irtools.nets.inverse import projected_gains
from irtools.provenance import provenance
from irtools.recording.resampling import resample

SAMPLE_RATE, SECONDS = 22050, 10
LAWS = ("constant", "uniform", "attenuated")
CASES = [
    *(("am", {"variant": variant, "mixture": "clean"}) for variant in ("notebook", "slides", "solver")),
    *(("am", {"variant": variant, "mixture": "mics"}) for variant in ("notebook", "slides", "solver")),
    ("kamir", {"preset": "paper"}),
    ("kamir", {"preset": "practical"}),
]
NETS = ("cae", "tunet", "dfunet-paper")


def stems() -> dict[str, tuple[tuple[str, ...], Tensor]]:
    """Three songs of the band that nothing was trained on, and Falcon 69, mono."""
    found = {}
    for seed in islice(songs("test"), 3):
        song = ir.render_song(seed, seconds=2 + SECONDS, sample_rate=SAMPLE_RATE)
        found[f"band:{seed}"] = (song.names, song.waveforms[:, 2 * SAMPLE_RATE :])
    falcon = ir.falcon69()
    return found | {"falcon69": (falcon.names, resample(falcon.waveforms, falcon.sample_rate, SAMPLE_RATE))}


def measure_gains() -> None:
    cases, gains = [], []
    for song, (names, dry) in stems().items():
        for law in LAWS:
            scene = ir.simulate_linear(dry, law=law, names=names, generator=torch.Generator().manual_seed(0))
            for method, options in CASES:
                told = options | ({"mixdown": dry.sum(0)} if options.get("mixture") == "clean" else {})
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a solver that stops at its limit is what was published
                    out = ir.reduce(scene.mics, SAMPLE_RATE, method, **told)
                # As the published evaluation finds Λ of a method that returns signals alone.
                model = out.gains.double() if method == "am" else projected_gains(scene.mics, out.sources)
                job = {"law": law, "method": method, "variant": options.get("variant") or options["preset"]}
                job |= {"mixture": options.get("mixture", "none"), "song": song}
                error = (model - scene.gains.double()).norm().item()
                columns = zip(
                    names,
                    *(score(x, scene.references) for score in (sdr, si_sdr) for x in (scene.mics, out.sources)),
                    strict=True,
                )
                for stem, *scores in columns:
                    labels = ("input_sdr_db", "sdr_db", "input_si_sdr_db", "si_sdr_db")
                    values = {label: f"{value:.3f}" for label, value in zip(labels, map(float, scores), strict=True)}
                    cases.append(job | {"stem": stem} | values | {"gains_error": f"{error:.4f}"} | provenance("torch"))
                if law == "constant":
                    for k, mic in enumerate(names):
                        for n, source in enumerate(names):
                            value = {"mic": mic, "source": source, "gain": f"{model[k, n].item():.4f}"}
                            gains.append(job | value | {"own": int(k == n)} | provenance("torch"))
            print(song, law, flush=True)
    keys = ("law", "method", "variant", "mixture", "song", "stem")
    write_rows("published_cases", cases, keys)
    write_rows("published_gains", gains, (*keys[:-1], "mic", "source"))


def measure_times(clips: int = 2) -> None:
    calls = {"kamir:paper": lambda mics: ir.reduce(mics[0], SAMPLE_RATE, "kamir", preset="paper")}
    for name in NETS:
        torch.manual_seed(0)
        calls[name] = build(name).eval().reduce
    torch.set_num_threads(1)
    rows = []
    for name, call in calls.items():
        samples = SECONDS * SAMPLE_RATE // 16 * 16 if name == "dfunet-paper" else SECONDS * SAMPLE_RATE
        mics = torch.randn(1, 4, samples, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            call(mics)
            start = time.process_time()  # one thread: the time of the processor, whatever else runs
            for _ in range(clips):
                call(mics)
        took = (time.process_time() - start) / clips
        row = {"method": name, "clips": clips, "seconds": f"{samples / SAMPLE_RATE:.2f}", "mics": 4}
        row |= {"threads": torch.get_num_threads(), "s_for_100": f"{100 * took:.0f}"}
        rows.append(row | provenance("torch"))
        print(rows[-1], flush=True)
    write_rows("published_times", rows, ("method",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["gains", "times"])
    parts = parser.parse_args().parts
    if "gains" in parts:
        measure_gains()
    if "times" in parts:
        measure_times()


if __name__ == "__main__":
    main()
