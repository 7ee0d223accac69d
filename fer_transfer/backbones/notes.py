"""What is said of a weights file before training: what it asks for, and what is assumed because it does not say it."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from fer_transfer.backbones.batch_norm import folded
from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.backbones.weights import WeightsFile
from fer_transfer.config import override
from fer_transfer.errors import WeightsError


def recorded_kwargs(file: WeightsFile | None) -> dict[str, Any]:
    """Constructor arguments that a file of weights asks for in its record.

    Raises:
        WeightsError: if they are no mapping.
    """
    kwargs = (file.record or {}).get("kwargs", {}) if file else {}
    if not isinstance(kwargs, dict):
        raise WeightsError(
            f"Expected a mapping of constructor arguments as kwargs of the record in {file and file.path}, but got {kwargs!r}. "
            "Write it anew: fer-weights."
        )
    return kwargs


def weights_notes(
    name: str, file: WeightsFile, kwargs: Mapping[str, Any], own: Mapping[str, Any], preprocessing: Preprocessing
) -> tuple[str, ...]:
    """Lines to be said once before training.

    Args:
        name: timm's, of the network.
        file: the weights.
        kwargs: the recipe's own constructor arguments.
        own: the recipe's own preprocessing.
        preprocessing: what came of it.
    """
    lines = [f"{file.path.name}: {note}" for note in file.notes]
    lines += _assumed(name, file, own, preprocessing) if file.record is None else _arguments(file, kwargs)
    if layers := folded(file.tensors):
        lines.append(
            f"{file.path.name}: batch normalisation is folded away (mean 0, variance 1 in {len(layers)} layers, first "
            f"{layers[0]}). Train it with recipe.batch_norm=unfold."
        )
    return tuple(lines)


def _assumed(name: str, file: WeightsFile, own: Mapping[str, Any], preprocessing: Preprocessing) -> Iterator[str]:
    """What timm's record of the name is trusted for, and how to write the file's own."""
    words = {key: value for key, value in preprocessing.record().items() if key not in own}
    yield f"{file.path.name} carries no record of its input. Taken from timm's record of {name}: {record_text(words)}."
    out = f"{file.path.stem}{'_recorded' if file.path.suffix == '.safetensors' else ''}.safetensors"
    typed = [override("net", name), override("file", file.path), override("out", out)]
    command = shlex.join(["fer-weights", *typed])
    if name not in ZOO or file.path.suffix != ".caffemodel":
        command += " 'mean=[R,G,B]' 'std=[R,G,B]' size=PIXELS +kwargs.ARGUMENT=VALUE"
    yield f"  If its weights were trained otherwise, write its own: {command}"


def _arguments(file: WeightsFile, kwargs: Mapping[str, Any]) -> Iterator[str]:
    """Arguments that the file asks for: those that are taken, and those that the recipe contradicts."""
    asked = recorded_kwargs(file)
    if taken := {key: value for key, value in asked.items() if key not in kwargs}:
        yield f"{file.path.name} asks for a network built with {record_text(taken)}: it is."
    if other := {key: value for key, value in asked.items() if key in kwargs and kwargs[key] != value}:
        yield (
            f"{file.path.name} asks for a network built with {record_text(other)}, but recipe.backbone.kwargs say "
            f"{record_text({key: kwargs[key] for key in other})}: the recipe's are used."
        )


def record_text(values: Mapping[str, Any]) -> str:
    """A record in a line.

    >>> record_text({"mean": [0.485, 0.456], "scale": 255.0, "pad_type": "same"})
    'mean [0.485,0.456], scale 255, pad_type same'
    """
    return ", ".join(f"{key} {_short(value)}" for key, value in values.items())


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(_short(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
