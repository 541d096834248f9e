"""Train a network from the command line or a chapter: :func:`train`."""

from __future__ import annotations

import json
import logging
import os
import shlex
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from irtools.checks import check_choice
from irtools.nets import build
from irtools.nets.pretrained import load, read_card
from irtools.provenance import provenance, usable_cores
from irtools.recording.writing import write_json
from irtools.training.checkpoints import read_checkpoint
from irtools.training.examples import Material, derived_seed, draw_batch, gather
from irtools.training.settings import Settings, preset_settings

SETTINGS = "settings.json"
# Share of the time that is planned for; the rest is for validations and what slows a machine down.
_PLANNED = 0.85


@dataclass(frozen=True)
class Trained:
    """A finished run: the network in evaluation mode with the best weights, whose path and card these are."""

    net: nn.Module
    path: Path
    card: dict
    settings: Settings
    log: list[dict]


def train(
    net: str,
    preset: str = "cpu",
    out_dir="runs",
    *,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "auto",
    workers: int | None = None,
    on_item: Callable[[str, int, int], None] = lambda what, done, total: None,
    on_step: Callable[[int, int, dict], None] = lambda done, total, row: None,
    **changes,
) -> Trained:
    """Train a network on examples that are made on the fly.

    Parameters
    ----------
    net : str
        A key of :data:`irtools.nets.NETS`.
    preset : {"smoke", "cpu", "paper"}
        See :func:`irtools.training.settings.preset_settings`.
    out_dir : path
        Gets ``settings.json``, ``log.csv``, ``last.ckpt`` and the best weights ``<net>.safetensors`` with their card.
    minutes : float, optional
        Plan as many steps as this time allows, from the time of the first ones, unless ``steps`` is given; and stop
        when it is over, whatever is done.
    resume : bool
        Go on from the checkpoint in ``out_dir``, if there is one. The loss curve is that of an uninterrupted run.
    device : {"auto", "cpu", "cuda"}
        "auto" is a GPU if there is one. Processes started by ``torchrun`` train together, each on examples of its own:
        the batch of a step is as many times as large.
    workers : int, optional
        Processes that make examples; by default none on a CPU and as many as there are cores, at most 12, beside a GPU.
    on_item, on_step : callable
        ``on_item(what, done, total)`` while songs and rooms are made, ``on_step(done, total, row)`` after each step.
    **changes
        Fields of :class:`irtools.training.settings.Settings` that differ from the preset, as ``steps`` or ``seed``.

    Raises
    ------
    ModuleNotFoundError
        Lightning is not installed; the message has the command that installs it.
    ValueError
        A setting that is not valid, a folder with another run or a damaged checkpoint, or data that is not there.
    FloatingPointError
        A loss or a gradient that is not finite, with the step.
    """
    _need_lightning()
    from irtools.training.record import CHECKPOINT, read_log

    folder = Path(out_dir)
    asked, keep_steps = preset_settings(net, preset, **changes), "steps" not in changes
    settings = _earlier(folder, asked, resume, keep_steps) if _rank() == 0 else None
    checkpoint = folder / CHECKPOINT if resume and (folder / CHECKPOINT).exists() else None
    if checkpoint is not None:
        read_checkpoint(checkpoint, "state_dict")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(asked.seed, "net"))
        model = build(net, **asked.config)
    accelerator = _accelerator(device)
    material = {part: gather(asked, part, model.sample_rate, on_item=on_item) for part in ("train", "validation")}
    if _rank() > 0:
        # The first process decides how many steps there are.
        while settings is None:
            time.sleep(0.1)
            settings = _earlier(folder, asked, True, keep_steps)
    elif settings is None:
        settings = asked
        if minutes is not None and keep_steps:
            settings = replace(asked, steps=_affordable_steps(model, material["train"], asked, minutes, accelerator))
        write_json(folder / SETTINGS, settings.to_dict())
    card = {
        "net": net,
        "settings": settings.to_dict(),
        "data": settings.data,
        "seed": settings.seed,
        "command": command_of(net, preset, settings, changes),
        **{name: provenance()[name] for name in ("date", "commit")},
    }
    _fit(model, material, settings, folder, checkpoint, card, minutes, accelerator, workers, on_step)
    path = folder / f"{net}.safetensors"
    return Trained(load(path), path, read_card(path), settings, read_log(folder))


def command_of(net: str, preset: str, settings: Settings, changes: dict) -> str:
    """The command line that makes the run of these settings again."""
    words = ["irtools", "train", net, "--preset", preset, "--steps", str(settings.steps), "--seed", str(settings.seed)]
    for name, value in changes.items():
        if name in ("data", "scene"):
            words += [f"--{name}", str(value)]
        elif name not in ("steps", "seed"):
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def _fit(model, material, settings, folder, checkpoint, card, minutes, accelerator, workers, on_step) -> None:
    from irtools.training.module import Data, Training
    from irtools.training.record import Record

    if workers is None:
        workers = min(usable_cores(), 12) if accelerator == "gpu" else 0
    with _quiet_lightning() as lightning:
        trainer = lightning.Trainer(
            accelerator=accelerator,
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
            num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
            precision=settings.precision if accelerator == "gpu" else "32-true",
            max_steps=settings.steps,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            callbacks=[Record(folder, settings.net, card, minutes, on_step)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = Data(material["train"], material["validation"], settings, workers)
        trainer.fit(Training(model, settings), datamodule=data, ckpt_path=checkpoint, weights_only=True)


def _affordable_steps(net: nn.Module, material: Material, settings: Settings, minutes: float, accelerator: str) -> int:
    """How many steps fit in the time, measured on a copy of the network."""
    device = "cuda" if accelerator == "gpu" else "cpu"
    trial, took = deepcopy(net).to(device).train(), []
    while len(took) < 3 or (sum(took) < min(20, 3 * minutes) and len(took) < 20):
        before = time.monotonic()
        batch = draw_batch(material, settings, derived_seed("trial", len(took)))
        trial.loss(*(None if each is None else each.to(device) for each in batch), kind=settings.loss).backward()
        took.append(time.monotonic() - before)
    # The first step also allocates. The mean, not the median: steps of more microphones take longer.
    return max(int(_PLANNED * 60 * minutes * (len(took) - 1) / sum(took[1:])), 1)


def _earlier(folder: Path, asked: Settings, resume: bool, keep_steps: bool) -> Settings | None:
    """Settings of the run in the folder, which must be those asked for; None where there is no run to go on with."""
    path = folder / SETTINGS
    if not path.exists():
        return None
    if not resume:
        raise ValueError(f"{folder}: has a run; expected a new folder, or to resume")
    found = Settings.from_dict(json.loads(path.read_text()))
    wanted = replace(asked, steps=found.steps) if keep_steps else asked
    for name, value in wanted.to_dict().items():
        its = found.to_dict()[name]
        if its != value:
            raise ValueError(f"{name}: the run in {folder} has {its!r}; expected the same, got {value!r}")
    return found


def _rank() -> int:
    return int(os.environ.get("RANK", 0))


def _accelerator(device: str) -> str:
    check_choice("device", device, ("auto", "cpu", "cuda"))
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: 'cuda' was asked for, but no CUDA device is available")
    return "gpu" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"


def _need_lightning() -> None:
    try:
        import lightning  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("training needs Lightning: pip install 'irtools[train]'") from error


@contextmanager
def _quiet_lightning() -> Iterator:
    """Lightning without its notices about devices, data loaders and products."""
    import lightning

    levels = {name: logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield lightning
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
