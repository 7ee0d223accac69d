"""Caffe's files written byte by byte, apart from the protobuf library and the schema that reads them."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np

V2 = {"net": 100, "name": 1, "type": 2, "blobs": 7, "Convolution": b"Convolution", "InnerProduct": b"InnerProduct"}
V1 = {"net": 2, "name": 4, "type": 5, "blobs": 6, "Convolution": 4, "InnerProduct": 14}


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def shape(sizes: Sequence[int]) -> bytes:
    coded = {size: varint(size) for size in set(sizes)}  # hostile files repeat one of them millions of times
    return field(7, field(1, b"".join(coded[size] for size in sizes)))


def shape_of_old(sizes: Sequence[int]) -> bytes:
    return b"".join(field(axis + 1, size) for axis, size in enumerate([1] * (4 - len(sizes)) + list(sizes)))


def blob(values: np.ndarray, old: bool = False) -> bytes:
    return (shape_of_old if old else shape)(values.shape) + field(5, values.astype("<f4").tobytes())


def unpacked(values: np.ndarray, number: int = 5) -> bytes:
    kind, tag = ("<f", number << 3 | 5) if number == 5 else ("<d", number << 3 | 1)
    numbers = (varint(tag) + struct.pack(kind, value) for value in values.ravel())
    return shape(values.shape) + b"".join(numbers)


def layer(form: dict, name: str, kind: str | bytes | int, *blobs: bytes) -> bytes:
    content = field(form["name"], name.encode()) + field(form["type"], form.get(kind, kind))
    coded = {blob: field(form["blobs"], blob) for blob in set(blobs)}
    return field(form["net"], content + b"".join(coded[blob] for blob in blobs))


def net(*layers: bytes, name: str = "tiny") -> bytes:
    return field(1, name.encode()) + b"".join(layers)


def tiny(form: dict, seed: int = 0) -> tuple[bytes, dict[str, np.ndarray]]:
    """A file of two layers, and what it must be read as."""
    random = np.random.default_rng(seed)
    draw = {"conv1.weight": (2, 3, 2, 2), "conv1.bias": (2,), "fc/8.weight": (3, 8), "fc/8.bias": (3,)}
    tensors = {name: random.normal(size=size).astype(np.float32) for name, size in draw.items()}
    old = form is V1
    pieces = [blob(values, old) for values in tensors.values()]
    data = layer(form, "data", b"Data" if form is V2 else 5)
    return net(
        data, layer(form, "conv1", "Convolution", *pieces[:2]), layer(form, "fc/8", "InnerProduct", *pieces[2:])
    ), tensors


def mean_image(height: int = 3, width: int = 4, channels: int = 3) -> tuple[bytes, np.ndarray]:
    values = np.random.default_rng(1).uniform(90, 130, (channels, height, width)).astype(np.float32)
    return blob(values, old=True), values


def of_network(tensors: Mapping[str, np.ndarray]) -> bytes:
    """A file of the V2 form with a network's weights, by names as conv1.weight and conv1.bias."""
    names = dict.fromkeys(name.split(".")[0] for name in tensors)
    kinds = {name: "Convolution" if name.startswith("conv") else "InnerProduct" for name in names}
    blobs = {name: (blob(tensors[f"{name}.weight"]), blob(tensors[f"{name}.bias"])) for name in names}
    return net(*(layer(V2, name, kinds[name], *blobs[name]) for name in names))
