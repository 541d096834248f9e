"""What close-mic demixing does to a live recording with real bleed: levels in rests, levels while playing, coherence.

    python benchmarks/bench_live_sextet.py FOLDER

FOLDER holds piano, bass, soprano, alto, tenor and baryton as .flac, 8.0 to 28.0 s of the recordings in ``toydata`` of
https://github.com/Chutlhu/mirapie at 44.1 kHz; alto, tenor and baritone rest from 13.5 to 15 s of that cut. There are
no references: a rest should fall far, playing should not change, and the microphones should be less coherent.
"""

from __future__ import annotations

import argparse

import torch
from provenance import provenance, write_row

import irtools as ir
from irtools.stft import stft

PLAYERS = ("piano", "bass", "soprano", "alto", "tenor", "baryton")
REST_S, PLAYING_S = (13.5, 15.0), (1.0, 11.0)
RUNS = {
    "mira": ("mira", {}),
    "filter": ("closemic", {"residual_db": None}),
    "closemic": ("closemic", {}),
}


def coherence(waveforms: torch.Tensor) -> float:
    """Magnitude-squared coherence, mean over pairs of microphones and frequencies."""
    spectra = stft(waveforms, 2048, 512)
    cross = torch.einsum("ift,jft->ijf", spectra, spectra.conj()).abs().square()
    power = spectra.abs().square().sum(2)
    value = cross / (power[:, None] * power[None]).clamp_min(1e-30)
    return float(value[torch.ones(len(waveforms), len(waveforms)).triu(1).bool()].mean())


def level_change_db(after: torch.Tensor, before: torch.Tensor, rate: int, seconds: tuple) -> list[float]:
    start, end = (round(rate * time) for time in seconds)
    power = [x[:, start:end].double().square().mean(1) for x in (after, before)]
    return (10 * torch.log10(power[0] / power[1])).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    live = ir.read_multitrack(parser.parse_args().folder, names=PLAYERS)
    mics, rate = live.waveforms, live.sample_rate
    row = {"mics_coherence": f"{coherence(mics):.3f}"}
    for name, (method, options) in RUNS.items():
        after = ir.reduce(mics, rate, method, **options).sources
        rest = level_change_db(after, mics, rate, REST_S)
        playing = level_change_db(after, mics, rate, PLAYING_S)
        for player, label in (("alto", "alto"), ("tenor", "tenor"), ("baryton", "baritone")):
            row[f"{name}_{label}"] = f"{rest[PLAYERS.index(player)]:.1f}"
        row[f"{name}_playing"] = f"{max(playing, key=abs):.1f}"
        row[f"{name}_coherence"] = f"{coherence(after):.3f}"
    print(write_row("live_sextet", row | provenance("torch", "numpy")).read_text())


if __name__ == "__main__":
    main()
