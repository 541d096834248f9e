"""Stems to train a separation on: clean, as the microphones of a stage recorded them, or cleaned of that bleed."""

from __future__ import annotations

import torch
from torch import Tensor

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
    """The recording of a song on its stage.

    Parameters
    ----------
    stems : Tensor, shape (stems, samples), float32
    sample_rate : int
        In Hz.
    song : int
        Draws the gains, or the stage.
    stage : {"linear", "room"}
        "linear" is X = ΛS with Λ of the law "uniform", scaled to a mean input SDR that is drawn from 0 to 10 dB;
        "room" a random stage with a reverberation time of 0.25 s.

    Returns
    -------
    Scene

    Raises
    ------
    ValueError
        An unknown stage.

    Examples
    --------
    >>> noise = torch.randn(4, 800, generator=torch.Generator().manual_seed(0))
    >>> scene = stage_scene(noise, 8000, 1)
    >>> torch.equal(scene.mics, stage_scene(noise, 8000, 1).mics), scene.references.shape
    (True, torch.Size([4, 800]))
    """
    if stage not in STAGES:
        raise ValueError(f"stage: expected {' or '.join(STAGES)}, got {stage!r}")
    generator = torch.Generator().manual_seed(derived_seed("stage of a song", song))
    if stage == "linear":
        return simulate_linear(stems, sample_rate=sample_rate, interference=INTERFERENCE["high"], generator=generator)
    return simulate_room(stems, sample_rate, rt60_s=0.25, geometry="random", generator=generator)


def training_stems(scene: Scene, condition: str) -> Tensor:
    """The stems of a recording that a separation is trained on.

    Parameters
    ----------
    scene : Scene
    condition : {"clean", "bled", "kamir", "cae", "tunet", "closemic"}
        The sources alone at their microphones; the microphones; or what a method of
        :data:`irtools.methods.registry.METHODS` makes of the microphones, on the whole song.

    Returns
    -------
    Tensor, shape (stems, samples)

    Raises
    ------
    ValueError
        An unknown condition.

    Examples
    --------
    >>> scene = stage_scene(torch.randn(4, 800, generator=torch.Generator().manual_seed(0)), 8000, 1)
    >>> torch.equal(training_stems(scene, "bled"), scene.mics)
    True
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition: expected one of {', '.join(CONDITIONS)}, got {condition!r}")
    if condition in ("clean", "bled"):
        return scene.references if condition == "clean" else scene.mics
    return reduce(scene.mics, scene.sample_rate, condition, device="cpu").sources
