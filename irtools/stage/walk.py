"""A source that walks with its microphone: images faded linearly from each position of a straight line to the next."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from irtools.stage.geometry import Stage
from irtools.stage.room_responses import SPEED_OF_SOUND, RoomResponses, image_sources


def walk_along(stage: Stage, walker: int, walk_m: float, sample_rate: int) -> list[Stage]:
    """The stage at every position of a walk along x, across the stage; microphone ``walker`` goes along."""
    # A fade between delays keeps the energy of what changes little from one to the other: at most a sample.
    steps = math.ceil(abs(walk_m) * sample_rate / SPEED_OF_SOUND)
    way = torch.zeros_like(stage.sources[0])
    stages = []
    for step in range(steps + 1):
        way[0] = walk_m * step / steps
        sources, mics = stage.sources.clone(), stage.mics.clone()
        sources[walker] += way
        mics[walker] += way
        stages.append(replace(stage, sources=sources, mics=mics))
    return stages


def walked_images(
    sources: Tensor, stages: list[Stage], walker: int, room: RoomResponses, sample_rate: int, pattern: str
) -> dict[tuple[int, int], np.ndarray]:
    """Images, float64, of all pairs (microphone, source) that move, heard through the response of each time."""
    from scipy.signal import oaconvolve

    samples = sources.shape[1]
    dry = sources.detach().to("cpu", torch.float64).numpy()
    place = np.linspace(0.0, len(stages) - 1, samples)
    images = {}
    for step, stage in enumerate(stages):
        weight = 1 - np.abs(place - step)
        heard = np.flatnonzero(weight > 0)
        if len(heard) == 0:
            continue
        start, stop = heard[0], heard[-1] + 1
        for (k, n), response in _moving_responses(stage, walker, room, sample_rate, pattern).items():
            first = max(0, start - len(response) + 1)
            image = oaconvolve(dry[n, first:stop], response)[start - first : stop - first]
            images.setdefault((k, n), np.zeros(samples))[start:stop] += weight[start:stop] * image
    return images


def _moving_responses(stage, walker, room, sample_rate, pattern) -> dict[tuple[int, int], np.ndarray]:
    """Responses from the walker to every microphone, and from every other source to the walker's microphone."""
    everyone, others = list(range(len(stage.mics))), [n for n in range(len(stage.sources)) if n != walker]
    walls = sample_rate, pattern, room.absorption, room.max_order
    found = {}
    for mics, sources in ((everyone, [walker]), ([walker], others)):
        if sources:
            responses = room.scale * image_sources(stage, *walls, mics=mics, sources=sources)
            found |= {(k, n): responses[i, j].numpy() for i, k in enumerate(mics) for j, n in enumerate(sources)}
    return found
