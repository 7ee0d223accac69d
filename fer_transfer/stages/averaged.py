"""Averages of weights, by Lightning's callback; a resumed stage goes on with both, the trained weights and their average."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn

from fer_transfer.training.averaging import Averaging


class AveragedWeights(WeightAveraging):
    """Averages after every step (``ema``), or at the ends of the last epochs (``swa``).

    Args:
        averaging: the recipe's.
        epochs: of the stage.
    """

    def __init__(self, averaging: Averaging, epochs: int) -> None:
        super().__init__(multi_avg_fn=_moving(averaging.ema) if averaging.ema else None)
        self._every_step = averaging.ema > 0
        self._first = epochs - math.ceil(averaging.swa * epochs)  # epoch whose end is averaged
        self._due = False

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether the step that was just taken counts."""
        return step_idx is not None and (self._every_step or self._due)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Before the selection splits are watched, which is at the end of an epoch's last batch."""
        last = batch_idx + 1 == int(trainer.num_training_batches)
        self._due = last and trainer.current_epoch >= self._first
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch the average, once there is one."""
        if self._begun:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the trained weights."""
        if self._begun:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: a stage that is resumed behind its last epoch does not come here (``put_back``)."""

    def put_back(self, module: nn.Module) -> None:
        """Load the average."""
        module.load_state_dict(self.weights())

    def weights(self) -> dict[str, Tensor]:
        """The average so far, by the names of the module's ``state_dict``."""
        assert self._average_model is not None
        weights: dict[str, Tensor] = self._average_model.module.state_dict()
        return weights

    @property
    def _begun(self) -> bool:
        return self._average_model is not None and int(self._average_model.n_averaged) > 0


def _moving(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """An exponential moving average of tensors of one type, in place; counters are not averaged."""

    def average(averages: list[Tensor], now: list[Tensor], count: Tensor | int) -> None:
        n = int(count)
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, now, 1 - min(decay, (1 + n) / (10 + n)))
        else:
            torch._foreach_copy_(averages, now)

    return average
