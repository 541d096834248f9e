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
    """Names of the weights that come with the library.

    Examples
    --------
    >>> shipped() == sorted(shipped())
    True
    """
    return sorted(path.stem for path in FOLDER.glob(f"*{_SUFFIX}"))


def save(net: nn.Module, path, card: Mapping) -> Path:
    """Write the weights of a network, and its card beside them.

    Parameters
    ----------
    net : nn.Module
        With ``config``, as :func:`irtools.nets.build` makes it.
    path : path
        Ends in ``.safetensors``; the card has the same name with ``.json``. Both replace what was there.
    card : mapping
        What there is to say in plain types; ``net``, the network's name, is required. ``config`` and ``sha256`` are
        filled in.

    Returns
    -------
    Path
        Of the weights.

    Raises
    ------
    ValueError
        Another suffix, or a card without ``net``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(build("tunet-pairs", hidden=4), Path(folder, "small.safetensors"), {"net": "tunet-pairs"})
    ...     load(path).config["hidden"], sorted(read_card(path))
    (4, ['config', 'net', 'sha256'])
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
    """A network with its weights, ready to be used.

    Parameters
    ----------
    name : str or path
        One of :func:`shipped`, or a path that ends in ``.safetensors``.
    device : str or torch.device

    Returns
    -------
    nn.Module
        In evaluation mode, without gradients.

    Raises
    ------
    ValueError
        A name that is not shipped, a file or card that is missing or damaged, weights of another checksum than their
        card has, or that do not fit the network. No pickle is ever read.

    Examples
    --------
    >>> load("no-such-net")
    Traceback (most recent call last):
      ...
    ValueError: weights: expected a path that ends in .safetensors or one of ...
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
        net.load_state_dict(from_bytes(content))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}: does not hold weights of {card['net']} ({error})") from error
    return net.to(device).eval().requires_grad_(False)


def read_card(name) -> dict:
    """What is known about weights.

    Parameters
    ----------
    name : str or path
        As in :func:`load`.

    Returns
    -------
    dict
        ``net``, ``config`` and ``sha256``, and whatever they were saved with.

    Raises
    ------
    ValueError
        A name that is not shipped, or a card that is missing or damaged.
    """
    path = _find(name).with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the card of the weights beside them")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = [field for field in _NEEDED if field not in card]
    except (ValueError, TypeError) as error:
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
