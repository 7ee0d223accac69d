"""Preparing small pictures that are faces already, as AffectNet and RAF-DB give them, against decoding them alone.

Drawn faces as .jpg in class folders. Decoding alone: as many processes as there are cores read every file and decode it with what
``fer-prepare`` decodes with (``files.picture``), a few hundred at a time, and keep nothing. Preparing: the whole of ``fer-prepare
release=frames``, from the scan to the digest, less the start of Python. Bound: preparing takes at most 1.3 times as long.

What bounds it is measured too: a loop that decodes, makes grey, cuts, stretches, and writes the faces and their SHA-256, and does
nothing else. Memory is that of this process and of the largest that reads, at their peaks while they prepare.

::

    python benchmarks/small_pictures.py --check
    python benchmarks/small_pictures.py --count 10000 --pictures /tmp/pictures   # drawn once, kept
"""

import argparse
import contextlib
import hashlib
import io
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from fer_transfer.config import build, plain
from fer_transfer.detection.crop import BoxCrop, central_square
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
        names.append(str(path))
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        noisy = cv2.add(drawn[i % 100], draw.integers(0, 8, (side, side), np.uint8))
        cv2.imwrite(str(path), cv2.cvtColor(noisy, cv2.COLOR_GRAY2BGR))
    return names


def decoded(names: list[str]) -> float:
    """Processor seconds of decoding them."""
    cv2.setNumThreads(1)
    start = time.process_time()
    for name in names:
        decode(Path(name).read_bytes())
    return time.process_time() - start


def least(names: list[str]) -> float:
    """Processor seconds of the least that makes faces of them."""
    cv2.setNumThreads(1)
    start = time.process_time()
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        for name in names:
            grey = cv2.cvtColor(decode(Path(name).read_bytes()), cv2.COLOR_BGR2GRAY)
            face = BoxCrop(grey.shape[0]).cut(grey, central_square(grey))
            digest.update(face.data)
            file.write(face.data)
    return time.process_time() - start


def alone(work: Callable[[list[str]], float], names: list[str]) -> tuple[float, float]:
    """Seconds over all cores, and seconds of the processor."""
    parts = [names[start : start + 250] for start in range(0, len(names), 250)]
    with multiprocessing.get_context("spawn").Pool(available_processes()) as pool:
        pool.map(work, [names[:50]] * available_processes() * 2, 1)  # libraries are loaded
        start = time.perf_counter()
        busy = sum(pool.map(work, parts, 1))
        return time.perf_counter() - start, busy


class Memory:
    """MB of this process and of the largest of its children, at most, while a block runs."""

    def __init__(self) -> None:
        self.own = self.child = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.1):
            self.own = max(self.own, resident(os.getpid()))
            children = [resident(child.pid) for child in multiprocessing.active_children() if child.pid]
            self.child = max(self.child, *children, 0)


def resident(process: int) -> float:
    with contextlib.suppress(OSError):
        if found := re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text()):
            return int(found[1]) / 1e3
    return 0


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
    parser.add_argument("--pictures", type=Path, help="folder of the pictures, drawn if they are not there, and kept")
    parser.add_argument("--turns", type=int, default=1, help="how often, in turns (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pictures = options.pictures or Path(name) / "release"
        names = write(pictures, options.count, options.side)
        sizes = [len(Path(path).read_bytes()) for path in names]  # read once, so that none waits for the disk
        kilobytes = sum(sizes) / len(sizes) / 1e3
        print(
            f"{options.count} pictures of {options.side} px, {kilobytes:.1f} kB each, {available_processes()} processes"
        )
        ratios = [once(pictures, names, Path(name) / f"faces{turn}", options.side) for turn in range(options.turns)]
    median = statistics.median(ratios)
    print(f"preparing over decoding alone: {median:.2f}, the median of {len(ratios)} (bound {BOUND})")
    if options.check and median > BOUND:
        sys.exit("a bound is missed")


def once(pictures: Path, names: list[str], out: Path, side: int) -> float:
    """Seconds of preparing over those of decoding, one after the other; both are printed, and the least between them."""
    decoding, decoding_busy = alone(decoded, names)
    bound, bound_busy = alone(least, names)
    with Memory() as memory:
        whole, whole_busy = preparing(pictures, out, side)
    print(
        f"decoding alone {decoding:.1f} s ({decoding_busy:.1f} s of the processor); the least {bound:.1f} s ({bound_busy:.1f})"
    )
    print(f"preparing {whole:.1f} s ({whole_busy:.1f}); {whole / decoding:.2f} and {whole / bound:.2f} times as long")
    print(f"memory at most {memory.own:.0f} MB, and {memory.child:.0f} MB of a process that reads", flush=True)
    return whole / decoding


if __name__ == "__main__":
    main()
