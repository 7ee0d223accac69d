"""Resizing, cropping, mirroring and normalising whole batches of uint8 faces on the device they are on.

Resampling along one axis is a linear map, so a face is resized by two matrix products, and taking rows of the matrix
at a random offset, in reverse order for a mirrored face, crops and mirrors in the same product: nothing is computed
outside the crop. The three channels of a face in colour go through the same matrices. The matrix is what
``torch.nn.functional.interpolate`` makes of the identity, antialiased when it shrinks, so the result is that of resizing, then
cropping.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_transfer.backbones.preprocessing import INTERPOLATIONS, Preprocessing
from fer_transfer.errors import ConfigError

_COLOURS = 3

#: Of red, green and blue in the grey of a picture (ITU-R BT.601), as OpenCV makes faces grey.
_LUMA = (0.299, 0.587, 0.114)


def resampling_matrix(source: int, target: int, mode: str = "bilinear") -> Tensor:
    """float32 [target, source]: the linear map that resamples ``source`` pixels to ``target``, antialiased.

    >>> resampling_matrix(2, 4)[:, 0].tolist()
    [1.0, 0.75, 0.25, 0.0]
    """
    identity = torch.eye(source)[None, None]
    return F.interpolate(identity, (target, source), mode=mode, antialias=True, align_corners=False)[0, 0]


def traced_matrix(source: Tensor, target: int, mode: str = "bilinear") -> Tensor:
    """The same as a formula of ``source``, for a graph in which the side of the faces stays open.

    A target pixel is the mean of the source pixels around, weighted by a triangle or by Keys' cubic (a = -0.5), which is as
    wide as ``source / target`` where that is above 1.

    >>> bool((traced_matrix(torch.tensor(48), 36) - resampling_matrix(48, 36)).abs().max() < 1e-6)
    True
    """
    places = torch.arange(source) + 0.5  # type: ignore[call-overload]
    step = (places[-1:] + 0.5) / target
    centres = (torch.arange(target)[:, None] + 0.5) * step
    far = ((places - centres) / step.clamp_min(1)).abs()
    weights = (1 - far).clamp_min(0) if mode == "bilinear" else _keys(far)
    return weights / weights.sum(dim=1, keepdim=True)


def _keys(far: Tensor) -> Tensor:
    near, outer = (1.5 * far - 2.5) * far * far + 1, ((-0.5 * far + 2.5) * far - 4) * far + 2
    return torch.where(far < 1, near, torch.where(far < 2, outer, torch.zeros_like(far)))


class BatchTransform(nn.Module):
    """uint8 faces of any sizes in, one normalised float batch out.

    Attributes:
        sees: what is made a batch of, in the words of ``Faces.seen``.

    Args:
        resize: side in pixels that faces are resized to (the paper: 256), or ``auto``: crop / crop_pct.
        crop: side in pixels of the network's input (AlexNet 227, VGG-CNN-M 224), or ``auto``: the weights' own.
        mirror: mirror half of the training faces.
        interpolation: ``bilinear`` or ``bicubic`` (unknown in the paper), or ``auto``: the weights' own.
        preprocessing: the record of the network's weights, where ``auto`` looks.
        channels_last: memory format of the result.

    Raises:
        ConfigError: if the crop does not fit or the interpolation is unknown.
    """

    sees = "pixels"

    def __init__(
        self,
        resize: int | str,
        crop: int | str,
        mirror: bool,
        interpolation: str,
        preprocessing: Preprocessing,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        crop = preprocessing.size if crop == "auto" else crop
        if resize == "auto" and isinstance(crop, int):
            resize = round(crop / preprocessing.crop_pct)
        if interpolation == "auto":
            interpolation = preprocessing.interpolation
        if not isinstance(crop, int) or not isinstance(resize, int):
            raise ConfigError(
                f"Expected whole pixels or auto for augment.crop and resize, but got {crop!r}, {resize!r}."
            )
        if not 0 < crop <= resize:
            raise ConfigError(f"Expected 0 < augment.crop <= augment.resize, but got crop {crop}, resize {resize}.")
        if interpolation not in INTERPOLATIONS:
            raise ConfigError(
                f"Expected augment.interpolation to be one of {INTERPOLATIONS}, but got {interpolation!r}."
            )
        self.resize, self.crop, self.mirror = resize, crop, mirror
        self.interpolation, self.channels_last = interpolation, channels_last
        self.channels, self.channel_order = len(preprocessing.std), preprocessing.channel_order
        std = torch.tensor(preprocessing.std)
        self.register_buffer("_gain", 1 / (preprocessing.scale * std), persistent=False)
        self.register_buffer("_offset", -torch.tensor(preprocessing.mean) / std, persistent=False)
        self._matrices: dict[tuple[int, torch.device], Tensor] = {}

    def record(self) -> dict[str, Any]:
        """What a network trained behind this expects of its input, in timm's words: side, share of the picture, interpolation."""
        size = [self.channels, self.crop, self.crop]
        return {"input_size": size, "crop_pct": self.crop / self.resize, "interpolation": self.interpolation}

    @property
    def range(self) -> tuple[Tensor, Tensor]:
        """What black and white are after normalisation, float32 [C] each."""
        black, gain = self.get_buffer("_offset"), self.get_buffer("_gain")
        return black, black + 255 * gain

    @property
    def description(self) -> str:
        """What ``auto`` came to, for the report."""
        order = "" if self.channel_order == "RGB" else f", {self.channel_order}"
        return f"{self.crop} of {self.resize} px, {self.interpolation}{order}"

    def forward(self, groups: Sequence[Tensor], random: bool, own: Sequence[tuple[int, slice]] | None = None) -> Tensor:
        """Transform a batch.

        Args:
            groups: uint8 [n_i, H_i, W_i], grey, or [n_i, H_i, W_i, 3], RGB, each, 0..255: a batch may mix releases of different
                sizes, and grey ones with others in colour. Of a grey face every channel of the result is made, of one in colour
                each its own, in the order of the weights (Caffe's is BGR). A network that has not three sees its luma.
            random: random crop and mirror (training); else the centre crop.
            own: where ``groups`` is a share of a batch, how many faces the batch has in each and which of them are here
                (``Whole.own``): numbers are drawn for all, so that each face gets the crop that it gets in the whole batch.

        Returns:
            float32 [sum n_i, C, crop, crop], channels_last unless told otherwise.
        """
        device = groups[0].device
        if not random:
            middle = (self.resize - self.crop) // 2
            return self._batch(groups, repeat(self._view(device, middle, middle)))
        all_own = own or [(len(pixels), slice(None)) for pixels in groups]
        return self._batch(groups, (self._random(device, count, which) for count, which in all_own))

    def ten_crops(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """Four corners and the centre, each as it is and mirrored (Krizhevsky et al. 2012, section 4.1), one by one.

        Args:
            groups: as for ``forward``.

        Yields:
            Ten batches as of ``forward``.
        """
        far, device = self.resize - self.crop, groups[0].device
        for top, left in ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)):
            for mirrored in (False, True):
                yield self._batch(groups, repeat(self._view(device, top, left, mirrored)))

    def _batch(self, groups: Sequence[Tensor], places: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Resample every group at its rows and columns, and normalise the whole."""
        with torch.autocast(groups[0].device.type, enabled=False):
            parts = [self._resample(pixels, *place) for pixels, place in zip(groups, places, strict=False)]
            # Grey ones among others in colour are repeated.
            channels = _COLOURS if self.channels == _COLOURS and any(pixels.ndim == 4 for pixels in groups) else 1
            faces = torch.cat([part.expand(-1, -1, -1, channels) for part in parts])
            batch = torch.addcmul(self._offset, faces, self._gain).permute(0, 3, 1, 2)  # type: ignore[arg-type]
        return batch if self.channels_last else batch.contiguous()

    def _random(self, device: torch.device, count: int, own: slice) -> tuple[Tensor, Tensor]:
        """Rows and columns int64 [n, crop] of the resized faces: a crop for each, mirrored or not, drawn for ``count``."""
        steps = torch.arange(self.crop, device=device)
        far = self.resize - self.crop
        top, left = torch.randint(0, far + 1, (2, count, 1), device=device)[:, own]
        across = left + steps
        if self.mirror:
            mirrored = torch.rand(count, 1, device=device)[own] < 0.5
            across = torch.where(mirrored, left + self.crop - 1 - steps, across)
        return top + steps, across

    def _view(self, device: torch.device, top: int, left: int, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """Rows and columns int64 [1, crop], the same for all faces."""
        steps = torch.arange(self.crop, device=device)[None]
        return top + steps, left + (steps.flip(1) if mirrored else steps)

    def _resample(self, pixels: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """uint8 [n, H, W] or [n, H, W, 3] to float32 [n, crop, crop, 1 or 3], still 0..255, in the weights' order of channels."""
        rows, columns = (self._matrix(size, pixels.device) for size in pixels.shape[1:3])
        planes = self._planes(pixels.float()) if pixels.ndim == 4 else pixels.float()[:, None]
        resampled = rows[down][:, None] @ planes @ columns[across].transpose(1, 2)[:, None]
        resampled = resampled.clamp_(0, 255) if self.interpolation == "bicubic" else resampled
        return resampled.permute(0, 2, 3, 1)

    def _planes(self, faces: Tensor) -> Tensor:
        """float32 RGB [n, H, W, 3] to the channels that the network sees, [n, 1 or 3, H, W]."""
        if self.channels != _COLOURS:
            return (faces @ faces.new_tensor(_LUMA))[:, None]
        return (faces.flip(3) if self.channel_order == "BGR" else faces).permute(0, 3, 1, 2)

    def _matrix(self, size: Any, device: torch.device) -> Tensor:
        if isinstance(size, Tensor):  # while a graph is traced for an export the size is no constant
            return traced_matrix(size, self.resize, self.interpolation)
        if (size, device) not in self._matrices:
            self._matrices[size, device] = resampling_matrix(size, self.resize, self.interpolation).to(device)
        return self._matrices[size, device]
