"""Music source separation trained on clean, bled and cleaned stems, scored on clean songs.

    python benchmarks/bench_mss.py [--seeds 3] [--steps 300] [--stage linear] [--runs runs/mss]

Makes the songs, their bleed and what each method leaves of it; trains one Wave-U-Net per seed and condition, all from
the same start on the same excerpts; and writes ``results/mss.csv``: one row per test song and stem. Rows that are there
are kept and their training is skipped, an interrupted training goes on from its checkpoint in ``--runs``. ``kind`` is

- training: quality of the stems that are trained on, against the clean ones;
- reference: what needs no training, the mixture, a quarter of it, and the Wiener mask of the true powers;
- separation: a trained network.

BSS Eval is irtools.metrics.bss_eval; on the first song it is compared with museval, which has to agree.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
from pathlib import Path

import torch
from tables import RESULTS, write_rows

from irtools.band.songs import render_song
from irtools.band.songs import songs as band_seeds
from irtools.metrics.bss_eval import bss_eval
from irtools.metrics.distortion import sdr, si_sdr
from irtools.metrics.oracles import mask_oracle
from irtools.metrics.silence import activity_scores, silence_scores
from irtools.provenance import provenance
from irtools.training.conditions import CONDITIONS, STAGES, stage_scene, training_stems
from irtools.training.separation import SeparationSettings, train_separator

RATE = 8000
KEYS = ("kind", "stage", "condition", "seed", "setting", "song", "stem")
SCORES = ("sdr_db", "sdr_mean_db", "sir_db", "sar_db", "si_sdr_db", "whole_sdr_db")
SILENCE = ("pes_db", "eps_db", "silent_frames", "rest_level_db", "rest_segments", "activity_agreement")
TRAINING = ("steps", "parameters", "training_s", "last_loss")
COLUMNS = (*KEYS, *SCORES, *SILENCE, *TRAINING, *provenance())


def render(split: str, songs: int, seconds: float) -> dict[int, torch.Tensor]:
    found = {}
    for number in itertools.islice(band_seeds(split), songs):
        song = render_song(number, seconds=seconds, sample_rate=RATE, cache_dir=False)
        found[number] = song.waveforms
    return found


def names() -> tuple[str, ...]:
    return render_song(0, seconds=0.1, sample_rate=RATE, cache_dir=False).names


def scores(estimates: torch.Tensor, references: torch.Tensor) -> list[dict]:
    """One row per stem, without what tells it apart."""
    ratios = bss_eval(estimates, references, window=RATE)
    silence = silence_scores(estimates, references, frame=RATE)
    activity = activity_scores(estimates, references, RATE)
    columns = {
        "sdr_db": ratios.sdr.nanmedian(-1).values,
        "sdr_mean_db": ratios.sdr.nanmean(-1),
        "sir_db": ratios.sir.nanmedian(-1).values,
        "sar_db": ratios.sar.nanmedian(-1).values,
        "si_sdr_db": si_sdr(estimates, references),
        "whole_sdr_db": sdr(estimates, references),
        "pes_db": silence.pes,
        "eps_db": silence.eps,
        "silent_frames": silence.silent_frames,
        "rest_level_db": activity.pes_median,
        "rest_segments": activity.resting_segments,
        "activity_agreement": activity.agreement,
    }
    return [{name: number(values[n]) for name, values in columns.items()} for n in range(len(references))]


def number(value: torch.Tensor) -> str:
    value = value.item()
    return str(value) if isinstance(value, int) else f"{value:.4f}" if math.isfinite(value) else ""


def check_against_museval(estimates: torch.Tensor, references: torch.Tensor) -> None:
    """SDR of frames as museval has it, where it has one."""
    from museval.metrics import bss_eval as reference

    theirs = reference(references[..., None].double().numpy(), estimates[..., None].double().numpy(), RATE, RATE)[0]
    ours = bss_eval(estimates, references, window=RATE, filter_length=1).sdr
    worst = (ours - torch.as_tensor(theirs)).abs().nan_to_num(0).max().item()
    if worst > 1e-3:
        raise SystemExit(f"SDR is {worst:.1e} dB from museval's, expected at most 1e-3")
    print(f"SDR agrees with museval to {worst:.1e} dB")


def rows_of(estimates, references, stem_names, labels: dict, about: dict) -> list[dict]:
    """Rows of all stems with equal columns, whatever made the estimates."""
    known = labels | about | provenance()
    return [
        {name: (known | {"stem": stem} | row).get(name, "") for name in COLUMNS}
        for stem, row in zip(stem_names, scores(estimates, references), strict=True)
    ]


def done() -> set[tuple]:
    """What the table has, without songs and stems."""
    path = RESULTS / "mss.csv"
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {tuple(row[key] for key in KEYS if key not in ("song", "stem")) for row in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 24, 48, 96])
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--test-songs", type=int, default=8)
    parser.add_argument("--stage", choices=STAGES, default="linear")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--runs", type=Path, default=Path("runs/mss"))
    options = parser.parse_args()
    torch.set_num_threads(1)

    stem_names = names()
    train, test = (
        render(split, count, options.seconds)
        for split, count in (("train", options.songs), ("test", options.test_songs))
    )
    base = SeparationSettings(
        config={"channels": options.channels, "samples": RATE, "sample_rate": RATE},
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
    )
    widths = "-".join(map(str, options.channels))
    setting = (
        f"{options.songs} songs of {options.seconds:g} s at {RATE} Hz; channels {widths}; {base.steps} steps of "
        f"{base.batch}; rate {base.learning_rate:g}"
    )
    scenes = {song: stage_scene(stems, RATE, song, options.stage) for song, stems in train.items()}
    stems_of = {}

    def stems_for(condition: str) -> list[torch.Tensor]:
        if condition not in stems_of:
            stems_of[condition] = [training_stems(scene, condition) for scene in scenes.values()]
        return stems_of[condition]

    there = done()
    if ("reference", "-", "mixture", "-", "-") not in there:
        rows = []
        for song, stems in test.items():
            mixture = stems.sum(0)
            all_mixture = mixture.expand_as(stems).contiguous()
            found = {
                "mixture": all_mixture,
                "quarter": all_mixture / len(stems),
                "mask oracle": mask_oracle(all_mixture, stems, window_size=1024),
            }
            if not rows:
                check_against_museval(found["mask oracle"], stems)
            for condition, estimates in found.items():
                labels = {"kind": "reference", "stage": "-", "condition": condition, "seed": "-", "song": str(song)}
                rows += rows_of(estimates, stems, stem_names, labels | {"setting": "-"}, {})
        write_rows("mss", rows, KEYS)
    for condition in options.conditions:
        if ("training", options.stage, condition, "-", "-") in there:
            continue
        rows = []
        for (song, scene), stems in zip(scenes.items(), stems_for(condition), strict=True):
            labels = {"kind": "training", "stage": options.stage, "condition": condition, "seed": "-"}
            # Clean stems have no distortion: their ratios are infinite and stay empty.
            rows += rows_of(stems, scene.references, stem_names, labels | {"song": str(song), "setting": "-"}, {})
        write_rows("mss", rows, KEYS)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for condition in options.conditions:
            if ("separation", options.stage, condition, str(seed), setting) in there:
                continue
            settings = SeparationSettings(**{**vars(base), "seed": seed})
            checkpoint = options.runs / f"{options.stage}-{condition}-{seed}-{widths}-{options.steps}.pt"
            trained = train_separator(stems_for(condition), settings, checkpoint=checkpoint)
            rows = []
            for song, stems in test.items():
                estimates = trained.net.separate(stems.sum(0))
                labels = {
                    "kind": "separation",
                    "stage": options.stage,
                    "condition": condition,
                    "seed": str(seed),
                    "setting": setting,
                    "song": str(song),
                }
                about = {
                    "steps": settings.steps,
                    "parameters": sum(each.numel() for each in trained.net.parameters()),
                    "training_s": f"{trained.seconds:.1f}",
                    "last_loss": f"{sum(trained.losses[-20:]) / len(trained.losses[-20:]):.5f}",
                }
                rows += rows_of(estimates, stems, stem_names, labels, about)
            write_rows("mss", rows, KEYS)
            medians = [float(row["sdr_db"]) for row in rows if row["sdr_db"]]
            print(
                f"{options.stage} {condition} seed {seed}: SDR {sum(medians) / len(medians):.2f} dB, "
                f"{trained.seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
