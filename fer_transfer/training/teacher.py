"""Finished networks that say what a batch shows, for another to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_transfer.data.augment import BatchTransform
from fer_transfer.errors import ConfigError


@dataclass(frozen=True)
class Member:
    """One of the teachers: a network with an output for each class, and the input of its weights."""

    network: nn.Module
    transform: BatchTransform


class Teacher:
    """The mean of what networks say of a batch that another one's input was made of.

    No part of the module that learns: neither its checkpoint nor an average of its weights holds it.

    Args:
        members: at least one.
        student: what makes the batches.
        temperature: by which logits are divided.

    Raises:
        ConfigError: if a member does not see as many channels.
    """

    def __init__(self, members: Sequence[Member], student: BatchTransform, temperature: float) -> None:
        self.members, self.student, self.temperature = members, student, temperature
        for member in members:
            member.network.eval().requires_grad_(False)
            if member.transform.channels != student.channels:
                raise ConfigError(
                    f"Expected teachers whose input has {student.channels} channels, as the network's own, but one has "
                    f"{member.transform.channels}. Choose others in recipe.distillation.teacher."
                )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: whoever copies the module that learns needs no second teacher."""
        return self

    def to(self, device: torch.device) -> None:
        """Move there."""
        for member in self.members:
            member.network.to(device)
            member.transform.to(device)

    @torch.no_grad()
    def probabilities(self, pixels: Tensor) -> Tensor:
        """Softened, float32 [N, classes], of float32 [N, C, H, W]: the network's input, as the student sees it."""
        each = [member.network(self._as_seen_by(member, pixels)).float() for member in self.members]
        return torch.stack([(logits / self.temperature).softmax(dim=1) for logits in each]).mean(dim=0)

    def loss(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Kullback-Leibler divergence of softened logits float32 [N, classes] from the teachers', the mean over the batch.

        Times the temperature squared, so that its gradient is of the size of the labels' (Hinton et al. 2015, section 2).
        """
        own = F.log_softmax(logits / self.temperature, dim=1)
        return F.kl_div(own, probabilities, reduction="batchmean") * self.temperature**2

    def _as_seen_by(self, member: Member, pixels: Tensor) -> Tensor:
        """The same view under the member's own normalisation, order of channels and side."""
        own, theirs = self.student, member.transform
        pixels = _between(pixels, *own.range)
        if own.channel_order != theirs.channel_order:
            pixels = pixels.flip(1)
        if pixels.shape[-1] != theirs.crop:
            pixels = F.interpolate(pixels, (theirs.crop, theirs.crop), mode="bilinear", antialias=True)
        black, white = theirs.range
        return pixels * (white - black)[:, None, None] + black[:, None, None]


def _between(pixels: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """0 of black, 1 of white."""
    return (pixels - black[:, None, None]) / (white - black)[:, None, None]
