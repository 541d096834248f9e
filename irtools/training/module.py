"""A network with its loss, optimiser and validation, as Lightning wants it."""

from __future__ import annotations

import math

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from irtools.metrics.distortion import si_sdr
from irtools.training.examples import Batch, Material, Steps, derived_seed, fixed_scenes
from irtools.training.settings import Settings

# A silent estimate has no SI-SDR; it counts as one of this, and nothing counts as less or, negated, as more.
_WORST_DB = -60.0


class Training(lightning.LightningModule):
    """One training step, one validation, and the learning rate of each step.

    Parameters
    ----------
    net : nn.Module
        As :func:`irtools.nets.build` makes it.
    settings : Settings
    """

    def __init__(self, net: nn.Module, settings: Settings):
        super().__init__()
        self.net, self.settings = net, settings

    def training_step(self, batch: Batch, index: int) -> Tensor:
        # A step draws the same numbers (dropout) whether or not the run was interrupted before it.
        torch.manual_seed(derived_seed(self.settings.seed, "step", self.global_rank, self.global_step))
        loss = self.net.loss(*batch, kind=self.settings.loss)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss: {loss.item()} at step {self.global_step}; the last checkpoint is sound")
        return loss

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        limit = math.inf if self.settings.clip is None else self.settings.clip
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), limit)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"gradient: norm {norm.item()} at step {self.global_step}; the last checkpoint is sound"
            )

    def validation_step(self, batch: Batch, index: int) -> None:
        self.log(
            "improvement_db",
            improvement_db(self.net, batch),
            on_epoch=True,
            batch_size=1,
            sync_dist=True,
            prog_bar=False,
        )

    def configure_optimizers(self):
        settings = self.settings
        cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
        optimizer = cls(self.net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: relative_rate(settings, step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}


class Data(lightning.LightningDataModule):
    """Batches from the step that a run has come to, up to the next validation; and the scenes to validate on.

    Parameters
    ----------
    train, validation : Material
    settings : Settings
    workers : int
        Processes that make batches; 0 makes them between steps.
    """

    def __init__(self, train: Material, validation: Material, settings: Settings, workers: int = 0):
        super().__init__()
        self._train, self._settings, self._workers = train, settings, workers
        self._scenes = fixed_scenes(validation, settings, settings.validation_scenes)

    def train_dataloader(self) -> DataLoader:
        settings, first = self._settings, self.trainer.global_step
        end = min((first // settings.validation_every + 1) * settings.validation_every, settings.steps)
        steps = Steps(self._train, settings, first, max(end, first + 1), self.trainer.global_rank)
        pinned = torch.cuda.is_available()
        return DataLoader(steps, batch_size=None, num_workers=self._workers, pin_memory=pinned)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._scenes, batch_size=None)


def improvement_db(net: nn.Module, batch: Batch) -> Tensor:
    """Mean SI-SDR of the estimates of ``net`` over that of the microphones, in dB.

    Parameters
    ----------
    net : nn.Module
    batch : Batch

    Returns
    -------
    Tensor, scalar, float64
        Over all sources of at least -60 dB relative to the loudest of their scene; 0 where all are silent.
    """
    sources = net.reduce(batch.mics).sources
    levels = batch.references.norm(dim=-1)
    heard = (levels > 1e-3 * levels.amax(-1, keepdim=True)).flatten()
    after, before = (_bounded(si_sdr(each.float(), batch.references)) for each in (sources, batch.mics))
    return (after - before).flatten()[heard].sum() / heard.sum().clamp(min=1)


def relative_rate(settings: Settings, step: int) -> float:
    """Learning rate of a step relative to that of the settings.

    Examples
    --------
    >>> settings = Settings("tunet-pairs", steps=100)
    >>> [round(relative_rate(settings, step), 2) for step in (0, 1, 2, 100)]
    [0.5, 1.0, 1.0, 0.01]
    """
    if settings.schedule == "constant":
        return 1.0
    rise = max(round(0.02 * settings.steps), 1)
    done = min(max(step - rise, 0) / max(settings.steps - rise, 1), 1.0)
    return min((step + 1) / rise, 1.0) * (0.505 + 0.495 * math.cos(math.pi * done))


def _bounded(values: Tensor) -> Tensor:
    return values.nan_to_num(nan=_WORST_DB).clamp(_WORST_DB, -_WORST_DB)
