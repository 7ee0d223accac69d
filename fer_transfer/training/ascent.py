"""Sharpness-aware minimisation: the gradient of a step is taken where the loss is about highest nearby."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from fer_transfer.backbones.batch_norm import BATCH_NORMS


class Ascent:
    """Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021, algorithm 1.

    A step goes through its batch twice: for the gradient where the weights are, then for the one at ``radius`` along it, by which
    the optimiser moves the weights from where they were. torch, timm and Lightning have none. What is random is drawn alike in
    both passes, so that the loss is one function of the weights; batch normalisation stores statistics of the first alone. No
    state outlives a step. Where processes share the batch, the ascent is along the gradient of the whole.

    Args:
        radius: rho of the paper, in the 2-norm of all parameters together.

    Attributes:
        climbed: whether the weights are at the radius now.
    """

    def __init__(self, radius: float) -> None:
        self.radius, self.climbed = radius, False

    def twice(self, network: nn.Module, closure: Callable[[], Any]) -> Callable[[], Any]:
        """A closure of the optimiser's that leaves the gradient for the step.

        Args:
            network: whose trained parameters move.
            closure: sets gradients to zero, then computes loss and gradients of a batch.
        """

        def both() -> Any:
            sources = _random_sources(next(network.parameters()).device)
            states = [source.get_rng_state() for source in sources]
            closure()
            for source, state in zip(sources, states, strict=True):
                source.set_rng_state(state)
            with self._at_radius(network), _statistics_left(network):
                return closure()

        return both

    @contextmanager
    def _at_radius(self, network: nn.Module) -> Iterator[None]:
        slopes = [(parameter.data, parameter.grad) for parameter in network.parameters() if parameter.grad is not None]
        trained, gradients = [weights for weights, _ in slopes], [gradient for _, gradient in slopes]
        here = [weights.clone() for weights in trained]  # there and back by sums would not end in the same bits
        along = self.radius / torch.nn.utils.get_total_norm(gradients).clamp_min(1e-12)
        torch._foreach_add_(trained, [gradient * along for gradient in gradients])
        self.climbed = True
        try:
            yield
        finally:
            self.climbed = False
            torch._foreach_copy_(trained, here)


def _random_sources(device: torch.device) -> list[Any]:
    """What holds random states: of the CPU, and of a device beside it."""
    return [torch, *([torch.get_device_module(device)] if device.type != "cpu" else [])]


@contextmanager
def _statistics_left(network: nn.Module) -> Iterator[None]:
    """Batch normalisation still normalises by the batch, but stores nothing of it."""
    storing = [
        layer
        for layer in network.modules()
        if isinstance(layer, BATCH_NORMS) and layer.training and layer.track_running_stats
    ]
    for layer in storing:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in storing:
            layer.track_running_stats = True
