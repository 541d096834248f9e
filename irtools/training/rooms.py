"""Rooms to train in: random stages whose impulse responses are computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from irtools.band.cache import default_folder
from irtools.band.composition.dice import Dice, stable_hash
from irtools.recording.writing import replacing
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
    *,
    n_sources: int = 4,
    rt60_s: tuple[float, float] = (0.15, 0.35),
    distance_m: tuple[float, float] = (0.4, 0.6),
    cache_dir: Path | None = None,
    on_room: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Impulse responses of random stages; those of two parts have no room, position or wall in common.

    Parameters
    ----------
    part : {"train", "validation", "test"}
    sample_rate : int
        In Hz.
    count : int
        How many rooms; a larger bank begins with the rooms of a smaller one.
    n_sources : int
        Each with a close microphone.
    rt60_s, distance_m : (float, float)
        Ranges, in s and m.
    cache_dir : Path, optional
        Where responses are kept; by default beside rendered songs, see
        :func:`irtools.band.cache.default_folder`.
    on_room : callable, optional
        ``on_room(done, total)``.

    Returns
    -------
    Tensor, shape (rooms, mics, sources, taps), float32
        The direct path from a source to its own microphone has a gain of 1, on average over a room.

    Notes
    -----
    Room n of a part is :func:`irtools.lay_out_stage` with ``geometry="random"`` from a seed that is a hash of the part
    and n, so no other room changes it. Walls are those that give the reverberation time that is drawn, as measured, or
    the least above it that so large a room can have.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     room_bank("train", 8000, 1, n_sources=2, cache_dir=Path(folder)).shape
    torch.Size([1, 2, 2, 3200])
    """
    if part not in ("train", "validation", "test"):
        raise ValueError(f"part: expected train, validation or test, got {part!r}")
    folder = default_folder().parent / "rooms" if cache_dir is None else Path(cache_dir)
    rooms = []
    for number in range(count):
        labels = (_VERSION, part, number, sample_rate, n_sources, *map(float, (*rt60_s, *distance_m)))
        rooms.append(_kept(folder / f"{stable_hash(*labels):016x}.safetensors", labels))
        if on_room is not None:
            on_room(number + 1, count)
    return torch.stack(rooms)


def stage_images(stems: Tensor, responses: Tensor) -> tuple[Tensor, Tensor]:
    """What the microphones of a room hear, and what each of them hears of its own source.

    Parameters
    ----------
    stems : Tensor, shape (sources, samples + taps - 1)
        So much longer that the room already rings when the microphones open.
    responses : Tensor, shape (mics, sources, taps)
        As many microphones as sources.

    Returns
    -------
    mics, references : Tensor, shape (mics, samples)

    Notes
    -----
    x_k = Σ_n h_kn * s_n, and the reference of source n is h_nn * s_n.

    Examples
    --------
    >>> mics, references = stage_images(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[[0.5, 1.0]]]))
    >>> mics
    tensor([[2., 4.]])
    """
    taps = responses.shape[-1]
    length = _fast_length(stems.shape[1])
    spectra, transfer = torch.fft.rfft(stems, length), torch.fft.rfft(responses, length)
    mics = (transfer * spectra).sum(1)
    references = transfer.diagonal(dim1=0, dim2=1).T * spectra
    # Circular convolution is wrong in the first samples alone, which are those before the microphones open.
    both = torch.fft.irfft(torch.stack([mics, references]), length)[..., taps - 1 : stems.shape[1]]
    silent = ~stems.any(1, keepdim=True)
    return both[0], torch.where(silent, 0, both[1])


def _fast_length(samples: int) -> int:
    """The least 2^a or 3 · 2^a that is long enough."""
    power = 1 << max(samples - 1, 1).bit_length()
    return 3 * power // 4 if 3 * power // 4 >= samples else power


def _kept(path: Path, labels: tuple) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load, save

    try:
        return load(path.read_bytes())["responses"]
    except (OSError, SafetensorError, KeyError):
        responses = _compute(*labels)
    with replacing(path) as temporary:
        temporary.write_bytes(save({"responses": responses}))
    return responses


def _compute(version, part, number, sample_rate, n_sources, shortest, longest, nearest, farthest) -> Tensor:
    dice = Dice("room", version, part, number)
    stage = lay_out_stage(
        n_sources,
        distance_m=dice.uniform(nearest, farthest),
        geometry="random",
        generator=torch.Generator().manual_seed(stable_hash("stage", version, part, number) >> 1),
    )
    rt60_s = dice.uniform(shortest, longest)
    responses = _responses(stage, sample_rate, rt60_s, longest)
    taps = round(_SECONDS * sample_rate)
    return pad(responses[..., :taps], (0, max(taps - responses.shape[-1], 0))).contiguous()


def _responses(stage, sample_rate, rt60_s, longest):
    """Of the time asked for; a large room cannot be as dead as the shortest times, and gets the least that it can."""
    while True:
        try:
            return room_impulse_responses(stage, sample_rate, rt60_s=rt60_s).responses.float()
        except ValueError:
            if rt60_s >= longest:
                raise
            rt60_s = min(longest, rt60_s + 0.02)
