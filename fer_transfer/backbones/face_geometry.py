"""Networks that see what MediaPipe's FaceLandmarker tells of a face, and no pixels: baselines for those that do.

Each standardises its features and has a linear head: trained over all faces at once, with weight decay, it is multinomial
logistic regression (``conf/experiment/geometry.yaml``).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn

from fer_transfer.detection.geometry import BLENDSHAPES, NUMBERS, POINTS

_POINTS, _SHAPES = 3 * POINTS, len(BLENDSHAPES)

#: What timm tells every constructor, of weights that there are none of.
_OF_TIMM = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


def blendshapes(numbers: Tensor) -> Tensor:
    """The 52 movements, float [N, 52], 0..1, of float [N, 1502] (``detection.geometry.as_numbers``)."""
    return numbers[:, _POINTS : _POINTS + _SHAPES]


def frontal_points(numbers: Tensor) -> Tensor:
    """The points of a face as if it looked straight ahead, float [N, 1434], of float [N, 1502].

    x to the person's left, y up, z forward; their mean is 0, and their root mean square distance from it 1. The pose's rotation
    is taken out as if the camera were far away, as the points themselves are given.
    """
    points = numbers[:, :_POINTS].reshape(-1, POINTS, 3)
    points = (points - points.mean(dim=1, keepdim=True)) * points.new_tensor([1, -1, -1])
    turned = points @ numbers[:, _POINTS + _SHAPES :].reshape(-1, 4, 4)[:, :3, :3]
    return (turned / turned.square().sum(dim=2, keepdim=True).mean(dim=1, keepdim=True).sqrt()).flatten(1)


class LinearOnGeometry(nn.Module):
    """Features of a face's geometry, standardised, and a linear head on them.

    Where nothing is known of a face (NaN), it is taken for the mean face: what is said of it are the shares of the classes.

    Args:
        features: of float [N, 1502].
        count: how many.
        num_classes: outputs of the head; 0: none.
    """

    pretrained_cfg: dict[str, Any]
    default_cfg: dict[str, Any]

    def __init__(self, features: Callable[[Tensor], Tensor], count: int, num_classes: int = 7) -> None:
        super().__init__()
        self.features, self.num_features, self.head_hidden_size = features, count, count
        # The mean over all batches: of one batch that holds all faces, their mean and deviation. Some blendshapes move by a
        # millionth, and tell all the same: the default eps would all but leave them out.
        self.norm = nn.BatchNorm1d(count, eps=1e-14, affine=False, momentum=None)
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new head of zeros: where it begins makes no difference to where it ends."""
        self.num_classes = num_classes
        self.head: nn.Module = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def parameter_multipliers(self) -> dict[str, tuple[float, float]]:
        """Of learning rate and weight decay: the intercept does not decay, as in logistic regression."""
        return {"head.bias": (1.0, 0.0)}

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """There is one layer with parameters."""
        return {"stem": r"^norm", "blocks": r"^head"}

    def forward_features(self, x: Tensor) -> Tensor:
        """Standardised features, float [N, num_features], of geometry as numbers, float [N, 1502]."""
        return torch.nan_to_num(self.norm(self.features(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits [N, num_classes] of features; ``pre_logits``: the features."""
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits float [N, num_classes] of geometry as numbers, float [N, 1502]."""
        return self.forward_head(self.forward_features(x))


def _create(what: str, features: Callable[[Tensor], Tensor], count: int, kwargs: Mapping[str, Any]) -> nn.Module:
    """Without timm's builder, which is for pictures; the record says what a network sees, and what must stand beside it."""
    network = LinearOnGeometry(features, count, **{key: of for key, of in kwargs.items() if key not in _OF_TIMM})
    network.pretrained_cfg = network.default_cfg = {
        "input_size": (1, 1, NUMBERS), "mean": (0.0,), "std": (1.0,), "crop_pct": 1.0, "interpolation": "bilinear",
        "classifier": "head", "sees": "geometry", "caveat": f"a linear head on MediaPipe's {what}, no pixels",
    }  # fmt: skip
    return network


@register_model  # type: ignore[untyped-decorator]
def face_blendshapes(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """A linear head on the 52 blendshapes; arguments as of ``LinearOnGeometry``."""
    return _create("blendshapes", blendshapes, _SHAPES, kwargs)


@register_model  # type: ignore[untyped-decorator]
def face_points(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """A linear head on the 478 points, turned to the front; arguments as of ``LinearOnGeometry``."""
    return _create("points", frontal_points, _POINTS, kwargs)
