"""A network with its loss, optimiser and validation, as Lightning wants it."""

from __future__ import annotations

import math
from functools import partial

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from irtools.training.examples import Batch, Material, derived_seed, fixed_scenes, step_batch
from irtools.training.settings import Settings, relative_rate
from irtools.training.validation import improvement_db


class Training(lightning.LightningModule):
    """One training step, one validation, and the learning rate of each step."""

    def __init__(self, net: nn.Module, settings: Settings):
        super().__init__()
        self.net, self.settings = net, settings

    def training_step(self, batch: Batch, index: int) -> Tensor:
        # A step draws the same numbers (dropout) whether or not the run was interrupted before it.
        torch.manual_seed(derived_seed(self.settings.seed, "step", self.global_rank, self.global_step))
        loss = self.net.loss(*batch, kind=self.settings.loss)
        self._check_finite(loss, f"loss: {loss.item()}")
        return loss

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        limit = math.inf if self.settings.clip is None else self.settings.clip
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), limit)
        self._check_finite(norm, f"gradient: norm {norm.item()}")

    def validation_step(self, batch: Batch, index: int) -> None:
        self.log("improvement_db", improvement_db(self.net, batch), batch_size=1, sync_dist=True)

    def configure_optimizers(self):
        settings = self.settings
        cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
        optimizer = cls(self.net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: relative_rate(settings, step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}

    def _check_finite(self, value: Tensor, told: str) -> None:
        if not torch.isfinite(value):
            raise FloatingPointError(f"{told} at step {self.global_step}; the last checkpoint is sound")


class Data(lightning.LightningDataModule):
    """Batches from the step that a run has come to, up to the next validation; and the scenes to validate on.

    ``workers`` processes make the batches; 0 makes them between steps.
    """

    def __init__(self, train: Material, validation: Material, settings: Settings, workers: int):
        super().__init__()
        self._train, self._settings, self._workers = train, settings, workers
        self._scenes = fixed_scenes(validation, settings, settings.validation_scenes)

    def train_dataloader(self) -> DataLoader:
        settings, first = self._settings, self.trainer.global_step
        end = min((first // settings.validation_every + 1) * settings.validation_every, settings.steps)
        return DataLoader(
            range(first, max(end, first + 1)),
            batch_size=None,
            collate_fn=partial(step_batch, self._train, settings, self.trainer.global_rank),
            num_workers=self._workers,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._scenes, batch_size=None)
