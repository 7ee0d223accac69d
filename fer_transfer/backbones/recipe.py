"""The backbone as a recipe names it: read and checked before torch is imported."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class BackboneRecipe:
    """The network of a stage.

    Attributes:
        name: a timm model name, with or without a tag.
        weights: ``none``, ``hub`` (timm's own, fetched over the network), or the path of a file. The path is not part of
            the key; the file's digest is.
        skip_weights: name patterns that the initial weights may lack or have too much: the 1000-class head.
        kwargs: passed to the network's constructor, over those that travel with a file of weights.
        preprocessing: what of timm's record of the name, or of the file's (mean, std, scale, input_size, crop_pct,
            interpolation, channel_order) does not hold for these weights.
    """

    name: str = "???"
    weights: str = "none"
    skip_weights: list[str] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] | None = None
