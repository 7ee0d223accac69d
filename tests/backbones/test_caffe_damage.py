"""Damaged and hostile Caffe files: a WeightsError or what the protobuf library itself reads, soon and in little memory."""

import os
import random
import subprocess
import sys
import time

import caffe_files as write
import numpy as np
import pytest
from caffe_files import V1, V2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_transfer.backbones.caffe import caffe_tensors, read_caffemodel, read_mean
from fer_transfer.errors import WeightsError

FILES = 10_000
_UNPACKED = write.net(write.layer(V2, "a", "InnerProduct", write.unpacked(np.ones((2, 3)))))
BASES = [write.tiny(V1)[0], write.tiny(V2)[0], _UNPACKED, write.mean_image()[0]]


def cut(data, choose):
    return data[: choose.randrange(len(data))]


def flip(data, choose):
    damaged = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        damaged[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(damaged)


def overwrite(data, choose):
    at = choose.randrange(len(data))
    piece = choose.randbytes(choose.randint(1, 8))
    return data[:at] + piece + data[at + len(piece) :]


def splice(data, choose):
    """A piece of this or another file is put in, over another piece."""
    other = choose.choice(BASES)
    (start, end), (first, last) = (sorted(choose.randrange(len(d)) for _ in "ab") for d in (data, other))
    return data[:start] + other[first:last] + data[end:]


def grow(data, choose):
    """A number grows: a byte becomes the long way to write a larger one."""
    at = choose.randrange(len(data))
    return data[:at] + write.varint(choose.getrandbits(choose.choice((14, 31, 32, 63, 64)))) + data[at + 1 :]


DAMAGES = [cut, flip, overwrite, splice, grow]


def true_classes():
    """Caffe's own schema, as far as it goes here, for the library alone."""
    declared = {
        "Shape": {"dim": (1, "INT64")},
        "Blob": {"data": (5, "FLOAT"), "shape": (7, "Shape"), "double_data": (8, "DOUBLE")},
        "Layer": {"blobs": (7, "Blob")},
        "V1Layer": {"blobs": (6, "Blob")},
        "Net": {"layers": (2, "V1Layer"), "layer": (100, "Layer")},
    }
    file = descriptor_pb2.FileDescriptorProto(name="true.proto", package="true", syntax="proto2")
    for message, fields in declared.items():
        added = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = added.field.add(name=name, number=number, label=3)  # repeated
            field.type = 11 if kind in declared else getattr(field, f"TYPE_{kind}")
            if kind in declared:
                field.type_name = f".true.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("true.Net"))


Net = true_classes()


def by_protobuf(data):
    """The numbers of all blobs as the library reads them with Caffe's true types, one Python number each."""
    net = Net.FromString(data)
    return [[[*(b.data or b.double_data)] for b in layer.blobs] for layer in (*net.layers, *net.layer) if layer.blobs]


def check(path, data):
    """Read as a model and as a mean image; whether either could be read."""
    path.write_bytes(data)
    good = 0
    start = time.process_time()
    try:
        model = read_caffemodel(path)
        good += 1
        assert all(tensor.numel() for tensor in caffe_tensors(model).values())
        expected = by_protobuf(data)
        for layer, blobs in zip(model.layers, expected, strict=True):
            for blob, values in zip(layer.blobs, blobs, strict=True):
                if values:  # not of a fork's own field
                    np.testing.assert_array_equal(blob.ravel(), np.array(values, np.float32))
    except WeightsError as error:
        assert str(path) in str(error) and len(str(error)) < 1000
    try:
        assert read_mean(path).shape[0] == 3
        good += 1
    except WeightsError as error:
        assert str(path) in str(error) and len(str(error)) < 1000
    assert time.process_time() - start < 1
    return good


@pytest.mark.filterwarnings("error")
def test_thousands_of_damaged_files(tmp_path):
    choose = random.Random(0)
    good = 0
    for number in range(FILES):
        data = BASES[number % len(BASES)]
        for _ in range(choose.choice((1, 1, 1, 2, 3))):
            data = choose.choice(DAMAGES)(data, choose) or b"\0"
        # A new file each time: emptying one is ten times slower than all else here.
        good += check(tmp_path / f"{number}.caffemodel", data)
    assert FILES // 10 < good < FILES * 9 // 10  # the damage is neither all fatal nor all harmless


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.tuples(st.sampled_from(BASES), st.integers(0, 600), st.binary(max_size=12)))
def test_any_bytes(tmp_path, data):
    if isinstance(data, tuple):
        base, at, piece = data
        data = base[:at] + piece + base[at + len(piece) :]
    check(tmp_path / "x.caffemodel", data)


MEGABYTES = 8
COUNT = MEGABYTES * 2**20


def hostile() -> dict[str, bytes]:
    return {
        "empty layers": b"\xa2\x06\x00" * (COUNT // 3),
        "empty layers of old": b"\x12\x00" * (COUNT // 2),
        "empty blobs": write.layer(V2, "a", "Convolution", *[b""] * (COUNT // 2)),
        "empty pieces": write.net(write.layer(V2, "a", "Convolution", write.shape((1,)) + b"\x2a\x00" * (COUNT // 2))),
        "many sizes": write.net(write.layer(V2, "a", "Convolution", write.shape([1] * COUNT))),
        "many shapes": write.net(write.layer(V2, "a", "Convolution", b"\x3a\x02\x08\x01" * (COUNT // 4))),
        "short runs": write.net(write.layer(V2, "a", "Convolution", (b"\x2d\0\0\0\0" * 9 + b"\x10\0") * (COUNT // 47))),
        "unknown fields": b"\x28\x01" * (COUNT // 2),
        "a huge size": write.net(
            write.layer(V2, "a", "Convolution", write.shape((2**40,)) + write.field(5, bytes(COUNT)))
        ),
        "nested": write.field(100, write.field(7, write.field(7, write.field(1, bytes(COUNT))))),
        "cut": write.net(write.layer(V2, "a", "Convolution", write.shape((COUNT,)) + write.field(5, bytes(COUNT * 4))))[
            :COUNT
        ],
        "unpacked": write.net(
            write.layer(V2, "a", "Convolution", write.shape((COUNT,)) + b"\x2d\0\0\0\0" * (COUNT // 5))
        ),
        "zeros": bytes(COUNT),
    }


MEASURE = """
import sys, time, pathlib
from fer_transfer.backbones.caffe import read_caffemodel, read_mean
from fer_transfer.errors import WeightsError

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

small = pathlib.Path(sys.argv[1])
small.write_bytes(b"\\n\\x00")
for path in [small, *map(pathlib.Path, sys.argv[2:])]:
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before, start = peak(), time.process_time()
    for read in (read_caffemodel, read_mean):
        try:
            read(path)
        except WeightsError:
            continue
        print("read", path)
    if path != small:
        print(path.name, round((peak() - before) / path.stat().st_size, 2), round(time.process_time() - start, 2))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc to measure the peak of memory")
def test_hostile_files_take_little_time_and_memory(tmp_path):
    files_of = hostile()
    for number, data in enumerate(files_of.values()):
        (tmp_path / str(number)).write_bytes(data)
    files = [str(tmp_path / str(number)) for number in range(len(files_of))]
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "small"), *files]
    # What is freed goes back to the system at once, so that each file's peak is its own.
    freed = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=freed)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == len(files_of)
    for kind, (_, times_the_file, seconds) in zip(files_of, rows, strict=True):
        assert float(times_the_file) <= 4 and float(seconds) < 2, (kind, times_the_file, seconds)  # read twice
