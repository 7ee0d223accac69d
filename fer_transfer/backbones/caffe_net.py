"""What Caffe's AlexNet and VGG-CNN-M-2048 have in common: five convolutions, three fully connected layers, no global pooling.

Names of modules and parameters are Caffe's own (``conv1.weight`` ... ``fc8.bias``), so that its files fit by name.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fer_transfer.backbones.lrn import LocalResponseNorm
from fer_transfer.backbones.model_zoo import ZooModel
from fer_transfer.errors import ConfigError

_UNITS = 255  # the preprocessing record is in units of 0..1, Caffe's networks are fed 0..255


@dataclass(frozen=True)
class Convolution:
    """One convolution with its ReLU and what follows it.

    Attributes:
        channels: of the output.
        kernel: side in pixels.
        stride: in pixels.
        padding: zeros at each side.
        groups: of channels, not connected with one another.
        norm: LRN after the ReLU, with the network's constants.
        pool: 3x3 maximum of stride 2 after that, in Caffe's ceil mode.
        bias: that a fresh layer starts from.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    norm: bool = False
    pool: bool = False
    bias: float = 0.0

    def output_size(self, size: int) -> int:
        """Side of the output, by Caffe's rule, for an input of a side in pixels; 0 or less: too small an input.

        >>> Convolution(96, 11, stride=4, pool=True).output_size(227)
        27
        """
        size = (size + 2 * self.padding - self.kernel) // self.stride + 1
        return -((3 - size) // 2) + 1 if self.pool and size > 0 else size


@dataclass(frozen=True)
class CaffeNetPlan:
    """Layers of a network.

    Attributes:
        convolutions: conv1 to conv5.
        widths: outputs of fc6 and fc7.
        norm: size, alpha, beta and k of the LRN.
        fillers: standard deviations of fresh weights: convolutions and fc8, fc6 and fc7.
        hidden_bias: that fresh fc6 and fc7 start from.
    """

    convolutions: tuple[Convolution, ...]
    widths: tuple[int, int]
    norm: tuple[int, float, float, float]
    fillers: tuple[float, float] = (0.01, 0.005)
    hidden_bias: float = 0.1


class CaffeNet(nn.Module):
    """A network by its plan, under timm's contract.

    Args:
        plan: the layers.
        img_size: side of the input in pixels, or twice the same as a pair (timm's way). It fixes the inputs of fc6:
            trained weights of fc6 fit the published size only, and another one must leave ``fc6.*`` out.
        num_classes: outputs of fc8; 0 leaves it out.
        in_chans: channels of the input.
        drop_rate: share of fc6's and fc7's outputs dropped in training.
        global_pool: ``fc`` (fc6 and fc7 stand where other networks pool), or an empty string: the network ends with the
            last feature map, which needs ``num_classes=0``.

    Raises:
        ConfigError: if a picture of this size is not square or does not reach fc6, or there are classes without fc6 and fc7.
    """

    def __init__(
        self,
        plan: CaffeNetPlan,
        img_size: int | tuple[int, int],
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        global_pool: str = "fc",
    ) -> None:
        super().__init__()
        self.plan, self.img_size, self.in_chans, self.drop_rate = plan, _side(img_size), in_chans, drop_rate
        self.global_pool, self.num_classes = global_pool, num_classes
        self.feature_info: list[dict[str, Any]] = []
        self._features: list[str] = []
        channels, size, reduction = in_chans, self.img_size, 1
        for number, convolution in enumerate(plan.convolutions, 1):
            size = convolution.output_size(size)
            if size < 1:
                raise ConfigError(
                    f"Expected an img_size that reaches fc6, but of {img_size} nothing is left at conv{number}."
                )
            self._add_convolution(number, convolution, channels)
            channels, reduction = convolution.channels, reduction * convolution.stride
            self.feature_info.append({"num_chs": channels, "reduction": reduction, "module": f"relu{number}"})
            reduction *= 2 if convolution.pool else 1
        self.num_features, self.head_hidden_size = channels, plan.widths[1]
        self._add_hidden(6, channels * size * size, plan.widths[0])
        self._add_hidden(7, *plan.widths)
        self.fc8: nn.Module = nn.Identity()
        self._initialise()
        self.reset_classifier(num_classes, global_pool)

    def _add_convolution(self, number: int, convolution: Convolution, inputs: int) -> None:
        c = convolution
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(inputs, c.channels, c.kernel, c.stride, c.padding, groups=c.groups),
            "relu": nn.ReLU(inplace=True),
        }
        if c.norm:
            layers["norm"] = LocalResponseNorm(*self.plan.norm)
        if c.pool:
            layers["pool"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        for kind, layer in layers.items():
            self.add_module(f"{kind}{number}", layer)
            self._features.append(f"{kind}{number}")

    def _add_hidden(self, number: int, inputs: int, outputs: int) -> None:
        # Not drawn twice: its own initialisation takes seconds.
        device = torch.get_default_device()
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs, device=device)  # type: ignore[no-untyped-call]
        self.add_module(f"fc{number}", layer)
        self.add_module(f"relu{number}", nn.ReLU(inplace=True))
        self.add_module(f"drop{number}", nn.Dropout(self.drop_rate))

    @torch.no_grad()
    def _initialise(self) -> None:
        """Caffe's fillers: gaussian weights, constant biases."""
        for number, convolution in enumerate(self.plan.convolutions, 1):
            self._fill(f"conv{number}", self.plan.fillers[0], convolution.bias)
        for name in ("fc6", "fc7"):
            self._fill(name, self.plan.fillers[1], self.plan.hidden_bias)

    def _fill(self, name: str, std: float, bias: float) -> None:
        layer = self.get_submodule(name)
        assert isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None
        nn.init.normal_(layer.weight, std=std)
        nn.init.constant_(layer.bias, bias)

    def get_classifier(self) -> nn.Module:
        """fc8, or an identity where it was left out."""
        return self.fc8

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh fc8 with its filler (gaussian of 0.01, bias 0), or none.

        Args:
            num_classes: outputs; 0 leaves fc8 out.
            global_pool: ``fc`` or an empty string, as in the constructor; None keeps what is.

        Raises:
            ConfigError: on another word, or classes without fc6 and fc7.
        """
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in ("", "fc") or (pool == "" and num_classes):
            raise ConfigError(
                f"Expected global_pool='fc', or '' with num_classes=0, but got {pool!r} with num_classes={num_classes}: "
                "these networks have fc6 and fc7 where others pool."
            )
        self.global_pool, self.num_classes = pool, num_classes
        if num_classes:
            like = self.get_submodule("fc7").weight
            assert isinstance(like, Tensor)
            self.fc8 = nn.Linear(self.head_hidden_size, num_classes, device=like.device, dtype=like.dtype)
            self._fill("fc8", self.plan.fillers[0], 0.0)
        else:
            self.fc8 = nn.Identity()

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Each convolution and each fully connected layer is a layer, in timm's words.

        Args:
            coarse: makes no difference here.
        """
        return {"stem": r"^conv1\b", "blocks": r"^(?:conv|fc)(\d)"}

    def parameter_multipliers(self) -> dict[str, tuple[float, float]]:
        """By parameter name, the multipliers of learning rate and weight decay: (1, 1) for weights, (2, 0) for biases."""
        return {name: (2.0, 0.0) if name.endswith(".bias") else (1.0, 1.0) for name, _ in self.named_parameters()}

    def forward_features(self, x: Tensor) -> Tensor:
        """The last pooled map, float [N, num_features, h, w], of BGR pictures [N, 3, img_size, img_size].

        Raises:
            ConfigError: if the pictures have another size.
        """
        if x.shape[-2:] != (self.img_size, self.img_size):
            raise ConfigError(
                f"Expected pictures of {self.img_size}x{self.img_size}, which fix the inputs of fc6, but got "
                f"{x.shape[-2]}x{x.shape[-1]}. Crop to {self.img_size} px, or build the network for this size "
                f"(recipe.backbone.kwargs.img_size={x.shape[-1]}); trained weights of fc6 then do not fit."
            )
        for name in self._features:
            x = self.get_submodule(name)(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits [N, num_classes] of the last map; ``pre_logits``: fc7's features [N, head_hidden_size]."""
        if self.global_pool == "":
            return x
        x = x.flatten(1)
        for name in ("fc6", "relu6", "drop6", "fc7", "relu7", "drop7"):
            x = self.get_submodule(name)(x)
        return x if pre_logits else self.get_classifier()(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits float [N, num_classes] of BGR pictures 0..255 less their mean, [N, 3, img_size, img_size]."""
        return self.forward_head(self.forward_features(x))


def _side(img_size: int | tuple[int, int]) -> int:
    sides = {img_size} if isinstance(img_size, int) else set(img_size)
    if len(sides) != 1:
        raise ConfigError(f"Expected img_size to be one side in pixels or twice the same, but got {img_size}.")
    return sides.pop()


def default_cfg(known: ZooModel) -> dict[str, Any]:
    """The record for timm: channels in the network's own order BGR, in units of 0..1; a std of 1/255 gives 0..255 back."""
    size = known.input_side
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, size, size),
        "fixed_input_size": True,
        "pool_size": None,
        "crop_pct": known.crop_pct,
        "interpolation": "bilinear",
        "mean": tuple(v / _UNITS for v in known.mean),
        "std": (1 / _UNITS,) * 3,
        "first_conv": "conv1",
        "classifier": "fc8",
        "license": known.licence,
    }


def create(name: str, plan: CaffeNetPlan, pretrained: bool, **kwargs: Any) -> nn.Module:
    """Build through timm; the record follows ``img_size``, which need not be the published one, and says BGR."""
    from timm.models import build_model_with_cfg

    features = {"feature_cls": "hook", "out_indices": tuple(range(len(plan.convolutions)))}
    network: nn.Module = build_model_with_cfg(CaffeNet, name, pretrained, feature_cfg=features, plan=plan, **kwargs)
    if isinstance(network, CaffeNet):
        record: Any = network.pretrained_cfg
        # A copy that timm made for this network; timm's own type of record has no word for the order.
        record.update({"input_size": (network.in_chans, network.img_size, network.img_size), "channel_order": "BGR"})
    return network
