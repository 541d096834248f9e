"""Do measures without references order methods as SI-SDR does? One row per simulated stage, method and stem.

    python benchmarks/bench_live_measures.py [--songs 8] [--seconds 10]

Songs of the band's test split at 22.05 kHz, in rooms of three reverberation times, four players who rest once each,
sensor noise at -60 dB. The rule for rests was chosen on the first three songs of that split, which are left out. A
stage that is in the table is not run again.
"""

from __future__ import annotations

import argparse
import csv
from itertools import islice

import torch
from tables import RESULTS, write_rows

import irtools as ir
from irtools.band.songs import songs
from irtools.metrics import si_sdr
from irtools.metrics.blind.changes import energy_change_db, log_kurtosis_ratio
from irtools.metrics.blind.coherence import coherence
from irtools.metrics.blind.rests import detect_rests
from irtools.provenance import provenance

RATE = 22050
CHOSEN_ON = 3
ROOMS_S = (0.2, 0.4, 0.6)
METHODS = ("kamir", "mira", "fastmira", "dfunet", "closemic")
# Shares of the song in which each player rests.
RESTS = ((0.05, 0.22), (0.28, 0.45), (0.53, 0.70), (0.78, 0.95))


def stage(song: int, rt60_s: float, seconds: float):
    band = ir.render_song(song, seconds=2.0 + seconds, sample_rate=RATE)
    stems = band.waveforms[:, 2 * RATE :].clone()
    time = torch.arange(stems.shape[1]) / RATE
    for stem, (start, end) in zip(stems, RESTS, strict=True):
        before, after = start * seconds - time, time - end * seconds
        stem *= (before / 0.02).clamp(0, 1) + (after / 0.02).clamp(0, 1)
    generator = torch.Generator().manual_seed(song)
    return ir.simulate_room(stems, RATE, rt60_s=rt60_s, names=band.names, noise_db=-60, generator=generator)


def mean_with_others(waveforms: torch.Tensor, weighting: str) -> torch.Tensor:
    matrix = coherence(waveforms, weighting=weighting).fill_diagonal_(0)
    return matrix.sum(1) / (len(matrix) - 1)


def rows_of(song: int, rt60_s: float, seconds: float) -> list[dict]:
    scene = stage(song, rt60_s, seconds)
    mics = scene.mics
    rests = detect_rests(mics, RATE)
    before = si_sdr(mics, scene.references)
    rows = []
    for method in METHODS:
        after = ir.reduce(mics, RATE, method).sources
        columns = {
            "gain_db": si_sdr(after, scene.references) - before,
            "rest_db": energy_change_db(after, mics, rests),
            "playing_db": energy_change_db(after, mics, ~rests),
            "coherence": mean_with_others(after, "none") - mean_with_others(mics, "none"),
            "coherence_power": mean_with_others(after, "power") - mean_with_others(mics, "power"),
            "log_kurtosis": log_kurtosis_ratio(after, mics, rests),
        }
        for n, stem in enumerate(scene.names):
            row = {"song": str(song), "rt60_s": f"{rt60_s:g}", "method": method, "stem": stem}
            rows.append(row | {name: f"{values[n]:.3f}" for name, values in columns.items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    table = RESULTS / "live_measures.csv"
    done = set()
    if table.exists():
        with table.open(newline="") as file:
            done = {(row["song"], row["rt60_s"]) for row in csv.DictReader(file)}
    for song in islice(songs("test"), CHOSEN_ON, CHOSEN_ON + options.songs):
        for rt60_s in ROOMS_S:
            if (str(song), f"{rt60_s:g}") in done:
                continue
            rows = [row | provenance("torch") for row in rows_of(song, rt60_s, options.seconds)]
            write_rows("live_measures", rows, ("song", "rt60_s", "method", "stem"))
            print(song, rt60_s, flush=True)


if __name__ == "__main__":
    main()
