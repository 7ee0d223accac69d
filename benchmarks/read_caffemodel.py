"""What reading a .caffemodel of AlexNet's size costs, against a plain read of the file and one copy of it, in one run.

::

    python benchmarks/read_caffemodel.py            # files of both forms, 244 MB each, are written first
    python benchmarks/read_caffemodel.py --check    # exit with 1 if a bound is missed
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_transfer.backbones.caffe import caffe_tensors, read_caffemodel

TIME_BOUND, MEMORY_BOUND = 3.0, 2.5
SHAPES = {
    "conv1": (96, 3, 11, 11),
    "conv2": (256, 48, 5, 5),
    "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3),
    "fc6": (4096, 9216),
    "fc7": (4096, 4096),
    "fc8": (1000, 4096),
}


def varint(value: int) -> bytes:
    return (bytes([value & 127 | 128]) + varint(value >> 7)) if value > 127 else bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def write_model(path: Path, form: str) -> None:
    """Random weights in V1, with shapes of old, or in V2."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(field(1, b"AlexNet"))
        for name, size in SHAPES.items():
            blobs = b""
            for sizes in (size, size[:1]):
                old = b"".join(field(i + 1, n) for i, n in enumerate((1,) * (4 - len(sizes)) + sizes))
                shape = old if form == "V1" else field(7, field(1, b"".join(map(varint, sizes))))
                values = random.standard_normal(sizes, np.float32).tobytes()
                blobs += field(6 if form == "V1" else 7, shape + field(5, values))
            kind = "Convolution" if len(size) == 4 else "InnerProduct"
            if form == "V1":
                file.write(field(2, field(4, name.encode()) + field(5, 4 if len(size) == 4 else 14) + blobs))
            else:
                file.write(field(100, field(1, name.encode()) + field(2, kind.encode()) + blobs))


def read_and_copy(path: Path) -> bytearray:
    """The yardstick: the file's bytes, and once more."""
    return bytearray(path.read_bytes())


READERS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "plain read and copy": read_and_copy,
    "read_caffemodel": read_caffemodel,
    "as tensors": lambda path: caffe_tensors(read_caffemodel(path)),
}


def peak_of(reader: str, path: Path) -> float:
    """Peak resident memory in MB of a fresh process that reads once."""
    done = subprocess.run(
        [sys.executable, __file__, "--once", reader, str(path)], capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1024 / 1e6


def seconds_of(reader: str, path: Path) -> float:
    start = time.perf_counter()
    kept = READERS[reader](path)
    elapsed = time.perf_counter() - start
    del kept
    return elapsed


def compare(path: Path, form: str, rounds: int) -> bool:
    """Print times and peaks for one file; whether they keep within the bounds."""
    size = path.stat().st_size / 1e6
    times: dict[str, list[float]] = {reader: [] for reader in READERS}
    for _ in range(rounds):
        for reader in READERS:
            times[reader].append(seconds_of(reader, path))
    idle = peak_of("nothing", path)
    good = True
    print(f"{form}, {size:.0f} MB; best of {rounds} rounds; peak above an idle process's {idle:.0f} MB")
    for reader in list(READERS)[1:]:
        ratio = min(times[reader]) / min(times["plain read and copy"])
        memory = (peak_of(reader, path) - idle) / size
        print(f"  {reader:<20} {min(times[reader]):6.3f} s  {ratio:5.2f} x  peak {memory:5.2f} x the file", flush=True)
        good &= ratio <= TIME_BOUND and memory <= MEMORY_BOUND
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("--once", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        kept = READERS[options.once[0]](Path(options.once[1]))
        # Not ru_maxrss, which a process inherits from the one that started it.
        status = Path("/proc/self/status").read_text().splitlines()
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
        del kept
        return
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for form in ("V1", "V2"):
            path = Path(folder) / f"{form}.caffemodel"
            write_model(path, form)
            good &= compare(path, form, options.rounds)
            path.unlink()
    print(f"bounds: time {TIME_BOUND} x, memory {MEMORY_BOUND} x: {'kept' if good else 'missed'}")
    if options.check and not good:
        sys.exit(1)


if __name__ == "__main__":
    main()
