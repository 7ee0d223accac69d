"""What one follows a stage by: a CSV row an epoch always; on the terminal a line an epoch, and a minute within one."""

import csv
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from fer_transfer.errors import ConfigError
from fer_transfer.files.names import shown

_COLUMNS = [
    "epoch",
    "train_loss",
    "train_accuracy",
    "selection_loss",
    "selection_accuracy",
    "lr",
    "seconds",
    "faces_per_second",
]


_WITHIN = 60.0  # seconds between lines within an epoch: an epoch of a large network takes an hour on a CPU


class EpochLog(Callback):
    """Appends a row to ``metrics.csv`` after every epoch, and prints a line; another after every minute within one.

    A row's ``lr`` is the rate of the first parameter group (the backbone's) in the epoch's last step.

    Args:
        path: of the CSV file; rows of epochs that a resumed run repeats are dropped first.
        stage: name to print.
        faces: training faces an epoch.
        lines: whether to print.
        selected_by: whose labels selection is scored with, where they are not the release's own.

    Raises:
        ConfigError: as soon as an epoch's loss is not finite.
    """

    def __init__(self, path: Path, stage: str, faces: int, lines: bool, selected_by: str = "") -> None:
        self.path, self.stage, self.faces, self.lines = path, shown(stage), faces, lines
        self._sums = torch.zeros(3, dtype=torch.float64)  # of loss, accuracy and faces
        self.selection = f"selection ({selected_by})" if selected_by else "selection"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the rows of epochs before the one that is trained next."""
        self._first = trainer.current_epoch
        rows = read_metrics(self.path) if self.path.exists() else []
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(row for row in rows if int(row["epoch"]) < self._first)
        self._started = self._epoch_started = self._said = time.perf_counter()
        self._losses: list[torch.Tensor] = []
        self._seen = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock; not called where an interrupted epoch goes on."""
        self._epoch_started = self._said = time.perf_counter()
        self._losses, self._seen, self._sums = [], 0, torch.zeros(3, dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        """Sums over the epoch so far, which Lightning does not keep when it is interrupted within one."""
        return {"sums": self._sums.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them up again."""
        self._sums = state_dict["sums"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the rate of this step: after it the schedule is at the next one's."""
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add to the epoch's means; print where it is, once a minute, and the mean loss since the line before."""
        faces = len(batch.target)
        values = torch.stack([outputs["loss"].detach(), outputs["accuracy"], torch.ones_like(outputs["accuracy"])])
        self._sums = self._sums.to(values.device) + values.double() * faces
        self._seen += faces
        if not self.lines or trainer.progress_bar_callback is not None:
            return
        self._losses.append(outputs["loss"].detach())  # not read here: that would wait for a GPU
        now, batches = time.perf_counter(), int(trainer.num_training_batches)
        if now - self._said < _WITHIN or batch_idx + 1 == batches:
            return
        loss, done = torch.stack(self._losses).mean().item(), (batch_idx + 1) / batches
        self._said, self._losses = now, []
        epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        rate = self._seen / (now - self._epoch_started)
        print(
            f"  {self.stage} {epoch} at {done:.0%}  loss {loss:.3f}  "
            f"{rate:.0f} faces/s  {(1 - done) * self.faces / rate:.0f} s left of this epoch",
            flush=True,
        )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training part of the epoch is over: its rate does not count the selection split."""
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write and print."""
        loss, accuracy, count = self._sums.tolist()
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        values |= {"train_loss": loss / count, "train_accuracy": accuracy / count}
        row: dict[str, Any] = {name: f"{values[name]:.6g}" for name in _COLUMNS if name in values}
        row |= {
            "epoch": trainer.current_epoch,
            "lr": f"{self._rate:.3g}",
            "seconds": f"{time.perf_counter() - self._epoch_started:.2f}",
            "faces_per_second": f"{self._seen / (self._trained - self._epoch_started):.1f}",
        }
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, _COLUMNS).writerow(row)
        if not math.isfinite(values["train_loss"]):
            raise ConfigError(
                f"The training loss of stage {self.stage!r} became {values['train_loss']} in epoch {trainer.current_epoch + 1}. "
                "Lower the learning rate (recipe.optimizer.lr) or clip gradients (recipe.gradient_clip=1)."
            )
        if self.lines:
            print(self._line(trainer, values, row), flush=True)

    def _line(self, trainer: pl.Trainer, values: dict[str, float], row: dict[str, Any]) -> str:
        done, total = trainer.current_epoch + 1, int(trainer.max_epochs or 0)
        left = (time.perf_counter() - self._started) / (done - self._first) * (total - done)
        return (
            f"  {self.stage} {done:>{len(str(total))}}/{total}  loss {values['train_loss']:.3f}  "
            f"train {values['train_accuracy']:.1%}  {self.selection} {values['selection_accuracy']:.1%}  "
            f"{float(row['faces_per_second']):.0f} faces/s  {left:.0f} s left"
        )


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a ``metrics.csv``, one an epoch."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
