"""Where a band stands in a rectangular room: the :class:`Stage`, as published or drawn at random."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.checks import check_choice, check_int, check_number
from irtools.stage.drum_kit import place_kit
from irtools.stage.gain_laws import draw_uniform

# Length, width and height, in metres, of the published stage and of the kit's studio, and the ranges that the random
# stage is drawn from.
_PUBLISHED_ROOM_M = (13.5, 7.0, 7.0)
_KIT_ROOM_M = (7.0, 6.0, 3.2)
_ROOM_RANGES_M = ((12.0, 15.0), (7.0, 9.0), (5.0, 8.0))


def lay_out_stage(
    n_sources: int,
    n_mics: int | None = None,
    *,
    distance_m: float = 0.5,
    room_m=None,
    geometry: str = "published",
    generator: torch.Generator | None = None,
) -> Stage:
    """Place a band on an arc, one close microphone in front of each source, or the drums of a kit.

    Parameters
    ----------
    n_sources : int
    n_mics : int, optional
        K >= N; N by default. The K - N others are room microphones, in a row between band and audience. A kit has
        N + 2 by default and at most: the two are overheads.
    distance_m : float
        From each source to its close microphone, in metres; a kit has its own, 6 to 9 cm.
    room_m : (length, width, height), optional
        In metres. By default 13.5 x 7 x 7, or drawn from U(12, 15) x U(7, 9) x U(5, 8) if ``geometry`` is "random",
        or 7 x 6 x 3.2 if it is "kit".
    geometry : {"published", "random", "kit"}
        "random" also moves each source by up to 0.3 m along x and y and 0.2 m in height, and turns its microphone
        about it by up to 30 degrees. "kit" has the drums of the line-up "kit" of :func:`irtools.render_song` in the
        middle of the room, or the first of them, and an overhead pair 1 m above.
    generator : torch.Generator, optional
        On the CPU; used by "random" alone.

    Returns
    -------
    Stage

    Raises
    ------
    TypeError, ValueError
        Counts that do not fit, a distance that is not positive or leads out of the room, an unknown geometry.

    Notes
    -----
    Four sources in 13.5 x 7 m stand where the published simulation has them: (3, 5), (5.5, 5.5), (8, 5.5) and
    (10.5, 5) m, 1 m high, microphones in front (towards y = 0) [1]_. These lie on the parabola
    y = 5.5625 - 0.04 (x - 6.75)², and so does any other number of sources. x and y scale with the room.

    Differs from the published simulation, which has one room for training and test, in "random": a network can learn
    sixteen fixed impulse responses by heart.

    References
    ----------
    .. [1] https://github.com/its-rajesh/IRMR (room and positions of its convolutive data).

    Examples
    --------
    >>> stage = lay_out_stage(4)
    >>> stage.sources[1].tolist(), stage.mics[1].tolist()
    ([5.5, 5.5, 1.0], [5.5, 5.0, 1.0])
    """
    check_int("n_sources", n_sources, 1)
    if n_mics is not None:
        check_int("n_mics", n_mics, n_sources)
    check_number("distance_m", distance_m, above=0, unit="m")
    check_choice("geometry", geometry, ("published", "random", "kit"))
    if room_m is not None:
        room_m = check_room(room_m)
    elif geometry == "random":
        room_m = tuple(draw_uniform((), low, high, generator).item() for low, high in _ROOM_RANGES_M)
    else:
        room_m = _KIT_ROOM_M if geometry == "kit" else _PUBLISHED_ROOM_M
    if geometry == "kit":
        return Stage(room_m, *place_kit(room_m, n_sources, n_mics))
    length, width, height = room_m
    sources = _arc(n_sources, length, width, min(1.0, height / 2))
    angle = torch.zeros(n_sources, dtype=torch.float64)
    if geometry == "random":
        spread = torch.tensor([0.3, 0.3, 0.2], dtype=torch.float64)
        sources += spread * draw_uniform((n_sources, 3), -1.0, 1.0, generator)
        angle = draw_uniform((n_sources,), -math.pi / 6, math.pi / 6, generator)
    # Angle zero looks from the audience along y at the source.
    towards = torch.stack([torch.sin(angle), torch.cos(angle), torch.zeros_like(angle)], dim=1)
    room_mics = _row((n_mics or n_sources) - n_sources, length, 0.25 * width, 0.5 * height)
    ahead = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64).expand(len(room_mics), 3)
    mics = torch.cat([sources - distance_m * towards, room_mics])
    return Stage(room_m, sources, mics, torch.cat([towards, ahead]))


def _arc(count: int, length: float, width: float, height: float) -> Tensor:
    spacing = min(2.5, 7.5 / max(count - 1, 1))
    x = 6.75 + spacing * (torch.arange(count, dtype=torch.float64) - (count - 1) / 2)
    y = 5.5625 - 0.04 * (x - 6.75).square()
    return torch.stack([x * (length / 13.5), y * (width / 7.0), torch.full_like(x, height)], dim=1)


def _row(count: int, length: float, y: float, z: float) -> Tensor:
    x = (torch.arange(count, dtype=torch.float64) + 1) * (length / (count + 1))
    return torch.stack([x, torch.full_like(x, y), torch.full_like(x, z)], dim=1)


@dataclass(frozen=True, eq=False)
class Stage:
    """Positions in metres, float64, in a room whose corner is the origin; microphone n is close to source n."""

    room_m: tuple[float, float, float]  # length (x), width (y), height (z)
    sources: Tensor  # (sources, 3)
    mics: Tensor  # (mics, 3); those past the number of sources stand for room microphones
    facing: Tensor  # (mics, 3), the unit vector of each microphone's main axis

    def __post_init__(self):
        check_room(self.room_m)
        for name in ("sources", "mics", "facing"):
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[1] != 3 or len(value) == 0:
                raise ValueError(f"{name}: expected shape (count, 3), got {tuple(value.shape)}")
        if len(self.mics) < len(self.sources) or len(self.facing) != len(self.mics):
            raise ValueError(
                f"mics: expected at least {len(self.sources)} (one per source), each with a direction to face, "
                f"got {len(self.mics)} and {len(self.facing)} directions"
            )
        for name in ("sources", "mics"):
            value = getattr(self, name)
            outside = ~((value > 0) & (value < torch.tensor(self.room_m, dtype=value.dtype))).all(dim=1)
            if outside.any():
                n = int(outside.nonzero()[0])
                raise ValueError(
                    f"{name}: expected positions inside the room of {self.room_m} m, got {value[n].tolist()} "
                    f"for number {n} (distance_m or walk_m too large for this room?)"
                )
        if self.distances().min() < 1e-3:
            raise ValueError("mics: expected at least 1 mm between any microphone and any source")

    def distances(self) -> Tensor:
        """Distance of each microphone from each source, in metres, shape (mics, sources)."""
        return torch.linalg.vector_norm(self.mics[:, None] - self.sources[None], dim=2)

    def describe(self) -> dict:
        """The geometry in plain types."""
        return {
            "room_m": list(self.room_m),
            "source_positions_m": self.sources.tolist(),
            "mic_positions_m": self.mics.tolist(),
            "distances_m": self.distances().tolist(),
        }


def check_room(room_m) -> tuple[float, float, float]:
    """The three lengths of a room as floats."""
    lengths = tuple(float(length) for length in room_m)
    if len(lengths) != 3 or not all(0 < length < math.inf for length in lengths):
        raise ValueError(f"room_m: expected three positive lengths in m, got {room_m}")
    return lengths
