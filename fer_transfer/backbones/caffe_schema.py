"""The small part of Caffe's schema that weights need, declared with the protobuf library, over a walk that leaves the numbers.

The library reads names, kinds and shapes. The numbers, 99.9 % of a file, it would copy twice; a walk over tags and lengths
finds where they lie instead, and bounds what a hostile file can ask for: the library parses a file of empty messages into
thirty times its size, and says of damage no more than that there is some.

Numbers and types of the fields are facts of Caffe's published ``caffe.proto`` (BVLC/caffe), ``raw_data`` of NVIDIA's fork,
which OpenCV's ``shrinkCaffeModel`` writes as well. Everything else of a layer (kernel sizes, fillers, ...) is left unread.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fer_transfer.errors import WeightsError

#: The protobuf format's limit for one message; Caffe never writes more into a ``.caffemodel``.
LARGEST = 2**31 - 1

#: Names of the enum values of ``V1LayerParameter.LayerType`` that hold weights, as the newer ``type`` string has them.
V1_KINDS = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}

#: ``raw_data_type`` of NVIDIA's fork.
RAW_KINDS = {0: "double", 1: "float", 2: "half (fp16)", 3: "int", 4: "uint"}

# Message: number of a field, name, type, repeated. Names are bytes, for a damaged one must not stop the reading.
_FIELDS: dict[str, dict[int, tuple[str, str, bool]]] = {
    "BlobShape": {1: ("dim", "INT64", True)},
    "BlobProto": {
        1: ("num", "INT64", False),
        2: ("channels", "INT64", False),
        3: ("height", "INT64", False),
        4: ("width", "INT64", False),
        5: ("data", "FLOAT", True),
        7: ("shape", "BlobShape", False),
        8: ("double_data", "DOUBLE", True),
        10: ("raw_data_type", "INT32", False),
        12: ("raw_data", "BYTES", False),
    },
    "LayerParameter": {1: ("name", "BYTES", False), 2: ("type", "BYTES", False), 7: ("blobs", "BlobProto", True)},
    "V1LayerParameter": {4: ("name", "BYTES", False), 5: ("type", "INT32", False), 6: ("blobs", "BlobProto", True)},
    "NetParameter": {
        1: ("name", "BYTES", False),
        2: ("layers", "V1LayerParameter", True),
        100: ("layer", "LayerParameter", True),
    },
}
_LEFT = ("layers", "layer", "blobs", "data", "double_data", "raw_data")  # to be looked at in their places
_WIRE_TYPES = {"INT32": (0,), "INT64": (0,), "FLOAT": (2, 5), "DOUBLE": (2, 1)}  # all else is a length and bytes, 2
_MOST_BYTES = 512  # of a name or a shape; Caffe's blobs have at most 32 axes


@cache
def _classes() -> dict[str, Any]:
    """The message classes by name, in a pool of their own: an installed Caffe declares the same names in the default one."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in _FIELDS.items():
        declared = file.message_type.add(name=message)
        for number, (name, kind, repeated) in fields.items():
            field = declared.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            field.type = kinds.TYPE_MESSAGE if kind in _FIELDS else kinds.Type.Value(f"TYPE_{kind}")
            if kind in _FIELDS:
                field.type_name = f".caffe.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in _FIELDS}


class Place(NamedTuple):
    """Where a field lies: tag from ``tag`` on, content from ``start`` to ``end``, with how many bytes a number or 0."""

    tag: int
    start: int
    end: int
    wire_type: int
    number: int


@dataclass(frozen=True)
class Message:
    """A message of the file.

    Attributes:
        small: the library's message of its short fields.
        places: those of the other fields, by name, in the file's order.
    """

    small: Any
    places: dict[str, list[Place]]


class CaffeFile:
    """Bytes of a file of Caffe's, looked at in place.

    Args:
        data: the whole file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        # Real networks have over 64 bytes a field; small descriptions without weights are let through.
        self._left = min(10_000 + len(data) // 64, 100_000)

    def message(self, kind: str, place: Place | None = None) -> Message:
        """The message of a kind (``NetParameter``, ``BlobProto``, ...) that fills a place, by default the file.

        Raises:
            WeightsError: if the bytes there are no such message; the caller names the file.
        """
        start, end = (place.start, place.end) if place else (0, len(self._data))
        short: list[bytes] = []
        places: dict[str, list[Place]] = {}
        shapes = 0
        for field in self._fields(start, end):
            if field.number not in _FIELDS[kind]:
                continue
            name, type_, _ = _FIELDS[kind][field.number]
            if field.wire_type not in _WIRE_TYPES.get(type_, (2,)):
                raise WeightsError(f"field {name} of a {kind} at byte {field.tag} has wire type {field.wire_type}")
            if name in _LEFT:
                places.setdefault(name, []).append(field)
                continue
            if field.end - field.start > _MOST_BYTES:
                raise WeightsError(f"field {name} of a {kind} at byte {field.tag} has {field.end - field.start} bytes")
            shapes += name == "shape"
            short.append(self._data[field.tag : field.end])
        if shapes > 1:
            raise WeightsError(f"a blob at byte {start} has {shapes} shapes")
        try:
            return Message(_classes()[kind].FromString(b"".join(short)), places)
        except DecodeError:
            raise WeightsError(f"its bytes from {start} to {end} are no {kind} of Caffe") from None

    def numbers(self, place: Place, dtype: "np.dtype[Any]") -> NDArray[Any]:
        """The numbers of a field, a view of the file's bytes, perhaps unaligned.

        Raises:
            WeightsError: if the bytes are no whole count of numbers.
        """
        size = place.end - place.start
        if place.wire_type != 2 and size > dtype.itemsize:  # one tag, one number, which no Caffe writes
            records = np.frombuffer(self._data, np.uint8, size + 1, place.start - 1).reshape(-1, dtype.itemsize + 1)
            return np.ascontiguousarray(records[:, 1:]).view(dtype).ravel()
        if size % dtype.itemsize:
            raise WeightsError(
                f"{size} bytes of numbers at byte {place.start} are no whole count of {dtype.itemsize} bytes"
            )
        return np.frombuffer(self._data, dtype, size // dtype.itemsize, place.start)

    def _fields(self, start: int, end: int) -> Iterator[Place]:
        """All fields of a message; a run of numbers with a tag each as one."""
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise WeightsError(f"it has more fields than a network of {len(self._data)} bytes can have")
            first = at
            tag, at = self._varint(at, end)
            number, wire_type, content = tag >> 3, tag & 7, at
            if wire_type == 0:
                at = self._varint(at, end)[1]
            elif wire_type == 2:
                length, content = self._varint(at, end)
                at = content + length
            elif wire_type in (1, 5):
                at += 8 if wire_type == 1 else 4
            else:
                raise WeightsError(f"wire type {wire_type} at byte {first}, which Caffe does not use")
            if at > end:
                raise WeightsError(
                    f"field {number} at byte {first} needs {at - content} bytes, but {end - content} are left"
                )
            if not 0 < number < 2**29:
                raise WeightsError(f"field {number} at byte {first}, which no message has")
            if wire_type in (1, 5) and content == first + 1:
                at = self._end_of_run(tag, at, end, at - first)
            yield Place(first, content, at, wire_type, number)

    def _end_of_run(self, tag: int, at: int, end: int, step: int) -> int:
        """Where fields of the same one-byte tag and size end."""
        records = 16
        while True:
            window = self._data[at : min(end, at + records * step)]
            tags = window[: len(window) // step * step : step]
            same = len(tags) - len(tags.lstrip(bytes([tag])))
            at += same * step
            if same < records:
                return at
            records *= 2  # short looks first: a file of short runs must not be looked through again and again

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for position in range(at, min(at + 10, end)):
            byte = self._data[position]
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position + 1
            shift += 7
        raise WeightsError(f"a number at byte {at} " + ("is cut off" if end - at < 10 else "has more than 10 bytes"))
