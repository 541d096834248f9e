"""Stems to train a separation on: clean, as the microphones of a stage recorded them, or cleaned of that bleed."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_choice
from irtools.methods.registry import reduce
from irtools.stage.linear import INTERFERENCE, simulate_linear
from irtools.stage.room import simulate_room
from irtools.stage.scene import Scene
from irtools.training.examples import derived_seed

#: What may be done with the bleed of a stage: there is none, it stays, or a method of the registry reduces it.
CONDITIONS = ("clean", "bled", "kamir", "cae", "tunet", "closemic")
#: "linear": gains alone, at the published high interference. "room": the simulated stage, with delay and reverberation.
STAGES = ("linear", "room")


def stage_scene(stems: Tensor, sample_rate: int, song: int, stage: str = "linear") -> Scene:
    """The recording of a song's stems (stems, samples) on a stage that its number draws.

    "linear" has gains of the law "uniform", scaled to a mean input SDR that is drawn from 0 to 10 dB; "room" is a
    random stage with a reverberation time of 0.25 s.
    """
    check_choice("stage", stage, STAGES)
    generator = torch.Generator().manual_seed(derived_seed("stage of a song", song))
    if stage == "linear":
        return simulate_linear(stems, sample_rate=sample_rate, interference=INTERFERENCE["high"], generator=generator)
    return simulate_room(stems, sample_rate, rt60_s=0.25, geometry="random", generator=generator)


def training_stems(scene: Scene, condition: str) -> Tensor:
    """Stems (stems, samples) of a recording: its sources, its microphones, or what a method makes of these."""
    check_choice("condition", condition, CONDITIONS)
    if condition in ("clean", "bled"):
        return scene.references if condition == "clean" else scene.mics
    return reduce(scene.mics, scene.sample_rate, condition, device="cpu").sources
