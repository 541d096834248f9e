"""Training examples, made on the fly from clean stems: each batch is a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

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
    """What examples of one part are made of.

    Attributes
    ----------
    part : {"train", "validation", "test"}
    sample_rate : int
    pool : list of Stems
    rooms : Tensor, shape (rooms, mics, sources, taps), or None
    """

    part: str
    sample_rate: int
    pool: list[Stems]
    rooms: Tensor | None = None


def derived_seed(*labels) -> int:
    """A seed for a generator that depends on the labels alone.

    Examples
    --------
    >>> derived_seed(0, "train", 0, 1) != derived_seed(0, "train", 1, 0)
    True
    """
    return stable_hash(*labels) >> 1


def gather(
    settings: Settings,
    part: str,
    sample_rate: int,
    *,
    on_item: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Material:
    """Songs and, for stages, rooms of one part of the data.

    Parameters
    ----------
    settings : Settings
    part : {"train", "validation", "test"}
    sample_rate : int
        In Hz, of the network.
    on_item : callable
        ``on_item(what, done, total)``, where ``what`` is "songs" or "rooms".

    Returns
    -------
    Material
    """
    if settings.data == "band":
        pool = band_pool(
            part,
            sample_rate,
            songs=settings.songs if part == "train" else max(settings.songs // 10, 2),
            seconds=settings.song_seconds,
            lineups=settings.lineups,
            on_song=lambda done, total: on_item("songs", done, total),
        )
    else:
        pool = folder_pool(settings.data, part, sample_rate)
    rooms = None
    if settings.scene == "stage":
        rooms = room_bank(
            part,
            sample_rate,
            settings.rooms if part == "train" else max(settings.rooms // 8, 2),
            n_sources=settings.n_mics[1],
            rt60_s=settings.rt60_s,
            distance_m=settings.distance_m,
            on_room=lambda done, total: on_item("rooms", done, total),
        )
    return Material(part, sample_rate, pool, rooms)


def draw_batch(material: Material, settings: Settings, seed: int, *, batch: int | None = None) -> Batch:
    """One batch, from a seed.

    Parameters
    ----------
    material : Material
    settings : Settings
    seed : int
    batch : int, optional
        How many examples; ``settings.batch`` by default.

    Returns
    -------
    Batch
        All examples have the same number of microphones, drawn from ``settings.n_mics``.
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = settings.n_mics
    n_mics = int(torch.randint(low, high + 1, (), generator=generator))
    drawn = [_draw(material, settings, n_mics, generator) for _ in range(batch or settings.batch)]
    mics, references, gains = zip(*drawn, strict=True)
    gains = None if gains[0] is None else torch.stack(gains)
    kept = Batch(torch.stack(mics), torch.stack(references), gains)
    if settings.stem is None:
        return kept
    row = slice(settings.stem, settings.stem + 1)
    return Batch(kept.mics[:, row], kept.references[:, row])


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
    """Scenes to validate or test on: the same for every seed of the training.

    Parameters
    ----------
    material : Material
        Of validation or test.
    settings : Settings
    count : int

    Returns
    -------
    list of Batch
        Of one scene each.
    """
    return [
        draw_batch(material, settings, derived_seed("fixed", material.part, number), batch=1) for number in range(count)
    ]


class Steps(Dataset):
    """The batches of consecutive steps.

    Parameters
    ----------
    material : Material
    settings : Settings
    first, end : int
        Steps.
    rank : int
        Of the process: each has batches of its own.

    Examples
    --------
    >>> len(Steps(None, None, 10, 15))
    5
    """

    def __init__(self, material: Material, settings: Settings, first: int, end: int, rank: int = 0):
        self._material, self._settings, self._rank = material, settings, rank
        self._steps = range(first, end)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Batch:
        seed = derived_seed(self._settings.seed, self._material.part, self._rank, self._steps[index])
        return draw_batch(self._material, self._settings, seed)
