"""Where the drums of a kit and their microphones are: a right-handed drummer in the middle of the room."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_int

# Of each drum: where it is struck, from the middle of the floor, and the way from there to its close microphone, in
# metres. The drummer looks towards y = 0, so that left is +x: hi-hat and snare are 0.36 m apart.
_DRUMS_M = (
    ((0.00, -0.45, 0.30), (0.00, -0.08, 0.00)),  # kick
    ((0.20, 0.00, 0.65), (0.02, -0.04, 0.04)),  # snare
    ((0.48, -0.10, 0.85), (0.05, 0.00, 0.07)),  # hi-hat
    ((0.12, -0.40, 0.85), (0.02, -0.04, 0.04)),  # high tom
    ((-0.50, -0.05, 0.60), (-0.02, -0.04, 0.05)),  # low tom
)
_OVERHEADS_M = ((0.50, -0.15, 1.75), (-0.50, -0.15, 1.75))


def place_kit(room_m, n_drums: int, n_mics: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Drums, microphones and where these face; past the close ones, those of the overhead pair, which look down."""
    check_int("n_sources", n_drums, 1, len(_DRUMS_M), "(the drums of a kit)")
    most = n_drums + len(_OVERHEADS_M)
    n_mics = most if n_mics is None else check_int("n_mics", n_mics, n_drums, most)
    drums, ways = torch.tensor(_DRUMS_M[:n_drums], dtype=torch.float64).unbind(1)
    middle = torch.tensor([room_m[0] / 2, room_m[1] / 2, 0.0], dtype=torch.float64)
    overheads = torch.tensor(_OVERHEADS_M, dtype=torch.float64)
    down = torch.tensor([[0.0, 0.0, -1.0]], dtype=torch.float64).expand_as(overheads)
    facing = torch.cat([-ways / torch.linalg.vector_norm(ways, dim=1, keepdim=True), down])
    return middle + drums, (middle + torch.cat([drums + ways, overheads]))[:n_mics], facing[:n_mics]
