"""Checkpoints are read as numbers, never as programs."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch


def read_checkpoint(path: Path, needed: str) -> dict:
    """What a checkpoint with the entry ``needed`` holds; a ValueError, and nothing executed, where it is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: expected a checkpoint of this training, got a file that cannot be read") from error
    if not isinstance(state, dict) or needed not in state:
        raise ValueError(f"{path}: expected a checkpoint of this training, got a file without {needed}")
    return state
