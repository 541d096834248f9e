"""What methods do to a live recording with real bleed: levels in rests and while playing, coherence, musical noise.

    python benchmarks/bench_live_sextet.py FOLDER

FOLDER holds piano, bass, soprano, alto, tenor and baryton as .flac, 8.0 to 28.0 s of the recordings in ``toydata`` of
https://github.com/Chutlhu/mirapie at 44.1 kHz; alto, tenor and baritone rest from 13.5 to 15 s of that cut. There are
no references: a rest should fall far, playing should not change, and the microphones should be less coherent.
"""

from __future__ import annotations

import argparse

import torch
from tables import write_rows

import irtools as ir
from irtools.metrics.blind.bleed_matrix import bleed_matrix
from irtools.metrics.blind.changes import energy_change_db, log_kurtosis_ratio
from irtools.metrics.blind.coherence import mean_coherence
from irtools.metrics.blind.delays import arrival_delays
from irtools.metrics.blind.rests import detect_rests
from irtools.provenance import provenance

PLAYERS = ("piano", "bass", "soprano", "alto", "tenor", "baryton")
RESTING = {"alto": "alto", "tenor": "tenor", "baryton": "baritone"}
REST_S, PLAYING_S = (13.5, 15.0), (1.0, 11.0)
RUNS = {
    "mira": ("mira", {}),
    "kamir": ("kamir", {}),
    "fastmira": ("fastmira", {}),
    "dfunet": ("dfunet", {}),
    "filter": ("closemic", {"attenuation_db": 0.0}),
    "closemic": ("closemic", {}),
}


def between(samples: int, rate: int, seconds: tuple[float, float]) -> torch.Tensor:
    time = torch.arange(samples)
    return (time >= round(rate * seconds[0])) & (time < round(rate * seconds[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    live = ir.read_multitrack(parser.parse_args().folder, names=PLAYERS)
    mics, rate = live.waveforms, live.sample_rate
    rest, playing = (between(mics.shape[1], rate, seconds) for seconds in (REST_S, PLAYING_S))
    row = {
        "mics_coherence": f"{mean_coherence(mics):.3f}",
        "mics_coherence_power": f"{mean_coherence(mics, weighting='power'):.3f}",
    }
    found = detect_rests(mics, rate)
    gains_db, delays_ms = 10 * bleed_matrix(mics, rate).log10(), 1000 * arrival_delays(mics, rate)
    for k, player in enumerate(PLAYERS):
        row[f"rest_share_{player}"] = f"{found[k].double().mean():.2f}"
        for n, source in enumerate(PLAYERS):
            if k != n:
                row[f"bleed_db_{source}_at_{player}"] = f"{gains_db[k, n]:.1f}"
                row[f"delay_ms_{source}_at_{player}"] = f"{delays_ms[k, n]:.2f}"
    for name, (method, options) in RUNS.items():
        after = ir.reduce(mics, rate, method, **options).sources
        fall, change = (energy_change_db(after, mics, where) for where in (rest, playing))
        musical = log_kurtosis_ratio(after, mics, rest)
        for player, label in RESTING.items():
            row[f"{name}_{label}"] = f"{fall[PLAYERS.index(player)]:.1f}"
        row[f"{name}_playing"] = f"{max(change.tolist(), key=abs):.1f}"
        row[f"{name}_coherence"] = f"{mean_coherence(after):.3f}"
        row[f"{name}_coherence_power"] = f"{mean_coherence(after, weighting='power'):.3f}"
        row[f"{name}_log_kurtosis"] = f"{musical[[PLAYERS.index(player) for player in RESTING]].mean():.2f}"
    print(write_rows("live_sextet", [row | provenance("torch", "numpy")]).read_text())


if __name__ == "__main__":
    main()
