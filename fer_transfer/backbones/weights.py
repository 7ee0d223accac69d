"""Weights in and out: local files of tensors, timm's hub when asked for, and the stages' own safetensors.

A file is ``.safetensors``, a PyTorch checkpoint that holds tensors only, or Caffe's ``.caffemodel``. Checkpoints of other
trainers nest the weights ("state_dict", "model", ...) and prefix the names ("module.", "backbone.", ...): both are undone.
What may differ from the network must be named by a pattern; everything else must match, name by name and shape by shape.
"""

import hashlib
import io
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from fer_transfer.backbones.caffe import caffe_bytes, caffe_tensors, parse_caffemodel
from fer_transfer.backbones.fitting import LoadedWeights, check_finite, check_fit
from fer_transfer.errors import WeightsError
from fer_transfer.files.digest import file_digest
from fer_transfer.files.nearby import near_path
from fer_transfer.files.whole import written_whole

#: Where in the metadata of a safetensors file the record of preprocessing stands, as JSON.
RECORD_KEY = "preprocessing"

#: Likewise what a stage's weights were made from.
LINEAGE_KEY = "lineage"


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """A file of weights, read once: all parts are of the same bytes.

    Attributes:
        path: where it was.
        digest: SHA-256 of its bytes, hexadecimal.
        tensors: name to tensor on the CPU, as stored, nesting undone, prefixes kept.
        record: the input that the weights expect, where ``fer-weights`` wrote the file or a stage left it: ``mean``,
            ``std``, ``scale``, ``input_size``, ``crop_pct``, ``interpolation``, ``channel_order`` as in ``Preprocessing``,
            and ``kwargs``, the constructor arguments that the weights need. From ``fer-weights`` also ``network``,
            ``file``, ``sha256``, ``holds`` (``all layers`` or, say, ``conv1-5 only``), ``left_out``, ``batch_norm``
            (``folded``) and ``licence`` where they are known; from stages before there was a lineage ``caveat``. None for
            files of other kinds and such without a record.
        lineage: what a stage's weights were made from, as it was written; None for every other file.
        notes: what was changed on the way, such as double precision numbers rounded.
    """

    path: Path
    digest: str
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any] | None
    lineage: Mapping[str, Any] | None
    notes: tuple[str, ...] = ()


def open_weights(path: str | os.PathLike[str], kind: str | None = None) -> WeightsFile:
    """Read a file of weights; never runs code from it.

    Args:
        path: the file.
        kind: ``.safetensors``, ``.caffemodel``, or another for a PyTorch checkpoint, whatever the name ends with; None: as
            the name ends.

    Raises:
        WeightsError: if the file is missing, truncated, empty of tensors, or needs code to be unpickled, or if its record or
            lineage is no JSON mapping.
    """
    path, kind = Path(path), kind or Path(path).suffix
    data = caffe_bytes(path) if kind == ".caffemodel" else _bytes(path)
    try:
        tensors, metadata, notes = _content(data, kind, path)
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
    record, lineage = (_mapping(metadata.get(key), key, path) for key in (RECORD_KEY, LINEAGE_KEY))
    return WeightsFile(path, hashlib.sha256(data).hexdigest(), tensors, record, lineage, notes)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _missing(path, error) from None


def _content(data: bytes, kind: str, path: Path) -> tuple[dict[str, Tensor], Mapping[str, str], tuple[str, ...]]:
    """Tensors, what stands beside them in a safetensors file, and what was changed on the way."""
    if kind == ".safetensors":
        tensors = dict(sorted(load_safetensors(data).items()))  # it gives them in any order
        return tensors, _header(data)[0].get("__metadata__") or {}, ()
    if kind == ".caffemodel":
        model = parse_caffemodel(data, path)
        return caffe_tensors(model), {}, model.notes
    content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    tensors = _largest_state_dict(content)
    if not tensors:
        raise WeightsError(f"Expected a mapping of names to tensors in {path}, but got {type(content).__name__}.")
    return tensors, {}, ()


def weights_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a weights file, hexadecimal, without its tensors.

    Raises:
        WeightsError: if there is no such file.
    """
    try:
        return file_digest([Path(path)])
    except OSError as error:
        raise _missing(path, error) from None


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, by name; hexadecimal. Their order does not count.

    >>> a, b = torch.zeros(2), torch.ones(2, dtype=torch.int64)
    >>> tensors_digest({"a": a, "b": b}) == tensors_digest({"b": b, "a": a}) != tensors_digest({"a": b, "b": a})
    True
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _missing(path: str | os.PathLike[str], error: OSError) -> WeightsError:
    return WeightsError(
        f"Expected a weights file at {path}, but got: {error.strerror}.{near_path(path)} Give its path in "
        "recipe.backbone.weights, or recipe.backbone.weights=none to start from random weights."
    )


def _mapping(text: str | None, key: str, path: Path) -> Mapping[str, Any] | None:
    """A JSON mapping of the metadata."""
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        raise WeightsError(
            f"Cannot read the {key} in {path} ({_first_line(error)}). Write the file anew: fer-weights, or the stage."
        ) from None
    if not isinstance(content, dict):
        raise WeightsError(
            f"Expected a mapping as the {key} in {path}, but got {text[:60]!r}. Write the file anew: fer-weights, or the stage."
        )
    return content


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
    given = without_prefix(tensors, own, source)
    loaded = check_fit(own, given, skip, source)
    check_finite({n: given[n] for n in loaded.taken}, source)
    network.load_state_dict({n: given[n] for n in loaded.taken}, strict=False)
    return loaded


def without_prefix(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Tensors under a network's names, their common prefix dropped.

    Raises:
        WeightsError: if a name stands there with and without the prefix.
    """
    prefix = strip_common_prefix(list(tensors), list(own))
    given = {name.removeprefix(prefix): t for name, t in tensors.items()}
    if len(given) < len(tensors):
        twice = [n for n in tensors if not n.startswith(prefix) and prefix + n in tensors]
        raise WeightsError(
            f"Expected each tensor of {source} once, but {twice[:3]} stand there with and without {prefix!r}."
        )
    return given


def save_weights(path: Path, network: nn.Module, metadata: Mapping[str, str]) -> str:
    """Write a network's state as safetensors under its own names, aside and renamed; returns the file's digest.

    Raises:
        OSError: if it cannot be written.
    """
    return save_tensors(path, network.state_dict(), metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Write tensors as safetensors, aside and renamed; returns the file's digest. Equal content gives equal bytes.

    Raises:
        OSError: if it cannot be written.
    """
    apart = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}  # safetensors takes no shared memory
    data = save_safetensors(apart, dict(metadata))
    with written_whole(path) as aside, aside.open("wb") as file:
        file.write(_sorted_header(data))
        file.write(memoryview(data)[_header(data)[1] :])
    return weights_digest(path)


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where it ends: eight bytes of length, then JSON."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), end


def _sorted_header(data: bytes) -> bytes:
    """The header with its metadata by name and its tensors by place: the library orders metadata at random."""
    header, _ = _header(data)
    metadata = dict(sorted(header.pop("__metadata__", {}).items()))
    tensors = dict(sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0])))
    text = json.dumps({"__metadata__": metadata, **tensors}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # what follows is aligned, as the format asks
    return len(text).to_bytes(8, "little") + text
