"""The batch transform of networks that see what a landmarker tells of a face, in place of ``augment.BatchTransform``."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fer_transfer.backbones.preprocessing import Preprocessing


class GeometryBatch(nn.Module):
    """Numbers of faces in, one batch of them out: nothing is cropped, mirrored or drawn.

    Attributes:
        sees: what is made a batch of, in the words of ``Faces.seen``.

    Args:
        preprocessing: of the network's weights; says nothing of numbers.
        channels_last: as for pictures; makes no difference.
    """

    sees = "geometry"

    def __init__(self, preprocessing: Preprocessing, channels_last: bool = True) -> None:
        super().__init__()

    def record(self) -> dict[str, Any]:
        """What a network expects of its input besides what its backbone says: nothing."""
        return {}

    @property
    def description(self) -> str:
        """For the report."""
        return "geometry, no pixels"

    def forward(self, groups: Sequence[Tensor], random: bool, own: Sequence[tuple[int, slice]] | None = None) -> Tensor:
        """The batch, float32 [sum n_i, 1502], of groups float32 [n_i, 1502] (``detection.geometry.as_numbers``).

        Args:
            groups: faces of each release.
            random: as of ``BatchTransform``; makes no difference.
            own: likewise.
        """
        return torch.cat(list(groups))

    def ten_crops(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """The one batch that there is: geometry has no crops."""
        yield self(groups, random=False)
