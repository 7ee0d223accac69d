"""Builds a network by timm's name: backbone and a fresh head of seven, weights, and the preprocessing they belong to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from fer_transfer.backbones.fitting import span
from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.backbones.weights import load_into, read_record, read_weights, weights_digest
from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.labels import EXPRESSIONS


@dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of their input, per channel: ``(x / scale - mean) / std`` of grey 0..255 repeated.

    Attributes:
        mean: per channel, in units of ``x / scale``, in the network's own channel order.
        std: likewise.
        scale: 255 for networks fed 0..1, 1 for Caffe's.
        size: side of the input in pixels.
        crop_pct: share of the resized picture's side that the input is: 224 of 256 is 0.875.
        interpolation: ``bilinear`` or ``bicubic``, as the weights were trained with.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    size: int = 224
    crop_pct: float = 0.875
    interpolation: str = "bilinear"

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


@dataclass
class BackboneRecipe:
    """The network of a stage.

    Attributes:
        name: a timm model name, with or without a tag.
        weights: ``none``, ``hub`` (timm's own, fetched over the network), or the path of a file. The path is not part of
            the key; the file's digest is.
        skip_weights: name patterns that the initial weights may lack or have too much: the 1000-class head.
        kwargs: passed to the network's constructor.
        preprocessing: what of timm's record of the name (mean, std, scale, input_size, crop_pct, interpolation) does not
            hold for these weights.
    """

    name: str = "???"
    weights: str = "none"
    skip_weights: list[str] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] | None = None


def build_network(recipe: BackboneRecipe, load: bool = True) -> nn.Module:
    """A timm network with a head of seven outputs.

    Args:
        recipe: the network.
        load: fill in the recipe's initial weights; False where a parent stage's weights follow.

    Raises:
        ConfigError: if timm knows no such name or the constructor refuses the arguments.
        WeightsError: if the initial weights do not fit.
    """
    import timm

    from fer_transfer.backbones import alexnet, vgg_cnn_m  # noqa: F401  # timm knows their names from here on

    hub = load and recipe.weights == "hub"
    if hub and recipe.name in ZOO:
        raise WeightsError(
            f"Expected a file for {recipe.name}, but got weights=hub: timm's hub does not have it. fer-weights says where it is "
            "published; give it as recipe.backbone.weights=<path>."
        )
    try:
        with _offline_without_a_network() if hub else nullcontext():
            network: nn.Module = timm.create_model(recipe.name, pretrained=hub, **recipe.kwargs)
        # Not num_classes=7 above: some constructors draw the head so wide that the first loss is 10 instead of ln 7.
        network.reset_classifier(len(EXPRESSIONS))  # type: ignore[operator]
    except Exception as error:  # constructors raise whatever they like: KeyError, AssertionError, ...
        if hub and isinstance(error, OSError):
            raise WeightsError(
                f"Cannot fetch the weights of {recipe.name} from timm's hub: {error} "
                "Without a network give a file: recipe.backbone.weights=<path>."
            ) from None
        near = timm.list_models(f"*{recipe.name.split('.')[0][:6]}*")[:3]
        raise ConfigError(
            f"Cannot build backbone {recipe.name!r} ({type(error).__name__}: {error}). Expected a name from "
            "timm.list_models()" + (f", such as {', '.join(near)}," if near else "") + " and arguments that it takes."
        ) from error
    if load and recipe.weights not in ("none", "hub"):
        load_into(network, read_weights(recipe.weights), recipe.skip_weights, recipe.weights)
    return network


@contextmanager
def _offline_without_a_network() -> Iterator[None]:
    """Where nobody answers, the hub's client asks again for most of a minute; told to be offline, it gives what it has kept."""
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE
    try:
        if not before:
            get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # of the transport's kinds, or this client's
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def head_patterns(network: nn.Module) -> list[str]:
    """Patterns of the head's parameter names, from timm's record (``classifier.*``, ``fc.*``, ``head.fc.*``)."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise ConfigError(f"{type(network).__name__} does not say which layer is its classifier (pretrained_cfg).")
    return [f"{name}.*" for name in names]


_INTERPOLATIONS = ("bilinear", "bicubic")
_RECORD = ("mean", "std", "scale", "input_size", "crop_pct", "interpolation")


def preprocessing_of(recipe: BackboneRecipe, network: nn.Module) -> Preprocessing:
    """The record that belongs to the weights: the recipe's own values, over the file's, over timm's for the name.

    Raises:
        ConfigError: if a value of the recipe's own is unknown, no number, or of another length.
    """
    own: Mapping[str, Any] = recipe.preprocessing or {}
    timms: Mapping[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    record = {**timms, **_record_of_file(recipe)}
    if timms.get("fixed_input_size") and (side := _built_for(network)):
        record["input_size"] = (len(record["mean"]), side, side)
    record |= own
    try:
        if unknown := sorted(set(own) - set(_RECORD)):
            raise KeyError(*unknown)
        if own.get("interpolation", "bilinear") not in _INTERPOLATIONS:
            raise ValueError(f"interpolation {own['interpolation']!r} is none of {_INTERPOLATIONS}")
        mean, std = (tuple(float(v) for v in record[key]) for key in ("mean", "std"))
        scale, crop_pct = float(record.get("scale", 255.0)), float(record.get("crop_pct") or 0.875)
        size = int(record["input_size"][-1])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected recipe.backbone.preprocessing with some of {', '.join(_RECORD)}, but got {dict(own)} "
            f"({type(error).__name__}: {error})."
        ) from None
    if len(mean) != len(std) or min(scale, size, crop_pct, *std) <= 0:
        raise ConfigError(
            "Expected recipe.backbone.preprocessing with as many positive std as mean, and positive scale, size and "
            f"crop_pct, but got mean {mean}, std {std}, scale {scale}, size {size}, crop_pct {crop_pct}."
        )
    interpolation = record.get("interpolation")
    known = interpolation if interpolation in _INTERPOLATIONS else "bilinear"  # timm also has "random"
    return Preprocessing(mean, std, scale, size, crop_pct, known)


def _built_for(network: nn.Module) -> int | None:
    """Side of the input that a network was built for by ``img_size``, which timm's record and a file's may not know of."""
    size = getattr(network, "img_size", None) or getattr(getattr(network, "patch_embed", None), "img_size", None)
    return None if size is None else int(size if isinstance(size, int) else size[-1])


def _record_of_file(recipe: BackboneRecipe) -> Mapping[str, Any]:
    """What ``fer-weights`` wrote into the file of weights about the input they expect."""
    if recipe.weights in ("none", "hub"):
        return {}
    record = read_record(recipe.weights) or {}
    return {key: value for key, value in record.items() if key in _RECORD}


def initial_weights_caveat(recipe: BackboneRecipe) -> str | None:
    """What must stand beside numbers of a network that was not pre-trained as a whole, or None.

    "no pre-training", or what the weights file holds ("pre-training: conv1-5 only"); of a stage's file what held for the
    stage. The head of another task, which no plan keeps, does not count.
    """
    if recipe.weights == "none":
        return "no pre-training"
    if recipe.weights == "hub":
        return None
    if inherited := (read_record(recipe.weights) or {}).get("caveat"):
        return str(inherited)
    network = build_network(recipe, load=False)
    taken = load_into(network, read_weights(recipe.weights), recipe.skip_weights, recipe.weights).taken
    head = head_patterns(network)
    fresh = [name for name, _ in network.named_parameters() if name not in taken]
    if all(any(fnmatchcase(name, pattern) for pattern in head) for name in fresh):
        return None
    layers = span(taken)
    return (
        f"pre-training: {layers if len(layers) < 60 else f'{len(taken)} of {len(network.state_dict())} tensors'} only"
    )


def initial_weights_identity(recipe: BackboneRecipe) -> str:
    """What stands for the initial weights in a key: a digest for a file, else the word itself."""
    if recipe.weights == "none":
        return "none"
    if recipe.weights == "hub":
        import timm

        config = timm.models.get_pretrained_cfg(recipe.name)
        return f"hub:{recipe.name}:{config.tag if config else ''}"
    return f"sha256:{weights_digest(recipe.weights)}"
