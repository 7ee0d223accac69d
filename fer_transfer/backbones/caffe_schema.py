"""The small part of Caffe's schema that weights need, declared with the protobuf library, and a guard before it.

Numbers and types of the fields are facts of Caffe's published ``caffe.proto`` (BVLC/caffe), ``raw_data`` of NVIDIA's fork,
which OpenCV's ``shrinkCaffeModel`` writes as well. Everything else of a layer (kernel sizes, fillers, ...) is left unread.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from fer_transfer.errors import WeightsError

#: The library's limit for one message; Caffe never writes more into a ``.caffemodel``.
LARGEST = 2**31 - 1

#: Names of the enum values of ``V1LayerParameter.LayerType`` that hold weights, as the newer ``type`` string has them.
V1_KINDS = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}

#: ``raw_data_type`` of NVIDIA's fork.
RAW_KINDS = {0: "double", 1: "float", 2: "half (fp16)", 3: "int", 4: "uint"}

# Message: field, number, type, repeated. Names are bytes, for a damaged one must not stop the reading of the others.
# "data" is declared as bytes though it is packed floats: on the wire both are a length and that many bytes, and so
# the 60 million values come out as one little-endian buffer instead of one Python number each.
_FIELDS: dict[str, list[tuple[str, int, str, bool]]] = {
    "BlobShape": [("dim", 1, "INT64", True)],
    "BlobProto": [
        ("num", 1, "INT64", False),
        ("channels", 2, "INT64", False),
        ("height", 3, "INT64", False),
        ("width", 4, "INT64", False),
        ("data", 5, "BYTES", True),
        ("shape", 7, "BlobShape", False),
        ("double_data", 8, "BYTES", True),
        ("raw_data_type", 10, "INT32", False),
        ("raw_data", 12, "BYTES", False),
    ],
    "LayerParameter": [("name", 1, "BYTES", False), ("type", 2, "BYTES", False), ("blobs", 7, "BlobProto", True)],
    "V1LayerParameter": [("name", 4, "BYTES", False), ("type", 5, "INT32", False), ("blobs", 6, "BlobProto", True)],
    "NetParameter": [
        ("name", 1, "BYTES", False),
        ("layers", 2, "V1LayerParameter", True),
        ("layer", 100, "LayerParameter", True),
    ],
}
_UNPACKED = {"data": "FLOAT", "double_data": "DOUBLE"}
_MOST_SHAPE_BYTES = 320  # Caffe's blobs have at most 32 axes, of at most 10 bytes each


@cache
def _classes(unpacked: bool) -> dict[str, Any]:
    """The message classes by name, in a pool of their own: an installed Caffe declares the same names in the default one."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in _FIELDS.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            field = declared.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            kind = _UNPACKED.get(name, kind) if unpacked else kind
            field.type = kinds.TYPE_MESSAGE if kind in _FIELDS else kinds.Type.Value(f"TYPE_{kind}")
            if kind in _FIELDS:
                field.type_name = f".caffe.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in _FIELDS}


def parse(data: bytes, message: str) -> Any:
    """Parse a message after looking through its outline, so that what is parsed cannot take much more memory than its bytes.

    Args:
        data: the file.
        message: ``NetParameter`` or ``BlobProto``.

    Returns:
        The message. ``data`` and ``double_data`` of its blobs are lists of bytes, or of numbers if the file has them
        unpacked, one tag a number, which the format allows and no Caffe writes.

    Raises:
        WeightsError: if the bytes are no such message; the caller names the file.
    """
    unpacked = _Outline(data).walk(message)
    try:
        return _classes(unpacked)[message].FromString(data)
    except DecodeError:
        raise WeightsError(f"its bytes are no {message} of Caffe") from None


def _wire_types(name: str, kind: str, repeated: bool) -> tuple[int, ...]:
    """How a field may stand on the wire: 0 a varint, 2 a length and bytes, 1 and 5 eight and four bytes."""
    if not kind:
        return (0, 1, 2, 5)
    if name in _UNPACKED:
        return (2, 1 if name == "double_data" else 5)
    if kind in ("INT32", "INT64"):
        return (0, 2) if repeated else (0,)
    return (2,)


class _Field(NamedTuple):
    number: int
    wire_type: int
    start: int
    end: int


class _Outline:
    """A walk over tags and lengths, without values, down to the blobs.

    The library would parse a file of empty messages, 3 bytes each, into thirty times its size, and says of damage no
    more than that there is some.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        # Real networks have over 64 bytes a field; small descriptions without weights are let through.
        self._left = min(10_000 + len(data) // 64, 100_000)

    def walk(self, message: str) -> bool:
        """Check all fields of the message and below; whether some numbers stand unpacked."""
        return self._message(message, 0, len(self._data))

    def _message(self, message: str, start: int, end: int) -> bool:
        known = {number: (name, kind, repeated) for name, number, kind, repeated in _FIELDS[message]}
        unpacked = False
        shapes = 0
        for field in self._fields(start, end):
            name, kind, repeated = known.get(field.number, ("", "", False))
            if field.wire_type not in _wire_types(name, kind, repeated):
                raise WeightsError(f"field {name} of a {message} at byte {field.start} has wire type {field.wire_type}")
            unpacked |= name in _UNPACKED and field.wire_type != 2
            shapes += kind == "BlobShape"
            if kind in _FIELDS:
                unpacked |= self._message(kind, field.start, field.end)
        if message == "BlobShape" and end - start > _MOST_SHAPE_BYTES:
            raise WeightsError(f"a shape of {end - start} bytes at byte {start}, where Caffe has at most 32 axes")
        if shapes > 1:
            raise WeightsError(f"a blob with {shapes} shapes at byte {start}")
        return unpacked

    def _fields(self, start: int, end: int) -> Iterator[_Field]:
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise WeightsError(f"it has more fields than a network of {len(self._data)} bytes can have")
            tag, at = self._varint(at, end)
            number, wire_type = tag >> 3, tag & 7
            if wire_type == 0:
                first, at = at, self._varint(at, end)[1]
            elif wire_type == 2:
                length, first = self._varint(at, end)
                at = first + length
            elif wire_type in (1, 5):
                first, at = at, at + (8 if wire_type == 1 else 4)
            else:
                raise WeightsError(f"wire type {wire_type} at byte {at}, which Caffe does not use")
            if at > end:
                raise WeightsError(
                    f"field {number} at byte {first} needs {at - first} bytes, but {end - first} are left"
                )
            if number == 0:
                raise WeightsError(f"field 0 at byte {first}, which no message has")
            if wire_type in (1, 5):
                at = self._skip_run(tag, at, end, at - first + 1)
            yield _Field(number, wire_type, first, at)

    def _skip_run(self, tag: int, at: int, end: int, step: int) -> int:
        """The end of a run of equal one-byte tags with fixed-size values: unpacked numbers count as one field."""
        records = 16
        while tag < 128:
            window = self._data[at : min(end, at + records * step)]
            tags = window[: len(window) // step * step : step]
            same = len(tags) - len(tags.lstrip(bytes([tag])))
            at += same * step
            if same < records:
                break
            records *= 2  # short looks first: a file of short runs must not be looked through again and again
        return at

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for position in range(at, min(at + 10, end)):
            byte = self._data[position]
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position + 1
            shift += 7
        raise WeightsError(f"a number at byte {at} " + ("is cut off" if end - at < 10 else "has more than 10 bytes"))
