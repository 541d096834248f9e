"""Training examples, made on the fly from clean stems: each batch is a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from irtools.band.composition.dice import stable_hash
from irtools.stage.gain_laws import draw_gains
from irtools.training.rooms import room_bank, stage_images
from irtools.training.settings import Settings
from irtools.training.stems import Stems, band_pool, draw_stems, folder_pool


class Batch(NamedTuple):
    """Simulated recordings with the truth about them.

    Attributes
    ----------
    mics : Tensor, shape (batch, mics, samples)
    references : Tensor, shape (batch, sources, samples)
        Own-mic images.
    gains : Tensor, shape (batch, mics, sources), or None
        Λ of linear scenes.
    """

    mics: Tensor
    references: Tensor
    gains: Tensor | None = None


@dataclass(frozen=True)
class Material:
    """What examples of one part, "train", "validation" or "test", are made of: songs, and rooms for stages.

    ``rooms`` has the shape (rooms, mics, sources, taps).
    """

    part: str
    sample_rate: int
    pool: list[Stems]
    rooms: Tensor | None = None


def gather(
    settings: Settings,
    part: str,
    sample_rate: int,
    *,
    on_item: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Material:
    """Songs and rooms of one part of the data; ``on_item(what, done, total)`` follows "songs" and "rooms"."""
    if settings.data == "band":
        count = settings.songs if part == "train" else max(settings.songs // 10, 2)
        pool = band_pool(
            part, sample_rate, count, settings.song_seconds, settings.lineups, on_song=partial(on_item, "songs")
        )
    else:
        pool = folder_pool(settings.data, part, sample_rate)
    rooms = None
    if settings.scene == "stage":
        count = settings.rooms if part == "train" else max(settings.rooms // 8, 2)
        ranges = settings.rt60_s, settings.distance_m
        rooms = room_bank(part, sample_rate, count, settings.n_mics[1], *ranges, on_room=partial(on_item, "rooms"))
    return Material(part, sample_rate, pool, rooms)


def draw_batch(material: Material, settings: Settings, seed: int, *, batch: int | None = None) -> Batch:
    """A batch of ``settings.batch`` examples, if not told otherwise, with as many microphones each."""
    generator = torch.Generator().manual_seed(seed)
    low, high = settings.n_mics
    n_mics = int(torch.randint(low, high + 1, (), generator=generator))
    drawn = [_draw(material, settings, n_mics, generator) for _ in range(batch or settings.batch)]
    mics, references, gains = zip(*drawn, strict=True)
    if settings.stem is not None:
        row = slice(settings.stem, settings.stem + 1)
        return Batch(torch.stack(mics)[:, row], torch.stack(references)[:, row])
    return Batch(torch.stack(mics), torch.stack(references), None if gains[0] is None else torch.stack(gains))


def _draw(material: Material, settings: Settings, n_mics: int, generator) -> tuple[Tensor, Tensor, Tensor | None]:
    samples = round(settings.seconds * material.sample_rate)
    options = {name: getattr(settings, name) for name in ("shuffle", "remix", "gain_db")}
    if settings.scene == "linear":
        stems = draw_stems(material.pool, generator, n_mics, samples, **options)
        gains = draw_gains(n_mics, n_mics, generator=generator, dtype=torch.float32, **settings.law)
        return gains @ stems, gains.diagonal()[:, None] * stems, gains
    room = material.rooms[int(torch.randint(len(material.rooms), (), generator=generator))]
    places = torch.randperm(room.shape[1], generator=generator)[:n_mics]
    stems = draw_stems(material.pool, generator, n_mics, samples + room.shape[-1] - 1, **options)
    return *stage_images(stems, room[places][:, places]), None


def fixed_scenes(material: Material, settings: Settings, count: int) -> list[Batch]:
    """Scenes to validate or test on, a batch of one each: the same for every seed of the training."""
    return [
        draw_batch(material, settings, derived_seed("fixed", material.part, number), batch=1) for number in range(count)
    ]


def step_batch(material: Material, settings: Settings, rank: int, step: int) -> Batch:
    """The batch of a step of training; each process, by its rank, has its own."""
    return draw_batch(material, settings, derived_seed(settings.seed, material.part, rank, step))


def derived_seed(*labels) -> int:
    """A seed for a generator that depends on the labels alone."""
    return stable_hash(*labels) >> 1
