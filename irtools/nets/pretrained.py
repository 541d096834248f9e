"""Weights in files: safetensors beside a card that says what they are, checked before they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from irtools.nets import build
from irtools.recording.writing import replacing, write_json

#: Weights that come with the library.
FOLDER = Path(__file__).parent / "weights"
_SUFFIX = ".safetensors"
_NEEDED = ("net", "config", "sha256")


def shipped() -> list[str]:
    """Names of the weights that come with the library."""
    return sorted(path.stem for path in FOLDER.glob(f"*{_SUFFIX}"))


def save(net: nn.Module, path, card: Mapping) -> Path:
    """Write the weights of a network to ``path``, a name in .safetensors, and their card beside them in .json.

    The card has to name the ``net``; ``config`` and ``sha256`` are filled in.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path)
    if path.suffix != _SUFFIX:
        raise ValueError(f"path: expected a name that ends in {_SUFFIX}, got {path}")
    if "net" not in card:
        raise ValueError(f"card: expected the field 'net', got {', '.join(card) or 'no field'}")
    content = to_bytes({name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()})
    told = {**card, "config": net.config, "sha256": hashlib.sha256(content).hexdigest()}
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    write_json(path.with_suffix(".json"), told)
    return path


def load(name, device: str | torch.device = "cpu") -> nn.Module:
    """A network with its weights, in evaluation mode and without gradients.

    ``name`` is one of :func:`shipped` or a path that ends in ``.safetensors``. A file or card that is missing or
    damaged, weights of another checksum than their card has, that do not fit the network or are not finite are a
    ValueError. No pickle is ever read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    path, card = _find(name), read_card(name)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise ValueError(
            f"{path}: is not the file that was saved; expected SHA-256 {str(card['sha256'])[:12]}… as its card says, "
            f"got {found[:12]}…"
        )
    # Initial weights are drawn and then replaced: the caller's random numbers stay as they are.
    with torch.random.fork_rng(devices=[]):
        try:
            net = build(card["net"], **card["config"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path.with_suffix('.json')}: describes no network ({error})") from error
    try:
        state = from_bytes(content)
        net.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}: does not hold weights of {card['net']} ({error})") from error
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError(f"{path}: has weights that are not finite; expected numbers")
    return net.to(device).eval().requires_grad_(False)


def read_card(name) -> dict:
    """What is known about weights: ``net``, ``config``, ``sha256``, and whatever they were saved with."""
    path = _find(name).with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the card of the weights beside them")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = [field for field in _NEEDED if field not in card]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: is no card ({error}); expected JSON") from error
    if missing or not isinstance(card, dict) or not isinstance(card["config"], dict):
        raise ValueError(f"{path}: is no card; expected the fields {', '.join(_NEEDED)}")
    return card


def _find(name) -> Path:
    path = Path(name)
    if path.suffix != _SUFFIX:
        if str(name) in shipped():
            return FOLDER / f"{name}{_SUFFIX}"
        known = ", ".join(shipped()) or "none yet"
        raise ValueError(f"weights: expected a path that ends in {_SUFFIX} or one of {known}, got {str(name)!r}")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected weights in safetensors")
    return path
