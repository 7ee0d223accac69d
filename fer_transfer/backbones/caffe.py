"""Caffe's files of weights and mean images, read without Caffe: nothing in them is run.

A ``.caffemodel`` is read in both forms that Caffe writes, V1 (``layers``, kinds as numbers, until 2014) and V2 (``layer``),
with the shapes of old (num, channels, height, width) and new. Layers keep their names: ``conv1`` becomes ``conv1.weight``
and ``conv1.bias``. Weights stay as they were trained: input channels in BGR order.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_transfer.backbones.caffe_schema import LARGEST, RAW_KINDS, V1_KINDS, CaffeFile, Message
from fer_transfer.errors import WeightsError
from fer_transfer.files.archive import pretender

#: Layers whose blobs are a weight and a bias. Others' blobs are numbered: ``<layer>.0``, ``<layer>.1``, ...
WEIGHT_AND_BIAS = ("Convolution", "Deconvolution", "InnerProduct")

#: First bytes of files that are something else, and what that is.
_OTHERS = {
    b"\x89HDF": "an HDF5 file (Caffe's snapshot_format HDF5, not BINARYPROTO)",
    b"PK\x03\x04": "a zip archive, perhaps a PyTorch checkpoint",
    b"\x1f\x8b": "a gzip archive",
    b"\x80\x02": "a Python pickle, perhaps an old PyTorch checkpoint",
}
_CAFFEMODEL, _MEAN_IMAGE = "a .caffemodel", "a mean image (.binaryproto)"
_AXES = ("num", "channels", "height", "width")


@dataclass(frozen=True)
class CaffeLayer:
    """A layer that holds weights.

    Attributes:
        name: as in the file, slashes included.
        kind: Caffe's type, ``Convolution``, ``InnerProduct``, ...; ``type 18`` for a V1 number whose name is not needed.
        blobs: float32, in the shapes of the file, in memory of their own.
    """

    name: str
    kind: str
    blobs: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class CaffeModel:
    """The layers of a ``.caffemodel`` that hold weights, in the file's order.

    Attributes:
        name: the network's, as in the file; may be empty.
        layers: each name once.
        notes: what was changed on the way, one sentence each.
    """

    name: str
    layers: tuple[CaffeLayer, ...]
    notes: tuple[str, ...] = ()


def read_caffemodel(path: str | os.PathLike[str]) -> CaffeModel:
    """Read a ``.caffemodel``, V1 or V2; raises as ``caffe_bytes`` and ``parse_caffemodel``."""
    return parse_caffemodel(caffe_bytes(path), path)


def caffe_bytes(path: str | os.PathLike[str], expected: str = _CAFFEMODEL) -> bytes:
    """All of a file; nothing of one that is too large to be Caffe's.

    Raises:
        WeightsError: if there is no such file, or it is too large.
    """
    path = Path(path)
    try:
        if path.stat().st_size <= LARGEST:
            return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, expected, WeightsError(f"got: {error.strerror}", "Check the path.")) from None
    finding = WeightsError(f"it has {path.stat().st_size} bytes, and Caffe's files end at {LARGEST}")
    raise _unreadable(path, expected, finding)


def parse_caffemodel(data: bytes, path: str | os.PathLike[str]) -> CaffeModel:
    """The layers in the bytes of a ``.caffemodel``, V1 or V2.

    Args:
        data: all of the file.
        path: where it was, for messages.

    Raises:
        WeightsError: if the file is damaged, something else, without weights, has a layer twice, half precision
            numbers, or numbers that do not fill a blob's shape.
    """
    layers: dict[str, CaffeLayer] = {}
    doubles: list[str] = []
    try:
        file = _open(data)
        net = file.message("NetParameter")
        places = [("V1LayerParameter", place) for place in net.places.get("layers", ())]
        places += [("LayerParameter", place) for place in net.places.get("layer", ())]
        for form, place in places:
            layer = file.message(form, place)
            if "blobs" not in layer.places:
                continue
            name, kind = _text(layer.small.name), layer.small.type
            kind = V1_KINDS.get(kind, f"type {kind}") if isinstance(kind, int) else _text(kind)
            if name in layers:
                raise WeightsError(f"layer {name!r} stands there twice with weights; expected each once")
            found = [file.message("BlobProto", blob) for blob in layer.places["blobs"]]
            blobs = [_blob(file, blob, f"blob {i} of layer {name!r}") for i, blob in enumerate(found)]
            doubles += [name] if any(rounded for _, rounded in blobs) else []
            layers[name] = CaffeLayer(name, kind, tuple(blob for blob, _ in blobs))
        if not layers:
            raise WeightsError(
                f"none of its {len(places)} layers holds weights",
                "Give the file of weights, no mean image and no solver's state; a file from before 2014 is renewed by "
                "Caffe's upgrade_net_proto_binary.",
            )
    except WeightsError as error:
        raise _unreadable(path, _CAFFEMODEL, error) from None
    notes = (f"double precision numbers of {', '.join(doubles[:3])} rounded to single",) if doubles else ()
    return CaffeModel(_text(net.small.name), tuple(layers.values()), notes)


def read_mean(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a mean image, ``.binaryproto``.

    Returns:
        [3, height, width] in BGR order, in grey levels 0..255.

    Raises:
        WeightsError: if the file is missing, damaged, something else, or holds no picture of three channels in 0..255.
    """
    data = caffe_bytes(path, _MEAN_IMAGE)
    try:
        file = _open(data)
        mean, _ = _blob(file, file.message("BlobProto"), "the mean")
        if mean.ndim not in (3, 4) or mean.shape[-3] != 3 or mean.size != 3 * mean.shape[-1] * mean.shape[-2]:
            raise WeightsError(f"expected one picture of 3 channels, (1, 3, height, width), but got shape {mean.shape}")
        if not (mean.min() >= 0 and mean.max() <= 255):  # also where a value is no number
            raise WeightsError(f"expected grey levels in 0..255, but got {mean.min():g} to {mean.max():g}")
    except WeightsError as error:
        raise _unreadable(path, _MEAN_IMAGE, error) from None
    return mean.reshape(mean.shape[-3:])


def caffe_tensors(model: CaffeModel) -> dict[str, Tensor]:
    """The tensors of a model under names as PyTorch has them, in PyTorch's shapes.

    Convolutions and inner products give ``<layer>.weight`` and, where there is one, ``<layer>.bias``; shapes of old lose
    their leading ones: (1, 1, outputs, inputs) becomes (outputs, inputs), (1, 1, 1, outputs) becomes (outputs). Other
    layers (BatchNorm, Scale, PReLU, ...) give ``<layer>.0``, ``<layer>.1``, ... as they are.

    Returns:
        Name to float32; they share the model's memory.
    """
    tensors: dict[str, Tensor] = {}
    for layer in model.layers:
        plain = layer.kind in WEIGHT_AND_BIAS and len(layer.blobs) <= 2
        for i, blob in enumerate(layer.blobs):
            if plain and i == 1:
                blob = blob.reshape(-1) if blob.size == max(blob.shape, default=1) else blob
            elif plain and layer.kind == "InnerProduct" and blob.ndim == 4 and blob.shape[:2] == (1, 1):
                blob = blob.reshape(blob.shape[2:])
            tensors[f"{layer.name}.{('weight', 'bias')[i] if plain else i}"] = torch.from_numpy(blob)
    return tensors


def _open(data: bytes) -> CaffeFile:
    """A file's bytes, if they can be Caffe's."""
    if other := _other(data[:512]):
        raise WeightsError(f"it is {other}", "Give the file that Caffe wrote.")
    return CaffeFile(data)


def _unreadable(path: str | os.PathLike[str], expected: str, error: WeightsError) -> WeightsError:
    """The whole message from a finding and, where the error has a second argument, advice that fits it."""
    finding, advice = (*error.args, "The file is damaged or another kind: get it anew, or give the right one.")[:2]
    return WeightsError(f"Expected {expected} in {path}, but {finding}. {advice}")


def _other(head: bytes) -> str | None:
    """What the first bytes show a file to be that is none of Caffe's binary ones."""
    for start, what in _OTHERS.items():
        if head.startswith(start):
            return what
    if head[8:10] == b'{"':  # after the header's length
        return "a .safetensors file, which fer-train takes as it is (recipe.backbone.weights)"
    if what_instead := pretender(head):
        return what_instead
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return "text (a .prototxt describes a network; its weights are in the .caffemodel beside it)"
    return None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _shape(blob: Any, where: str) -> tuple[int, ...]:
    """The shape as the file gives it, new or old; all sizes positive."""
    if any(blob.HasField(axis) for axis in _AXES):
        shape = tuple(int(getattr(blob, axis)) for axis in _AXES)
    elif blob.HasField("shape"):
        shape = tuple(int(size) for size in blob.shape.dim)
    else:
        raise WeightsError(f"{where} has no shape")
    if len(shape) > 32 or min(shape, default=1) < 1:
        raise WeightsError(f"{where} has the shape {shape}; expected at most 32 sizes of at least 1")
    return shape


def _blob(file: CaffeFile, blob: Message, where: str) -> tuple[NDArray[np.float32], bool]:
    """A blob's numbers in its shape, and whether they were double. Nothing is allocated by what the shape says."""
    shape = _shape(blob.small, where)
    raw = blob.small.raw_data_type
    if "raw_data" in blob.places and raw not in (0, 1):
        raise WeightsError(
            f"{where} {shape} holds {RAW_KINDS.get(raw, f'type {raw}')} numbers, not single precision ones",
            "Give the float32 file that it was made of.",
        )
    kinds = {"data": "<f4", "double_data": "<f8", "raw_data": "<f4" if raw else "<f8"}
    held: dict[str, list[NDArray[Any]]] = {}
    for field, kind in kinds.items():
        pieces = [file.numbers(place, np.dtype(kind)) for place in blob.places.get(field, ())]
        if any(piece.size for piece in pieces):
            held[field] = pieces
    counts = [sum(piece.size for piece in pieces) for pieces in held.values()]
    if counts != [math.prod(shape)]:
        found = " and ".join(map(str, counts)) or "no"
        raise WeightsError(f"{where} has the shape {shape}, {math.prod(shape)} numbers, but holds {found} numbers")
    [(field, pieces)] = held.items()
    double = kinds[field] == "<f8"
    values = np.empty(counts[0], np.float32)
    with np.errstate(over="ignore"):
        np.concatenate(pieces, out=values, casting="same_kind")
    if double and np.isinf(values).sum() > sum(int(np.isinf(piece).sum()) for piece in pieces):
        raise WeightsError(f"{where} holds double precision numbers beyond what single precision can hold")
    return values.reshape(shape), double
