"""Rooms to train in: random stages whose impulse responses are computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from irtools.band import cache
from irtools.band.composition.dice import Dice, stable_hash
from irtools.checks import check_choice
from irtools.stage.geometry import lay_out_stage
from irtools.stage.room_responses import room_impulse_responses

# Changes with every change of what a seed gives.
_VERSION = 1
# What comes later is more than 60 dB below what came, at the longest reverberation time of a preset.
_SECONDS = 0.4


def room_bank(
    part: str,
    sample_rate: int,
    count: int,
    n_sources: int,
    rt60_s: tuple[float, float],
    distance_m: tuple[float, float],
    *,
    on_room: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Impulse responses (rooms, mics, sources, taps) of random stages with a close microphone for each source.

    Room n of a part is :func:`irtools.lay_out_stage` with ``geometry="random"`` from a seed that is a hash of the part
    and n: a larger bank begins with the rooms of a smaller one, and two parts have no room, position or wall in common.
    The direct path from a source to its own microphone has a gain of 1, on average over a room.
    """
    check_choice("part", part, ("train", "validation", "test"))
    rooms = []
    for number in range(count):
        ranges = map(float, (*rt60_s, *distance_m))
        rooms.append(_kept(_VERSION, part, number, sample_rate, n_sources, *ranges))
        on_room(number + 1, count)
    return torch.stack(rooms)


def stage_images(stems: Tensor, responses: Tensor) -> tuple[Tensor, Tensor]:
    """What the microphones of a room hear, and what each of them hears of its own source; both (mics, samples).

    x_k = Σ_n h_kn * s_n, of which h_kk * s_k is its own; ``responses`` are (mics, sources, taps), as many microphones
    as sources. ``stems`` (sources, samples + taps - 1) are longer: the room already rings when the microphones open.
    """
    taps = responses.shape[-1]
    length = next_fast_len(stems.shape[1], real=True)
    spectra, transfer = torch.fft.rfft(stems, length), torch.fft.rfft(responses, length)
    mics = (transfer * spectra).sum(1)
    references = transfer.diagonal(dim1=0, dim2=1).T * spectra
    # Circular convolution is wrong in the first samples alone, which are those before the microphones open.
    both = torch.fft.irfft(torch.stack([mics, references]), length)[..., taps - 1 : stems.shape[1]]
    silent = ~stems.any(1, keepdim=True)
    return both[0], torch.where(silent, 0, both[1])


def _kept(*labels) -> Tensor:
    folder, key = cache.default_folder().parent / "rooms", "|".join(map(str, labels))
    responses = cache.load(folder, key)
    if responses is None:
        responses = _compute(*labels).numpy()
        cache.store(folder, key, responses)
    return torch.from_numpy(responses)


def _compute(version, part, number, sample_rate, n_sources, shortest, longest, nearest, farthest) -> Tensor:
    dice = Dice("room", version, part, number)
    stage = lay_out_stage(
        n_sources,
        distance_m=dice.uniform(nearest, farthest),
        geometry="random",
        generator=torch.Generator().manual_seed(stable_hash("stage", version, part, number) >> 1),
    )
    responses = _responses(stage, sample_rate, dice.uniform(shortest, longest), longest)
    taps = round(_SECONDS * sample_rate)
    return pad(responses[..., :taps], (0, max(taps - responses.shape[-1], 0))).contiguous()


def _responses(stage, sample_rate: int, rt60_s: float, longest: float) -> Tensor:
    """Of the time asked for; a large room cannot be as dead as the shortest times, and gets the least that it can."""
    while True:
        try:
            return room_impulse_responses(stage, sample_rate, rt60_s=rt60_s).responses.float()
        except ValueError:
            if rt60_s >= longest:
                raise
            rt60_s = min(longest, rt60_s + 0.02)
