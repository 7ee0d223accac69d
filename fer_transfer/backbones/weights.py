"""Weights in and out: local files of tensors, timm's hub when asked for, and the stages' own safetensors.

A file is ``.safetensors``, a PyTorch checkpoint that holds tensors only, or Caffe's ``.caffemodel``. Checkpoints of other
trainers nest the weights ("state_dict", "model", ...) and prefix the names ("module.", "backbone.", ...): both are undone.
What may differ from the network must be named by a pattern; everything else must match, name by name and shape by shape.
"""

import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fer_transfer.backbones.caffe import caffe_tensors, read_caffemodel
from fer_transfer.backbones.fitting import LoadedWeights, check_finite, check_fit
from fer_transfer.errors import WeightsError
from fer_transfer.files.digest import file_digest

#: Where in the metadata of a safetensors file the record of preprocessing stands, as JSON.
RECORD_KEY = "preprocessing"


def weights_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a weights file, hexadecimal.

    Raises:
        WeightsError: if there is no such file.
    """
    try:
        return file_digest([Path(path)])
    except OSError as error:
        raise WeightsError(
            f"Expected a weights file at {path}, but got: {error.strerror}. Give its path in recipe.backbone.weights, "
            "or recipe.backbone.weights=none to start from random weights."
        ) from None


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a file of tensors; never runs code from it.

    Returns:
        Name to tensor on the CPU, as stored, nesting undone, prefixes kept.

    Raises:
        WeightsError: if the file is missing, truncated, empty of tensors, or needs code to be unpickled.
    """
    path = Path(path)
    if not path.is_file():
        weights_digest(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".caffemodel":
            return caffe_tensors(read_caffemodel(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"Expected tensors only in {path}, but unpickling it needs more ({_first_line(error)}). It was not "
            "run. Save its state_dict alone with safetensors or torch.save and give that file."
        ) from None
    except Exception as error:  # at damaged bytes the unpickler raises anything: IndexError, struct.error, ...
        raise WeightsError(
            f"Cannot read weights from {path} ({_first_line(error)}). The file is truncated or no weights file; "
            "expected .safetensors, .caffemodel or a .pth of tensors."
        ) from None
    tensors = _largest_state_dict(content)
    if not tensors:
        raise WeightsError(f"Expected a mapping of names to tensors in {path}, but got {type(content).__name__}.")
    return tensors


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _largest_state_dict(content: object) -> dict[str, Tensor]:
    """The mapping with most tensors among ``content`` and the mappings nested in it."""
    if not isinstance(content, Mapping):
        return {}
    own = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    nested = [_largest_state_dict(value) for value in content.values() if isinstance(value, Mapping)]
    return max([own, *nested], key=len)


def strip_common_prefix(names: Sequence[str], expected: Sequence[str]) -> str:
    """The dotted prefix ("module.", "model.backbone.", ...) of names in a file that a network's names do not have.

    >>> strip_common_prefix(["module.net.conv.weight", "module.net.fc.bias"], ["conv.weight", "fc.bias"])
    'module.net.'
    >>> strip_common_prefix(["conv.weight", "head.bias"], ["conv.weight", "fc.bias"])
    ''
    """

    def hits(prefix: str) -> int:
        return len({name[len(prefix) :] for name in names if name.startswith(prefix)} & set(expected))

    parts = [name.split(".") for name in names]
    prefixes = {".".join(p[:depth]) + "." for p in parts for depth in range(1, min(len(p), 4))}
    return max(["", *sorted(prefixes)], key=hits)


def load_into(
    network: nn.Module, tensors: Mapping[str, Tensor], skip: Sequence[str] = (), source: str = "the weights"
) -> LoadedWeights:
    """Fill a network, strictly.

    Args:
        network: filled in place.
        tensors: name to tensor; a common prefix is dropped.
        skip: patterns (fnmatch, e.g. ``classifier.*``) over names, of the file or the network, that are left as they are.
        source: what the tensors are, for the message.

    Raises:
        WeightsError: listing with ``-`` what the network misses, with ``+`` what it does not have, and other shapes; if
            nothing is taken, or what is taken holds a NaN or an infinity.
    """
    own = network.state_dict()
    given = _without_prefix(tensors, own, source)
    loaded = check_fit(own, given, skip, source)
    check_finite({n: given[n] for n in loaded.taken}, source)
    network.load_state_dict({n: given[n] for n in loaded.taken}, strict=False)
    return loaded


def _without_prefix(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    prefix = strip_common_prefix(list(tensors), list(own))
    given = {name.removeprefix(prefix): t for name, t in tensors.items()}
    if len(given) < len(tensors):
        twice = [n for n in tensors if not n.startswith(prefix) and prefix + n in tensors]
        raise WeightsError(
            f"Expected each tensor of {source} once, but {twice[:3]} stand there with and without {prefix!r}."
        )
    return given


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record of preprocessing that travels with weights written by ``fer-weights`` or left by a stage.

    Returns:
        ``mean``, ``std``, ``scale``, ``input_size``, ``crop_pct``, ``interpolation`` as in ``Preprocessing``; from
        ``fer-weights`` also ``channel_order``, ``network``, ``file``, ``sha256``, ``holds`` (``all layers`` or, say,
        ``conv1-5 only``), ``left_out``, ``licence``; from a stage ``caveat``, if there is one. None for files of other
        kinds and such without a record.

    Raises:
        WeightsError: if the file is missing or damaged.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        return None
    if not path.is_file():
        weights_digest(path)
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(RECORD_KEY)
        record = None if text is None else json.loads(text)
    except Exception as error:  # safetensors' own kind, or JSON's
        raise WeightsError(
            f"Cannot read the record in {path} ({_first_line(error)}). Import the weights anew."
        ) from None
    if record is not None and not isinstance(record, dict):
        raise WeightsError(f"Expected a mapping as the record in {path}, but got {text!r}. Import the weights anew.")
    return record


def save_weights(path: Path, network: nn.Module, metadata: Mapping[str, str]) -> str:
    """Write a network's state as safetensors under its own names, aside and renamed; returns the file's digest."""
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in network.state_dict().items()}
    return save_tensors(path, tensors, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Write tensors as safetensors, aside and renamed; returns the file's digest."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.touch()
        mode = aside.stat().st_mode  # as any file of this user's; safetensors makes its own, readable by nobody else
        save_file(dict(tensors), aside, dict(metadata))
        aside.chmod(mode)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return weights_digest(path)
