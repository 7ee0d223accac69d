"""The one LightningModule: a network, the batch transform of its weights, and a recipe."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from fer_transfer.backbones.batch_norm import BATCH_NORMS
from fer_transfer.config import bind, build
from fer_transfer.data.augment import BatchTransform
from fer_transfer.data.datamodules import FaceBatch
from fer_transfer.data.distorter import Distorter
from fer_transfer.errors import ConfigError
from fer_transfer.training import scoring
from fer_transfer.training.ascent import Ascent
from fer_transfer.training.loss import TrainingLoss
from fer_transfer.training.mixer import Mixer
from fer_transfer.training.optim import parameter_groups
from fer_transfer.training.recipe import Recipe
from fer_transfer.training.teacher import Teacher


class ExpressionClassifier(pl.LightningModule):
    """Classifies uint8 faces into the classes of a label set.

    Args:
        network: a timm network with an output for each class; what is not trained of it has been frozen (``optim.freeze``).
        transform: from uint8 faces to the network's input, on the device.
        recipe: of the stage.
        head: name patterns of the network's head.
        loss: of training; None: the recipe's label smoothing alone, where nothing is trained.
        teacher: what is learned from beside the labels, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        transform: BatchTransform,
        recipe: Recipe,
        head: Sequence[str],
        loss: TrainingLoss | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.network, self.transform, self.recipe, self.head = network, transform, recipe, head
        self.loss = loss or TrainingLoss(recipe.label_smoothing)
        self._distorter = Distorter(recipe.distortion, *transform.range) if recipe.distortion.distorts else None
        self._mixer = Mixer(recipe.mixing, self.classes) if recipe.mixing.mixes else None
        self._ascent = Ascent(recipe.sharpness) if recipe.sharpness else None
        self._teacher, self._taught = teacher, torch.zeros(0)  # probabilities that it gives a batch
        self._told = torch.zeros(2)  # loss and accuracy of a batch where the weights are
        self._counts = torch.zeros(2, self.classes, dtype=torch.int64)  # selection faces: right, all
        self.train()  # Lightning keeps the mode it finds: it would not freeze batch normalisation by itself

    @property
    def classes(self) -> int:
        """C, of the label set."""
        return int(self.network.num_classes)  # type: ignore[arg-type]

    def forward(self, groups: tuple[Tensor, ...]) -> Tensor:
        """Logits float [N, C] of uint8 faces [n_i, H_i, W_i], by the centre crop."""
        logits: Tensor = self.network(self.transform(groups, random=False))
        return logits

    def probabilities(self, groups: tuple[Tensor, ...]) -> Tensor:
        """Softmax float32 [N, C] of uint8 faces, as the recipe evaluates: of the centre crop, or its mean over ten."""
        return scoring.probabilities(self.network, self.transform, groups, self.recipe.evaluation)

    def train(self, mode: bool = True) -> "ExpressionClassifier":
        """Set training mode; batch normalisation keeps its stored statistics where the recipe freezes it or its layer."""
        super().train(mode)
        if mode:
            for layer in self.network.modules():
                if isinstance(layer, BATCH_NORMS) and (self.recipe.batch_norm == "frozen" or _is_frozen(layer)):
                    layer.eval()
        return self

    @property
    def trains_statistics(self) -> bool:
        """Whether batch normalisation takes the statistics of batches while it trains."""
        return any(layer.training for layer in self.network.modules() if isinstance(layer, BATCH_NORMS))

    def on_fit_start(self) -> None:
        """Take the teacher along to the device: it is no part of this module."""
        if self._teacher:
            self._teacher.to(self.device)

    def on_train_batch_start(self, batch: FaceBatch, batch_idx: int) -> None:
        """Reseed at the first batch of each epoch: a resumed run then equals an uninterrupted one."""
        if batch_idx == 0:
            torch.manual_seed(self.recipe.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: FaceBatch, batch_idx: int) -> dict[str, Tensor]:
        """``loss`` (``TrainingLoss``) of a randomly cropped, mirrored, distorted and mixed batch, and what is ``told`` of it.

        That is loss and accuracy, float [2]; of mixed targets the likeliest is taken for the accuracy. Of a step that goes
        through its batch twice the first pass is told.

        Where processes share the batch, each gives its part: the mean of their losses, and so of their gradients, is that of
        the whole batch. Each draws the crops and mirrors of one process alone, but its own distortions, mixtures and dropout.
        """
        whole, target = batch.whole, batch.target
        pixels = self._view()(batch.pixels, random=True, own=whole and whole.own)
        with nullcontext() if whole is None else self._own_randomness(batch_idx):
            if self._distorter:
                pixels = self._distorter(pixels)
            if self._mixer:
                pixels, target = self._mixer(pixels, target)
            logits = self.network(pixels)
        batch = batch._replace(target=target)
        loss = self.loss(logits.float(), target) * self._part(batch)
        if self._teacher:
            loss = self._distilled(self._teacher, loss, logits.float(), pixels, batch)
        if not self._again:
            self._told = torch.stack([loss.detach(), self._log("train", logits, batch, loss)])
        return {"loss": loss, "told": self._told}

    @property
    def _again(self) -> bool:
        """Whether this is the second pass of a step through its batch."""
        return self._ascent is not None and self._ascent.climbed

    def _view(self) -> BatchTransform:
        """The transform of this epoch: where the input grows, of a smaller one at first."""
        growing = self.recipe.progressive
        if not growing.grows:
            return self.transform
        return self.transform.at(growing.side(self.current_epoch, self.recipe.epochs, self.transform.crop))

    def _distilled(self, teacher: Teacher, loss: Tensor, logits: Tensor, pixels: Tensor, batch: FaceBatch) -> Tensor:
        """The loss of the labels, and by its share that of what the teacher says of the very same view."""
        share, part = self.recipe.distillation.share, batch.processes * len(logits) / batch.faces
        if not self._again:
            self._taught = teacher.probabilities(pixels)
        return (1 - share) * loss + share * part * teacher.loss(logits, self._taught)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """A step by the gradient where the weights are, or, sharpness-aware, where the loss is higher nearby."""
        if self._ascent and optimizer_closure:
            optimizer_closure = self._ascent.twice(self.network, optimizer_closure)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def _part(self, batch: FaceBatch) -> Tensor | float:
        """What the mean loss of a process's faces counts in the mean over the processes; 1 where it has the whole batch."""
        if batch.whole is None:
            return 1.0
        return batch.processes * self.loss.mass(batch.target) / self.loss.mass(batch.whole.target)

    @contextmanager
    def _own_randomness(self, batch_idx: int) -> Iterator[None]:
        """Random numbers that no other process and no other step has; those that all draw alike go on behind it."""
        place = (self.recipe.seed, self.current_epoch, batch_idx, self.global_rank)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))
            yield

    def on_validation_epoch_start(self) -> None:
        """Start to count by class."""
        self._counts = torch.zeros_like(self._counts, device=self.device)

    def validation_step(self, batch: FaceBatch, batch_idx: int) -> None:
        """Loss and accuracy on the selection splits, and what their macro recall is made of."""
        none = torch.zeros(0, self.classes, device=batch.target.device)  # fewer faces than processes
        logits = self(batch.pixels) if len(batch.target) else none
        loss = F.cross_entropy(logits.float(), batch.target, reduction="sum")
        self._log("selection", logits, batch, loss * batch.processes / batch.faces)
        of_class = _hard(batch.target)[:, None] == torch.arange(self.classes, device=logits.device)
        right = of_class & (logits.argmax(dim=1) == _hard(batch.target))[:, None]
        self._counts += torch.stack([right.sum(dim=0), of_class.sum(dim=0)])

    def on_validation_epoch_end(self) -> None:
        """Macro recall on the selection splits: the mean over the classes that occur there."""
        right, faces = self.trainer.strategy.reduce(self._counts, reduce_op="sum")
        recall = right[faces > 0].float() / faces[faces > 0]
        self.log("selection_macro_recall", recall.mean(), sync_dist=self.trainer.world_size > 1)

    def _log(self, name: str, logits: Tensor, batch: FaceBatch, loss: Tensor) -> Tensor:
        """Log, and return the accuracy; the mean of what the processes that share a batch log is that of the batch."""
        accuracy = (logits.argmax(dim=1) == _hard(batch.target)).float().sum() * batch.processes / batch.faces
        values = {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=batch.faces, sync_dist=batch.processes > 1)
        return accuracy

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimiser over backbone and head groups; its schedule advances with every step."""
        optimizer = self._optimizer()
        steps = int(self.trainer.estimated_stepping_batches) / self.recipe.epochs
        schedule = self._schedule()
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule(step / steps, self.recipe.epochs)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _optimizer(self) -> torch.optim.Optimizer:
        rate, of_head, decay = self.recipe.optimizer["lr"], self.recipe.head_multiplier, self.recipe.layer_decay
        groups = parameter_groups(self.network, self.head, rate, of_head, decay)
        optimizer: torch.optim.Optimizer = build("optimizer", self.recipe.optimizer, params=groups)
        return optimizer

    def _schedule(self) -> Callable[[float, int], float]:
        return bind("scheduler", self.recipe.scheduler, ("epoch", "epochs"))

    def check_optimizer(self) -> None:
        """Build the optimiser and ask the schedule for its ends, to find out before training.

        Raises:
            ConfigError: if a value is refused, or the schedule gives no finite number.
        """
        try:
            self._optimizer()
            schedule, epochs = self._schedule(), self.recipe.epochs
            multipliers = [float(schedule(epoch, epochs)) for epoch in (0.0, epochs / 2, float(epochs))]
        except ConfigError:
            raise
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ConfigError(f"The optimizer or scheduler of the recipe refuses its values: {error}.") from None
        if not all(map(math.isfinite, multipliers)):
            raise ConfigError(f"Expected finite multipliers from {self.recipe.scheduler}, but got {multipliers}.")


def _hard(target: Tensor) -> Tensor:
    """int64 [N], the one class of each face, or the likeliest."""
    return target.argmax(dim=1) if target.ndim == 2 else target


def _is_frozen(layer: nn.Module) -> bool:
    """Whether a layer has parameters and none is trained: it must compute the same afterwards."""
    trained = [parameter.requires_grad for parameter in layer.parameters()]
    return bool(trained) and not any(trained)
