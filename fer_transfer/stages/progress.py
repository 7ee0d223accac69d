"""What one follows a stage by: a CSV row an epoch, a log with a line an epoch and a minute within one, and how far it is now."""

import contextlib
import csv
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from fer_transfer.errors import ConfigError
from fer_transfer.files.names import shown, shown_text
from fer_transfer.ranks import ranks
from fer_transfer.stages.metrics import fitted, read_metrics
from fer_transfer.stages.store import StageFolder
from fer_transfer.stages.together import sum_over_ranks
from fer_transfer.stages.tracker import Tracker

_COLUMNS = [
    "epoch",
    "train_loss",
    "train_accuracy",
    "selection_loss",
    "selection_accuracy",
    "selection_macro_recall",
    "lr",
    "seconds",
    "faces_per_second",
]


_WITHIN = 60.0  # seconds between lines within an epoch: an epoch of a large network takes an hour on a CPU
_NOW = 1.0  # seconds between two states of progress.json


class StageLog:
    """Says what happens in a stage: into ``log.txt`` with the time, and, if wanted, on standard output with what names it.

    Args:
        path: of ``log.txt``; a stage that goes on appends to it.
        stage: its name.
        key: of the stage.
        seed: of the stage.
        echo: whether to print too.
    """

    def __init__(self, path: Path, stage: str, key: str, seed: int, echo: bool) -> None:
        self.path, self.stage, self.key, self.echo = path, shown(stage), key, echo
        self.name = f"{self.stage} {key[:8]} seed {seed}"

    def __call__(self, text: str) -> None:
        """Say it."""
        self.silently(text)
        if self.echo:
            print(fitted(f"  {self.name}", shown_text(text), shutil.get_terminal_size().columns), flush=True)

    def silently(self, text: str) -> None:
        """Say one line, or several, to the log alone."""
        with self.path.open("a", encoding="utf-8") as file:
            for line in shown_text(text).splitlines():
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


class EpochLog(Callback):
    """Appends a row to ``metrics.csv`` after every epoch, and says a line; another after every minute within one.

    A row's ``lr`` is the rate of the first parameter group (the backbone's) in the epoch's last step. ``progress.json`` is
    written again at most once a second, for whoever looks on; it may be missing or old.

    Args:
        folder: of the stage; rows of epochs that a resumed run repeats are dropped first.
        log: says the lines.
        tracker: told of every row.
        faces: training faces an epoch.
        selected_by: whose labels selection is scored with, where they are not the release's own.

    Raises:
        ConfigError: as soon as an epoch's loss is not finite.
    """

    def __init__(self, folder: StageFolder, log: StageLog, tracker: Tracker, faces: int, selected_by: str = "") -> None:
        self.path, self.now, self.say, self.tracker, self.faces = folder.metrics, folder.progress, log, tracker, faces
        self._sums = torch.zeros(3, dtype=torch.float64)  # of loss, accuracy and faces
        self._shown: dict[str, Any] = {}
        self._shown_at = -_NOW
        self.selection = f"selection ({selected_by})" if selected_by else "selection"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the rows of epochs before the one that is trained next."""
        self._first = trainer.current_epoch
        if trainer.is_global_zero:
            self._drop_rows_from(self._first)
        self._started = self._epoch_started = self._said = time.perf_counter()
        self._losses: list[torch.Tensor] = []
        self._seen = 0

    def _drop_rows_from(self, epoch: int) -> None:
        rows = read_metrics(self.path) if self.path.exists() else []
        kept = [row for n, row in enumerate(rows) if row["epoch"] == str(n) and n < epoch]
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        for row in kept:
            self.tracker.epoch(row)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock; not called where an interrupted epoch goes on."""
        self._epoch_started = self._said = time.perf_counter()
        self._losses, self._seen, self._sums = [], 0, torch.zeros(3, dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        """Sums over the epoch so far, which Lightning does not keep when it is interrupted within one."""
        return {"sums": sum_over_ranks(self._sums).cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them up again."""
        self._sums = state_dict["sums"] if ranks().leads else torch.zeros(3, dtype=torch.float64)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the rate of this step: after it the schedule is at the next one's."""
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add to the epoch's means; print where it is, once a minute, and the mean loss since the line before."""
        faces, own = batch.faces, batch.faces / batch.processes  # of the whole batch, and what counts for this process
        told = outputs["told"]
        self._add(torch.cat([told, torch.ones_like(told[:1])]), own)
        self._seen += faces
        if not trainer.is_global_zero:
            return
        self._losses.append(told[0])  # not read here: that would wait for a GPU
        now, batches = time.perf_counter(), int(trainer.num_training_batches)
        if now - self._shown_at < _NOW or batch_idx + 1 == batches:
            return
        loss, done = torch.stack(self._losses).mean().item(), (batch_idx + 1) / batches
        rate = self._seen / (now - self._epoch_started)
        self._show(trainer, done, loss=loss, faces_per_second=rate)
        if now - self._said >= _WITHIN:
            self._said, self._losses = now, []
            self.say(
                f"{trainer.current_epoch + 1}/{trainer.max_epochs} at {done:.0%} loss {loss:.3f}, "
                f"{(1 - done) * self.faces / rate:.0f} s left of this epoch, {rate:.0f}/s"
            )

    def _add(self, values: torch.Tensor, faces: float) -> None:
        """On the device, so that nothing waits for it; Apple's has no float64."""
        values = values.cpu() if values.device.type == "mps" else values
        self._sums = self._sums.to(values.device) + values.double() * faces

    def _show(self, trainer: pl.Trainer, done: float, **values: float) -> None:
        """Write where it is: epochs done, with the share of the one that is being done."""
        self._shown_at = time.perf_counter()
        self._shown |= {"done": trainer.current_epoch + done, "epochs": trainer.max_epochs, **values}
        aside = self.now.with_name(".progress.json")
        with contextlib.suppress(OSError):  # nothing depends on it
            aside.write_text(json.dumps(self._shown), encoding="utf-8")
            aside.replace(self.now)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training part of the epoch is over: its rate does not count the selection split."""
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write and print."""
        loss, accuracy, count = sum_over_ranks(self._sums).tolist()
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}  # asks all processes
        if not trainer.is_global_zero:
            return
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
        self.tracker.epoch(row)
        if not math.isfinite(values["train_loss"]):
            raise ConfigError(
                f"The training loss of stage {self.say.stage!r} became {values['train_loss']} in epoch "
                f"{trainer.current_epoch + 1}. "
                "Lower the learning rate (recipe.optimizer.lr) or clip gradients (recipe.gradient_clip=1)."
            )
        rate = float(row["faces_per_second"])
        self._show(trainer, 1.0, loss=loss / count, selection=values["selection_accuracy"], faces_per_second=rate)
        self.say(self._line(trainer, values, rate))

    def _line(self, trainer: pl.Trainer, values: dict[str, float], rate: float) -> str:
        """What matters most comes first: ``fitted`` leaves out from the end."""
        done, total = trainer.current_epoch + 1, int(trainer.max_epochs or 0)
        left = (time.perf_counter() - self._started) / (done - self._first) * (total - done)
        return (
            f"{done:>{len(str(total))}}/{total} loss {values['train_loss']:.3f}, "
            f"{self.selection} {values['selection_accuracy']:.1%}, {left:.0f} s left, "
            f"train {values['train_accuracy']:.1%}, {rate:.0f}/s"
        )
