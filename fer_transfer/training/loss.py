"""The training loss: cross-entropy, and what a recipe does about rare classes (``training.imbalance`` has the sources)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_transfer.training.recipe import Recipe

#: What 1 - p counts at least: its power below 1 has no slope at 0.
_LEAST = 1e-7


class TrainingLoss(nn.Module):
    """Mean loss of a batch, as torch divides it: by the sum of the weights of hard targets, by the number of soft ones.

    Args:
        label_smoothing: 0..1.
        weights: float32 [C] of the classes, or None: alike.
        focal: the focal loss's gamma; 0: cross-entropy.
        adjustment: float32 [C] that is added to logits, or None.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        weights: Tensor | None = None,
        focal: float = 0.0,
        adjustment: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.label_smoothing, self.focal = label_smoothing, focal
        self.weights: Tensor | None
        self.adjustment: Tensor | None
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of float32 logits [N, C] and targets, int64 [N] or float32 [N, C]."""
        if self.adjustment is not None:
            logits = logits + self.adjustment
        if not self.focal:
            return F.cross_entropy(logits, target, self.weights, label_smoothing=self.label_smoothing)
        return focal_loss(logits, target, self.focal, self.weights, self.label_smoothing)

    def mass(self, target: Tensor) -> Tensor | float:
        """What the mean over targets is divided by."""
        return len(target) if self.weights is None or target.ndim == 2 else self.weights[target].sum()


def focal_loss(
    logits: Tensor, target: Tensor, gamma: float, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Focal loss (Lin et al. 2017) with a softmax over several classes; with gamma 0 what ``cross_entropy`` gives.

    torchvision has it of independent sigmoids alone. A soft target is the sum of its classes, each by its share.

    Args:
        logits: float32 [N, classes].
        target: int64 [N], or float32 [N, classes].
        gamma: at least 0; the higher, the less a face counts whose class is sure.
        weights: float32 [classes], or None.
        label_smoothing: 0..1.
    """
    classes = logits.shape[1]
    shares = F.one_hot(target, classes).to(logits.dtype) if target.ndim == 1 else target
    shares = shares * (1 - label_smoothing) + label_smoothing / classes
    log_p = F.log_softmax(logits, dim=1)
    terms = -log_p * (-torch.expm1(log_p)).clamp_min(_LEAST) ** gamma * shares
    if weights is None:
        return terms.sum() / len(target)
    return (terms * weights).sum() / (weights[target].sum() if target.ndim == 1 else len(target))


def loss_of(recipe: Recipe, targets: Tensor, classes: int) -> TrainingLoss:
    """The loss of a stage.

    Args:
        recipe: its own.
        targets: of all faces that it trains on, int64 [N] or float32 [N, C].
        classes: C, of the label set.
    """
    imbalance, weights, adjustment = recipe.imbalance, None, None
    if recipe.class_weights == "balanced":
        weights = balanced_weights(targets, classes)
    elif imbalance.effective_number:
        weights = effective_number_weights(targets, classes, imbalance.effective_number)
    if imbalance.logit_adjustment:
        adjustment = imbalance.logit_adjustment * log_shares(targets, classes)
    return TrainingLoss(recipe.label_smoothing, weights, imbalance.focal, adjustment)


def class_counts(targets: Tensor, classes: int) -> Tensor:
    """Float32 [C]: faces of each class, of soft targets the sums of their shares."""
    return targets.sum(dim=0) if targets.ndim == 2 else torch.bincount(targets, minlength=classes).float()


def balanced_weights(targets: Tensor, classes: int) -> Tensor:
    """float32 [C], inversely proportional to the classes' shares of the targets, mean 1 over the faces.

    >>> balanced_weights(torch.tensor([0, 0, 0, 3]), 4).tolist()
    [0.666..., 0.0, 0.0, 2.0]
    """
    counts = class_counts(targets, classes)
    present = counts > 0
    return torch.where(present, counts.sum() / (present.sum() * counts.clamp_min(1)), torch.zeros(()))


def effective_number_weights(targets: Tensor, classes: int, beta: float) -> Tensor:
    """float32 [C], inversely proportional to the effective numbers of the classes (Cui et al. 2019), mean 1 over those there are.

    >>> effective_number_weights(torch.tensor([0, 0, 3]), 4, 0.5).tolist()
    [0.8..., 0.0, 0.0, 1.2...]
    """
    counts = class_counts(targets, classes).double()
    present = counts > 0
    weights = torch.where(
        present, (1 - beta) / (1 - beta ** counts.clamp_min(1e-6)), torch.zeros((), dtype=torch.double)
    )
    return (weights * present.sum() / weights.sum()).float()


def log_shares(targets: Tensor, classes: int) -> Tensor:
    """float32 [C], logarithms of the classes' shares of the targets; a class without a face counts as one of one.

    >>> log_shares(torch.tensor([0, 0, 0, 3]), 4).exp().tolist()
    [0.75, 0.25, 0.25, 0.25]
    """
    counts = class_counts(targets, classes)
    return (counts.clamp_min(1) / counts.sum()).log()
