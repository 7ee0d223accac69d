"""How much faster fer2013.csv is read than by splitting and converting its rows in Python, in one run.

::

    python benchmarks/read_csv.py fer2013.csv    # the real file
    python benchmarks/read_csv.py                # 4000 generated rows
"""

import argparse
import csv
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.files.archive import open_file
from fer_transfer.releases.pixel_csv import read_pixel_rows

Pixels = NDArray[np.uint8]


def read_fast(path: Path) -> Pixels:
    with open_file(path) as member:
        return read_pixel_rows(member, lambda done, total: None).pixels.reshape(-1, 2304)


def read_rows(path: Path, convert: Callable[[str], Pixels]) -> Pixels:
    with path.open(newline="") as file:
        return np.stack([convert(row["pixels"]) for row in csv.DictReader(file)])


def by_numpy(field: str) -> Pixels:
    return np.array(field.split(), np.uint8)


def by_int(field: str) -> Pixels:
    return np.array([int(value) for value in field.split()], np.uint8)


def generate(path: Path, rows: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 2304), np.uint8)
    lines = (f"{i % 7},{' '.join(map(str, face.tolist()))},Training" for i, face in enumerate(pixels))
    path.write_text("\n".join(["emotion,pixels,Usage", *lines, ""]))


def measure(title: str, read: Callable[[], Pixels], repeats: int) -> tuple[Pixels, float]:
    """The pixels and the shortest of some times, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        pixels = read()
        times.append(time.perf_counter() - start)
    print(f"{title:<40} {min(times):6.2f} s  {len(pixels) / min(times):9,.0f} rows/s", flush=True)
    return pixels, min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", nargs="?", type=Path, help="a csv with the column pixels; generated if left out")
    parser.add_argument("--rows", type=int, default=4000, help="rows to generate (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="the best of so many (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.csv or Path(folder) / "fer2013.csv"
        if options.csv is None:
            generate(path, options.rows)
        fast, seconds = measure("fer_transfer", partial(read_fast, path), options.repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        for title, convert in (("np.array(row.split(), uint8)", by_numpy), ("[int(v) for v in row.split()]", by_int)):
            plain, slow = measure(title, partial(read_rows, path, convert), options.repeats)
            assert np.array_equal(fast, plain), "the readers disagree"
            print(f"{'':<40} {slow / seconds:6.2f} times the time of fer_transfer")
    print(f"peak resident memory after the fast reader: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
