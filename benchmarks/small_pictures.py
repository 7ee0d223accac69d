"""Preparing small pictures that are faces already, as AffectNet and RAF-DB give them, against decoding them alone.

Drawn faces as .jpg in class folders. Decoding alone: as many processes as there are cores read every file and decode it with what
``fer-prepare`` decodes with (``files.picture``), a few hundred at a time, and keep nothing. Preparing: the whole of ``fer-prepare
release=frames``, from the scan to the digest, less the start of Python. Bound: preparing takes at most 1.3 times as long.

::

    python benchmarks/small_pictures.py --check
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from fer_transfer.config import build, plain
from fer_transfer.detection.reader import available_processes
from fer_transfer.faces.prepare import prepare
from fer_transfer.files.picture import decode
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.settings import compose
from fer_transfer.synthetic.camera import draw_photograph

BOUND = 1.3


def write(folder: Path, count: int, side: int) -> list[str]:
    """Pictures, of which a hundred are drawn and all differ by noise."""
    draw = np.random.default_rng(0)
    drawn = [draw_photograph(draw, i % 7, side)[0] for i in range(100)]
    names = []
    for i in range(count):
        path = folder / "Train" / EXPRESSIONS[i % 7] / f"{i:07}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noisy = cv2.add(drawn[i % 100], draw.integers(0, 8, (side, side), np.uint8))
        cv2.imwrite(str(path), cv2.cvtColor(noisy, cv2.COLOR_GRAY2BGR))
        names.append(str(path))
    return names


def decoded(names: list[str]) -> float:
    """Processor seconds of decoding them."""
    cv2.setNumThreads(1)
    start = time.process_time()
    for name in names:
        decode(Path(name).read_bytes())
    return time.process_time() - start


def decoding_alone(names: list[str]) -> tuple[float, float]:
    """Seconds, and seconds of the processor."""
    parts = [names[start : start + 250] for start in range(0, len(names), 250)]
    with multiprocessing.get_context("spawn").Pool(available_processes()) as pool:
        pool.map(decoded, [names[:50]] * available_processes() * 2, 1)  # libraries are loaded
        start = time.perf_counter()
        busy = sum(pool.map(decoded, parts, 1))
        return time.perf_counter() - start, busy


def preparing(folder: Path, out: Path, side: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor with the start of the processes that read."""
    words = [
        "release=frames",
        f"release.path={folder}",
        f"release.aligned_size=[{side},{side}]",
        f"pipeline.crop.size={side}",
    ]
    release = build("release", plain(compose("prepare", words))["release"])
    start, busy = time.perf_counter(), sum(os.times()[:4])
    with contextlib.redirect_stdout(io.StringIO()):
        prepare(release, out, Console(file=io.StringIO()))
    return time.perf_counter() - start, sum(os.times()[:4]) - busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="pictures (default: %(default)s)")
    parser.add_argument("--side", type=int, default=100, help="in pixels (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        names = write(Path(name) / "release", options.count, options.side)
        kilobytes = sum(os.path.getsize(path) for path in names) / len(names) / 1e3
        alone, alone_busy = decoding_alone(names)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        whole, whole_busy = preparing(Path(name) / "release", Path(name) / "faces", options.side)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    print(f"{options.count} pictures of {options.side} px, {kilobytes:.1f} kB each, {available_processes()} processes")
    print(f"decoding alone {alone:.1f} s; preparing {whole:.1f} s, {more:.0f} MB more at the peak")
    print(f"of the processor {alone_busy:.1f} s and {whole_busy:.1f} s, {whole_busy / alone_busy:.2f} times as much")
    print(f"preparing over decoding: {whole / alone:.2f} (bound {BOUND})")
    if options.check and whole / alone > BOUND:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
