"""What a run leaves behind: a CSV log, a checkpoint to go on from, and the best weights with their card."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import lightning

from irtools.nets.pretrained import save
from irtools.recording.writing import replacing

COLUMNS = ("step", "loss", "learning_rate", "improvement_db", "seconds")
LOG, CHECKPOINT = "log.csv", "last.ckpt"


# Not Lightning's own CSVLogger and ModelCheckpoint: the one deletes the log of the run that it goes on with, the other
# writes to the folder for temporary files and moves from there, which a kill can leave half done.
class Record(lightning.Callback):
    """Write the log, the checkpoint and the best weights; stop, with a validation and a checkpoint, after ``minutes``.

    A row of the log per step: its number (from 1), the loss before it, and, where it ends with a validation, the mean
    SI-SDR improvement. After a kill, what follows the checkpoint is cut off the log: those steps are made again.
    """

    def __init__(
        self, folder: Path, name: str, card: dict, minutes: float | None, on_step: Callable[[int, int, dict], None]
    ):
        self._folder, self._name, self._card, self._on_step = folder, name, card, on_step
        self._until = None if minutes is None else time.monotonic() + 60 * minutes
        self._row, self._seconds, self._start = None, 0.0, time.monotonic()
        self._log_bytes, self.best_db = 0, None

    def state_dict(self) -> dict:
        return {"seconds": self._elapsed(), "best_db": self.best_db, "log_bytes": self._log_bytes}

    def load_state_dict(self, state: dict) -> None:
        self._seconds, self.best_db, self._log_bytes = state["seconds"], state["best_db"], state["log_bytes"]

    def on_train_start(self, trainer, module) -> None:
        self._start = time.monotonic()
        if trainer.is_global_zero:
            path = self._folder / LOG
            kept = path.read_bytes()[: self._log_bytes] if path.exists() else b""
            with replacing(path) as temporary:
                temporary.write_bytes(kept or f"{','.join(COLUMNS)}\r\n".encode())

    def on_train_batch_start(self, trainer, module, batch, index) -> None:
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
        self._write(trainer)
        self._row = {
            "step": trainer.global_step,
            "loss": f"{outputs['loss'].item():.9g}",
            "learning_rate": f"{self._rate:.9g}",
            "improvement_db": "",
            "seconds": f"{self._elapsed():.3f}",
        }
        self._on_step(trainer.global_step, trainer.max_steps, self._row)
        late = self._until is not None and time.monotonic() > self._until
        if self._until is not None and trainer.strategy.reduce_boolean_decision(late, all=False):
            trainer.should_stop = True

    def on_validation_epoch_end(self, trainer, module) -> None:
        score = trainer.callback_metrics["improvement_db"].item()
        self._row["improvement_db"] = f"{score:.6g}"
        if trainer.is_global_zero and (self.best_db is None or score > self.best_db):
            self.best_db = score
            told = {
                "steps": trainer.global_step,
                "seconds": round(self._elapsed(), 1),
                "scores": {"validation_si_sdr_improvement_db": round(score, 3)},
            }
            save(module.net, self._folder / f"{self._name}.safetensors", self._card | told)

    def on_train_epoch_end(self, trainer, module) -> None:
        self._write(trainer)
        checkpoint = self._folder / CHECKPOINT
        partial = checkpoint.with_name(CHECKPOINT + ".part")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(checkpoint)

    def _write(self, trainer) -> None:
        """Append the last row; it waited for the score of a validation."""
        if self._row is not None and trainer.is_global_zero:
            with (self._folder / LOG).open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS).writerow(self._row)
                self._log_bytes = file.tell()
        self._row = None

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._start


def read_log(folder: Path) -> list[dict]:
    """Rows of the log of a run, numbers as float, None where a step has no validation."""
    with (folder / LOG).open(newline="") as file:
        return [{name: float(value) if value else None for name, value in row.items()} for row in csv.DictReader(file)]
