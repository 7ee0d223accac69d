"""What weights expect of their input, and where it is said: by timm's record of a name, by a file, by a recipe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

from fer_transfer.errors import ConfigError, WeightsError

INTERPOLATIONS = ("bilinear", "bicubic")
CHANNEL_ORDERS = ("RGB", "BGR")

#: The words of a record, in a file and in a recipe.
RECORDED = ("mean", "std", "scale", "input_size", "crop_pct", "interpolation", "channel_order")


@dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of their input, per channel: ``(x / scale - mean) / std`` of 0..255; grey is repeated.

    Attributes:
        mean: per channel, in units of ``x / scale``, in the network's own channel order.
        std: likewise.
        scale: 255 for networks fed 0..1, 1 for Caffe's.
        size: side of the input in pixels.
        crop_pct: share of the resized picture's side that the input is: 224 of 256 is 0.875.
        interpolation: ``bilinear`` or ``bicubic``, as the weights were trained with.
        channel_order: ``RGB`` or ``BGR``, of the input that the weights were trained with: faces in colour, which are RGB, are
            turned to it. Of grey faces, the same in every channel, it changes no number.

    Raises:
        ValueError: if a value is outside its range, or there are not as many std as mean.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    size: int = 224
    crop_pct: float = 0.875
    interpolation: str = "bilinear"
    channel_order: str = "RGB"

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(map(isfinite, self.mean)):
            raise ValueError(f"not as many std as mean, all finite: mean {self.mean}, std {self.std}")
        if not all(0 < value < inf for value in (self.scale, self.size, self.crop_pct, *self.std)):
            raise ValueError(
                f"not all positive: std {self.std}, scale {self.scale}, size {self.size}, crop_pct {self.crop_pct}"
            )
        for name, allowed in (("interpolation", INTERPOLATIONS), ("channel_order", CHANNEL_ORDERS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r} is none of {', '.join(allowed)}")

    def record(self) -> dict[str, Any]:
        """In timm's words, as it travels with a file of weights.

        >>> Preprocessing((0.5,), (0.5,), size=64).record()["input_size"]
        [1, 64, 64]
        """
        values = asdict(self)
        side = values.pop("size")
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()} | {
            "input_size": [len(self.mean), side, side]
        }


def preprocessing_of(
    timms: Mapping[str, Any],
    own: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
    built_for: int | None = None,
    option: str = "recipe.backbone.preprocessing",
    source: str = "the weights",
) -> Preprocessing:
    """The user's own values, over the side that a network was built for, over a file's record, over timm's.

    Args:
        timms: timm's record of the network (``pretrained_cfg``).
        own: what the user gives, in the words of a record.
        record: what travels with a file of weights; words that are none of a record's are left alone.
        built_for: side in pixels where the network takes no other, which timm's record and a file's may not know of.
        option: where the user gives ``own``, for messages.
        source: the file that ``record`` is of, for messages.

    Raises:
        ConfigError: if a value of the user's is unknown, no number, or outside its range.
        WeightsError: if the file's record is none.
    """
    known = "bilinear" if timms.get("interpolation") not in INTERPOLATIONS else timms["interpolation"]  # or "random"
    values = {**timms, "interpolation": known, **{key: v for key, v in (record or {}).items() if key in RECORDED}}
    try:
        if record:
            _parsed(values)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"Expected a record of the input with {', '.join(RECORDED)} in {source}, but got {record} "
            f"({type(error).__name__}: {error}). Write it anew: fer-weights."
        ) from None
    if built_for is not None:
        values["input_size"] = (built_for,)
    try:
        if unknown := sorted(set(own) - set(RECORDED)):
            raise KeyError(*unknown)
        return _parsed(values | dict(own))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected {option} with some of {', '.join(RECORDED)}, but got {dict(own)} ({type(error).__name__}: {error})."
        ) from None


def _parsed(values: Mapping[str, Any]) -> Preprocessing:
    mean, std = (tuple(float(v) for v in values[key]) for key in ("mean", "std"))
    return Preprocessing(
        mean,
        std,
        float(values.get("scale", 255.0)),
        int(values["input_size"][-1]),
        float(values.get("crop_pct") or 0.875),
        values["interpolation"],
        values.get("channel_order", "RGB"),
    )
