"""From uint8 faces to probabilities and features, by a network and the batch transform of its weights.

Training, the predictions of a stage and pictures of a user's own go through the same lines.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from fer_transfer.data.augment import BatchTransform

Groups = Sequence[Tensor]


def probabilities(network: Callable[[Tensor], Tensor], transform: BatchTransform, groups: Groups, by: str) -> Tensor:
    """Softmax float32 [N, C] of uint8 faces [n_i, H_i, W_i].

    Args:
        network: gives logits.
        transform: from faces to the network's input.
        groups: faces, those of one size together.
        by: ``centre``: of the centre crop; ``ten_crops``: its mean over ten.
    """
    return _mean(network(view).float().softmax(dim=1) for view in _views(transform, groups, by))


def features(network: nn.Module, transform: BatchTransform, groups: Groups, by: str) -> Tensor:
    """What the head sees, float32 [N, D], of uint8 faces; arguments as of ``probabilities``."""
    head, body = network.forward_head, network.forward_features
    return _mean(head(body(view), pre_logits=True).float() for view in _views(transform, groups, by))  # type: ignore[operator]


def _views(transform: BatchTransform, groups: Groups, by: str) -> Iterator[Tensor]:
    return iter([transform(groups, random=False)]) if by == "centre" else transform.ten_crops(groups)


def _mean(views: Iterator[Tensor]) -> Tensor:
    first, *others = views
    return torch.stack([first, *others]).mean(dim=0) if others else first
