"""Distorts whole batches on the device they are on: every face by its own numbers, none in a loop."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_transfer.data.distortion import Distortion

_AREA, _ASPECT = (0.02, 0.33), (0.3, 1 / 0.3)  # Zhong et al. 2020, section 3.1


class Distorter(nn.Module):
    """Rotates, zooms, shifts, lights and erases, by torch's random numbers on the device.

    Args:
        distortion: the recipe's.
        black: float32 [C], what 0 is after normalisation (``BatchTransform.range``).
        white: likewise, of 255.
    """

    def __init__(self, distortion: Distortion, black: Tensor, white: Tensor) -> None:
        super().__init__()
        self.distortion = distortion
        self._black: Tensor
        self._white: Tensor
        self.register_buffer("_black", black[:, None, None].clone(), persistent=False)
        self.register_buffer("_white", white[:, None, None].clone(), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Float32 [N, C, H, W], normalised, distorted to the same."""
        given = self.distortion
        if given.rotate or given.zoom or given.shift:
            faces = F.grid_sample(
                faces, self._grid(faces), mode="bilinear", padding_mode="reflection", align_corners=False
            )
        if given.light:
            faces = self._lit(faces)
        return self._erased(faces) if given.erase else faces

    def _grid(self, faces: Tensor) -> Tensor:
        """Where each pixel comes from, float32 [N, H, W, 2], in torch's coordinates of -1..1."""
        angle, zoom, right, down = torch.empty(4, len(faces), device=faces.device).uniform_(-1, 1)
        angle = angle * math.radians(self.distortion.rotate)
        side = 1 / (1 + zoom * self.distortion.zoom)
        right, down = 2 * self.distortion.shift * right, 2 * self.distortion.shift * down
        cos, sin = side * angle.cos(), side * angle.sin()
        theta = torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)
        return F.affine_grid(theta, list(faces.shape), align_corners=False)

    def _lit(self, faces: Tensor) -> Tensor:
        """Brightness, then contrast about the mean of each channel of a face; between black and white."""
        light = self.distortion.light
        brightness, contrast = 1 + light * torch.empty(2, len(faces), 1, 1, 1, device=faces.device).uniform_(-1, 1)
        faces = self._within((faces - self._black) * brightness + self._black)
        return self._within(torch.lerp(faces.mean(dim=(2, 3), keepdim=True), faces, contrast))

    def _within(self, faces: Tensor) -> Tensor:
        return faces.clamp(self._black, self._white)

    def _erased(self, faces: Tensor) -> Tensor:
        """0, the mean that was subtracted, in a rectangle of some faces."""
        height, width = faces.shape[2:]
        chance, area, aspect, top, left = torch.rand(5, len(faces), 1, device=faces.device)
        area = area * (_AREA[1] - _AREA[0]) + _AREA[0]
        ratio = torch.exp(aspect * (math.log(_ASPECT[1]) - math.log(_ASPECT[0])) + math.log(_ASPECT[0]))
        tall, wide = (area * ratio).sqrt().clamp_max(1) * height, (area / ratio).sqrt().clamp_max(1) * width
        rows, columns = (torch.arange(side, device=faces.device) + 0.5 for side in (height, width))
        in_rows = (rows - top * (height - tall) - tall / 2).abs() < tall / 2
        in_columns = (columns - left * (width - wide) - wide / 2).abs() < wide / 2
        erased = in_rows[:, :, None] & in_columns[:, None, :] & (chance < self.distortion.erase)[:, :, None]
        return faces.masked_fill(erased[:, None], 0.0)
