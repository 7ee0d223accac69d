"""The last layer of a network whose output is still a map of places: what Grad-CAM looks at.

Timm's record of its feature maps (``feature_info``) names the layers; which of them still has places, and lets each of them
reach the answer, is found out by one pass. So convolutions, [N, H, W, C] and tokens need no list of networks here: of a
vision transformer that answers by its class token, it is the block before the last.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from fer_transfer.errors import ConfigError


@dataclass(frozen=True)
class Layout:
    """How a layer's output holds a map.

    Attributes:
        kind: ``NCHW``, ``NHWC``, or ``tokens`` [N, prefix + h * w, C].
        prefix: tokens before those of the map, such as the class token.
    """

    kind: str
    prefix: int = 0

    def to_map(self, output: Tensor) -> Tensor:
        """The output as [N, C, h, w]."""
        if self.kind == "NCHW":
            return output
        if self.kind == "NHWC":
            return output.permute(0, 3, 1, 2)
        tokens = output[:, self.prefix :].transpose(1, 2)
        side = isqrt(tokens.shape[2])
        return tokens.reshape(*tokens.shape[:2], side, side)

    def from_map(self, mapped: Tensor, output: Tensor) -> Tensor:
        """A map back in the layout of the output that it was made of."""
        if self.kind == "NCHW":
            return mapped
        if self.kind == "NHWC":
            return mapped.permute(0, 2, 3, 1)
        return torch.cat([output[:, : self.prefix], mapped.flatten(2).transpose(1, 2)], dim=1)


@dataclass(frozen=True)
class SpatialLayer:
    """A layer of a network, by its name, and the layout of its output."""

    name: str
    layer: nn.Module
    layout: Layout

    @contextmanager
    def tapped(self) -> Iterator[nn.Module]:
        """A module that the layer's output passes as [N, C, h, w], unchanged, as long as the context lasts."""
        tap = nn.Identity()

        def through(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            return self.layout.from_map(tap(self.layout.to_map(output)), output)

        handle = self.layer.register_forward_hook(through)
        try:
            yield tap
        finally:
            handle.remove()


def spatial_layer(network: nn.Module, x: Tensor) -> SpatialLayer:
    """The last layer with several places, of which more than one reaches the network's output.

    Args:
        network: timm's, in evaluation mode.
        x: input, float [N, C, H, W]; a few samples are enough.

    Raises:
        ConfigError: if the network does not say where its feature maps are, or none of them is one.
    """
    outputs, logits = _outputs(network, _named_maps(network), x)
    maps = {name: layout for name, of in outputs.items() if (layout := _layout(network, name, of)) is not None}
    given = [outputs[name] for name in maps]
    gradients = torch.autograd.grad(logits.square().sum(), given, allow_unused=True) if given else ()
    for name, gradient in reversed(list(zip(maps, gradients, strict=True))):
        if gradient is not None and _places(maps[name].to_map(gradient)) > 1:
            return SpatialLayer(name, network.get_submodule(name), maps[name])
    raise ConfigError(
        f"{type(network).__name__} has no layer whose output is a map of several places ({', '.join(outputs) or 'none named'}), "
        "which Grad-CAM needs. Take another method: integrated_gradients or occlusion."
    )


def _named_maps(network: nn.Module) -> dict[str, int]:
    """Channels of the layers that timm's record names, from the first to the last; none where it has no record."""
    known = getattr(network, "feature_info", None)
    info: Sequence[Mapping[str, Any]] = getattr(known, "info", known) or ()
    return {str(of["module"]): int(of["num_chs"]) for of in info if of.get("module") and _has(network, of["module"])}


def _has(network: nn.Module, name: str) -> bool:
    return name in dict(network.named_modules())


def _outputs(network: nn.Module, names: Mapping[str, int], x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What the layers give, as far as it is one tensor, and the logits."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.requires_grad:
                outputs[name] = output

        return hook

    with ExitStack() as stack, torch.enable_grad():
        for name in names:
            handle = network.get_submodule(name).register_forward_hook(keep(name))
            stack.callback(handle.remove)
        logits: Tensor = network(x.detach().requires_grad_())
    return outputs, logits


def _layout(network: nn.Module, name: str, output: Tensor) -> Layout | None:
    """How an output holds a map; None where it holds none."""
    channels = _named_maps(network)[name]
    if output.ndim == 4:
        kinds = {1: "NCHW", 3: "NHWC"}
        return next((Layout(kind) for dim, kind in kinds.items() if output.shape[dim] == channels), None)
    if output.ndim != 3 or output.shape[2] != channels:
        return None
    for prefix in (int(getattr(network, "num_prefix_tokens", 0)), 0):  # some add their class token behind the last map
        places = output.shape[1] - prefix
        if places > 0 and isqrt(places) ** 2 == places:
            return Layout("tokens", prefix)
    return None


def _places(gradient: Tensor) -> int:
    """Of how many places of a map [N, C, h, w] the output depends on any."""
    return int(gradient.ne(0).any(dim=1).any(dim=0).sum())
