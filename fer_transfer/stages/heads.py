"""The head where weights are handed on between label sets: fresh, or with the rows of the classes that both have, by name."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fer_transfer.backbones.networks import matches
from fer_transfer.stages.jobs import Job


def skipped_head(job: Job) -> tuple[str, ...]:
    """Patterns of the head's names where it is not taken as it is: asked for, or it is of another label set."""
    fresh = job.stage.recipe.head == "reset" or job.other_classes_before is not None
    return job.backbone.head if fresh else ()


def fill_shared(job: Job, network: nn.Module, before: Mapping[str, Tensor]) -> list[str]:
    """Fill the head's rows of classes that the stage before had too, where the recipe wants them (``head: shared``).

    Args:
        job: whose label set differs from that of the stage before.
        network: with the stage's own fresh head.
        before: tensors of the weights that it starts from, under the network's names.

    Returns:
        Names of the classes.
    """
    old = job.other_classes_before
    if old is None or job.stage.recipe.head != "shared":
        return []
    shared = [name for name in job.classes if name in old]
    own = [name for name, _ in network.named_parameters() if matches(name, job.backbone.head)]
    with torch.no_grad():
        for name in own:
            _copy_rows(network.get_parameter(name), before[name], job.classes, old, shared)
    return shared


def _copy_rows(own: Tensor, before: Tensor, classes: Sequence[str], old: Sequence[str], shared: Sequence[str]) -> None:
    """Copy rows by name; a layer of the head that has no row for each class keeps its own."""
    if len(own) == len(classes) and len(before) == len(old) and own.shape[1:] == before.shape[1:]:
        own[[classes.index(name) for name in shared]] = before[[old.index(name) for name in shared]].to(own.dtype)
