"""What methods do to a drum kit: level of each drum and of the bleed at its microphone, with and without overheads.

    python benchmarks/bench_kit.py [--seconds 20] [--data-root FOLDER]

Simulated kits of rendered drums, and with FOLDER/muldjord_kit (single hits of a real kit, recorded at nine microphones
at once) a groove put together of them, so that the part of every drum at every microphone is known there too. The
crash of that kit has no close microphone: it is bleed. ``overheads`` says whether the method hears them.

``own_loss_db`` is ``-20 log10 α`` of the least-squares scale ``α = <out, s> / <s, s>`` of a drum's part s at its own
microphone, ``loud_loss_db`` that over the frames which hold half of its energy, the loudest first;
``bleed_reduction_db`` compares ``out - α s`` with ``x - s``, x the microphone. ``rest_reduction_db`` compares ``out``
with ``x`` where the drum rests: in frames whose bleed is 20 dB above it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from tables import write_rows
from torch import Tensor

import irtools as ir
from irtools.comparison.scenes import make_scene, scenes_of
from irtools.metrics import si_sdr
from irtools.provenance import provenance

SONGS = ("kit:1", "kit:5", "kit:9")
RUNS = {
    "input": None,
    "mira": ("mira", {}),
    "filter": ("closemic", {"attenuation_db": 0.0}),
    "closemic": ("closemic", {}),
}
FRAME_S = 0.05
# Of the real kit: each drum with its close microphone and its instruments; the overheads; what is heard there alone.
DRUMS = {
    "kick": ("KdrumR", ("KdrumR",)),
    "snare": ("Snare_top", ("Snare",)),
    "hihat": ("Hihat", ("HihatClosed", "HihatOpen")),
    "tom1": ("Tom1", ("Tom1",)),
    "tom2": ("Tom2", ("Tom2",)),
    "tom4": ("Tom4", ("Tom4",)),
    "ride": ("RideR", ("RideR",)),
}
OVERHEADS, UNHEARD = ("OHL", "OHR"), ("CrashL",)
# Sixteenths of a bar with a loud hit; a ghost note of the snare where a die says so.
BEAT = {"KdrumR": (0, 6, 8), "Snare": (4, 12), "HihatClosed": (0, 2, 4, 6, 8, 10, 12), "HihatOpen": (14,)}
GHOSTS, FILL = (7, 9, 15), ("Snare", "Snare", "Tom1", "Tom1", "Tom1", "Tom2", "Tom2", "Tom4")
STEP_S = 60 / 104 / 4


def bar(number: int, generator: torch.Generator) -> Iterator[tuple[int, str, bool]]:
    """Sixteenth, instrument and whether it is loud: ride for hi-hat every other four bars, fills every other bar."""
    rides, fill_from = number % 8 >= 4, (16, 12, 16, 12, 16, 12, 8, 12)[number % 8]
    if number % 4 == 0:
        yield 0, "CrashL", True
    for instrument, steps in BEAT.items():
        if rides and instrument.startswith("Hihat"):
            instrument = "RideR"
        yield from ((step, instrument, True) for step in steps if step < fill_from)
    dice = torch.rand(len(GHOSTS), generator=generator)
    yield from (
        (step, "Snare", False) for step, die in zip(GHOSTS, dice, strict=True) if die < 0.5 and step < fill_from
    )
    yield from ((step, FILL[step - 16], True) for step in range(fill_from, 16))


def real_kit(folder: Path, seconds: float) -> tuple[Tensor, Tensor, int]:
    """A groove at all microphones (drums first, overheads last), and each drum at its own."""
    mics = [mic for mic, _ in DRUMS.values()] + list(OVERHEADS)
    hits = {}
    for instrument in (*(name for _, names in DRUMS.values() for name in names), *UNHEARD):
        numbers = sorted({int(path.name.partition("-")[0]) for path in (folder / instrument).glob("*.flac")})
        hits[instrument] = [
            ir.read_multitrack([folder / instrument / f"{number}-{mic}.flac" for mic in mics]) for number in numbers
        ]
    rate = hits["KdrumR"][0].sample_rate
    samples, generator = round(seconds * rate), torch.Generator().manual_seed(0)
    heard = {name: torch.zeros(len(mics), samples) for name in hits}
    for number in range(int(seconds / STEP_S) // 16 + 1):
        for step, instrument, loud in bar(number, generator):
            wander, level, choice = torch.rand(3, generator=generator).tolist()
            start = round(((16 * number + step) * STEP_S + 0.01 * wander) * rate)
            strengths = hits[instrument]
            # Weakest to strongest: ghost notes are of the weakest, others of the rest.
            hit = strengths[1 + int(choice * (len(strengths) - 1)) if loud else 0].waveforms
            hit = hit[:, : max(0, samples - start)] * 10 ** ((2 * level - 1) / 20)
            heard[instrument][:, start : start + hit.shape[1]] += hit
    images = [sum(heard[name] for name in names)[n] for n, (_, names) in enumerate(DRUMS.values())]
    return sum(heard.values()), torch.stack(images), rate


def own_level(out: Tensor, own: Tensor) -> Tensor:
    """Least-squares scale of each row of ``own`` in ``out``."""
    return (out * own).sum(1) / own.square().sum(1)


def frame_energy(waveforms: Tensor, rate: int) -> Tensor:
    """Energy of each frame of ``FRAME_S`` that is whole, (rows, frames)."""
    size = round(FRAME_S * rate)
    return waveforms[:, : waveforms.shape[1] // size * size].unflatten(1, (-1, size)).square().sum(2)


def samples_of(frames: Tensor, samples: int, rate: int) -> Tensor:
    """A value of each frame at each of its samples, and 0 after the last frame."""
    spread = frames.repeat_interleave(round(FRAME_S * rate), 1)
    return torch.nn.functional.pad(spread, (0, samples - spread.shape[1]))


def loud_parts(own: Tensor, rate: int) -> Tensor:
    """1 in the frames that hold half of the energy of each row, the loudest first; otherwise 0."""
    energy = frame_energy(own, rate)
    ordered, order = energy.sort(1, descending=True)
    before = ordered.cumsum(1) - ordered
    loud = torch.zeros_like(energy).scatter(1, order, (before < energy.sum(1, keepdim=True) / 2).to(energy))
    return samples_of(loud, own.shape[1], rate)


def rests(own: Tensor, bleed: Tensor, rate: int) -> Tensor:
    """1 in the frames whose bleed is 20 dB above the drum; otherwise 0."""
    resting = 100 * frame_energy(own, rate) < frame_energy(bleed, rate)
    return samples_of(resting.to(own), own.shape[1], rate)


def in_db(ratio: Tensor) -> Tensor:
    return 10 * ratio.clamp_min(1e-12).log10()


def measure(out: Tensor, mics: Tensor, own: Tensor, rate: int) -> dict[str, Tensor]:
    """Figures of each drum from outputs, close microphones and the drums alone, all (drums, samples)."""
    out, mics, own = out.double(), mics.double(), own.double()
    loud, level, resting = loud_parts(own, rate), own_level(out, own), rests(own, mics - own, rate)
    left = (out - level[:, None] * own).square().sum(1)
    return {
        "own_loss_db": -2 * in_db(level.clamp_min(0)),
        "loud_loss_db": -2 * in_db(own_level(loud * out, loud * own).clamp_min(0)),
        "bleed_reduction_db": in_db((mics - own).square().sum(1) / left),
        "rest_reduction_db": in_db((resting * mics).square().sum(1) / (resting * out).square().sum(1)),
        "si_sdr_change_db": si_sdr(out, own) - si_sdr(mics, own),
        "input_si_sdr_db": si_sdr(mics, own),
    }


def rows_of(kit: str, names, mics: Tensor, own: Tensor, rate: int) -> Iterator[dict]:
    drums = len(names)
    for overheads, heard in (("no", mics[:drums]), ("yes", mics)):
        for run, chosen in RUNS.items():
            if chosen is None:
                out = mics[:drums]
            else:
                out = ir.reduce(heard, rate, chosen[0], n_sources=drums, **chosen[1]).sources
            found = measure(out, mics[:drums], own, rate)
            for n, name in enumerate(names):
                figures = {figure: f"{values[n]:.2f}" for figure, values in found.items()}
                yield {"kit": kit, "run": run, "overheads": overheads, "drum": name} | figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--data-root", type=Path)
    arguments = parser.parse_args()
    where = provenance("torch", "numpy")

    def note(kit, *scene):
        rows = [row | {"seconds": arguments.seconds} | where for row in rows_of(kit, *scene)]
        for row in rows:
            print(*list(row.values())[:10], sep="\t", flush=True)
        write_rows("kit", rows, ("kit", "run", "overheads", "drum"))

    if arguments.data_root:
        mics, own, rate = real_kit(arguments.data_root / "muldjord_kit", arguments.seconds)
        note("muldjord_kit", tuple(DRUMS), mics, own, rate)
    for scene in scenes_of(["kit"], SONGS, seconds=arguments.seconds):
        stage = make_scene(scene)
        note(scene["song"], stage.names, stage.mics, stage.references, stage.sample_rate)


if __name__ == "__main__":
    main()
