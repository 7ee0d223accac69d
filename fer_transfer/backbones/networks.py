"""Networks by timm's name: built with checked arguments, filled from timm's hub, and what they say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.errors import ConfigError, WeightsError


def build_network(
    name: str, kwargs: Mapping[str, Any], classes: int | None = None, pretrained: bool = False
) -> nn.Module:
    """A timm network.

    Args:
        name: a timm model name, with or without a tag.
        kwargs: passed to the constructor.
        classes: outputs of a fresh head; None: the head that timm gives it.
        pretrained: fill it with timm's own weights, fetched from its hub.

    Raises:
        ConfigError: if timm knows no such name or the constructor refuses the arguments.
        WeightsError: if the hub does not have the weights, or nobody answers.
    """
    import timm

    from fer_transfer.backbones import alexnet, face_geometry, vgg_cnn_m  # noqa: F401  # timm knows their names from here on

    if pretrained and name in ZOO:
        raise WeightsError(
            f"Expected a file for {name}, but got weights=hub: timm's hub does not have it. fer-weights says where it is "
            "published; give it as recipe.backbone.weights=<path>."
        )
    try:
        with _offline_without_a_network() if pretrained else nullcontext():
            network: nn.Module = timm.create_model(name, pretrained=pretrained, **kwargs)
        if classes is not None:
            # Not num_classes above: some constructors draw the head so wide that the first loss is 10 instead of ln 7.
            network.reset_classifier(classes)  # type: ignore[operator]
    except Exception as error:  # constructors raise whatever they like: KeyError, AssertionError, ...
        if pretrained and isinstance(error, OSError):
            raise WeightsError(
                f"Cannot fetch the weights of {name} from timm's hub: {error} "
                "Without a network give a file: recipe.backbone.weights=<path>."
            ) from None
        near = timm.list_models(f"*{name.split('.')[0][:6]}*")[:3]
        raise ConfigError(
            f"Cannot build backbone {name!r}{f' with {dict(kwargs)}' if kwargs else ''} ({type(error).__name__}: {error}). "
            "Expected a name from timm.list_models()"
            + (f", such as {', '.join(near)}," if near else "")
            + " and arguments that it takes."
        ) from error
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


def record_of(network: nn.Module) -> Mapping[str, Any]:
    """Timm's record of a network: mean, std, input size, classifier, ..."""
    record: Mapping[str, Any] = getattr(network, "pretrained_cfg", {})
    return record


def sees(network: nn.Module) -> str:
    """What a network looks at of a face, in the words of ``Faces.seen``: pixels, but for those of this package that say other."""
    return str(record_of(network).get("sees", "pixels"))


def head_patterns(network: nn.Module) -> tuple[str, ...]:
    """Patterns of the head's parameter names, from timm's record (``classifier.*``, ``fc.*``, ``head.fc.*``).

    Raises:
        ConfigError: if the record does not name it.
    """
    names = record_of(network).get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names:
        raise ConfigError(f"{type(network).__name__} does not say which layer is its classifier (pretrained_cfg).")
    return tuple(f"{name}.*" for name in names)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns (fnmatch) names a parameter."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def built_for(network: nn.Module) -> int | None:
    """Side of the only input that a network takes, which ``img_size`` set; None: it takes others, or does not say."""
    if not record_of(network).get("fixed_input_size"):
        return None
    size = getattr(network, "img_size", None) or getattr(getattr(network, "patch_embed", None), "img_size", None)
    return None if size is None else int(size if isinstance(size, int) else size[-1])
