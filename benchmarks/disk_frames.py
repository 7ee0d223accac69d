"""Disk that ``fer-prepare`` takes at its peak, in sizes of the faces that it makes; and the time, in one go and in shards.

Rendered frames become faces of 256 pixels. The folder of faces, with all that stands beside it, is measured every 20 ms by
the blocks that its files take. Shards are prepared one after the other, each in a process of its own, and joined. Bounds:
in one go 1.1 sizes; in shards 1.1 sizes and one shard.

::

    python benchmarks/disk_frames.py --check
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from memory import command as arguments

GO, SHARDS = 1.1, 1.1  # sizes of the faces; the latter less one shard


def prepare(*words: str) -> list[str]:
    return [sys.executable, *arguments("prepare", *words)]


class Watch:
    """The most bytes that a folder has held, hidden files and files that were removed since included."""

    def __init__(self, folder: Path) -> None:
        self.peak, self._folder, self._end = 0, folder, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            self.peak = max(self.peak, held(self._folder))


def held(folder: Path) -> int:
    """Bytes of the blocks of all files."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += 512 * os.stat(os.path.join(path, name)).st_blocks
            except FileNotFoundError:  # renamed since
                continue
    return total


def measure(title: str, folder: Path, commands: list[list[str]]) -> float:
    """Run commands; print and return the peak in sizes of the faces."""
    folder.mkdir()
    began = time.perf_counter()
    with Watch(folder) as watch:
        for each in commands:
            subprocess.run(each, check=True, capture_output=True)
    seconds, size = time.perf_counter() - began, held(folder)
    print(
        f"{title:<16}{seconds:6.1f} s, peak {watch.peak / 1e6:7.1f} MB for {size / 1e6:.1f} MB: {watch.peak / size:.2f}"
    )
    return watch.peak / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600, help="(default: %(default)s)")
    parser.add_argument("--shards", type=int, default=4, help="0: only in one go (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = f"{{Train: {options.frames - 14}, Val: 7, Test: 7}}"
        release = ["release=synthetic_emotiw", f"release.path={folder / 'sfew'}", f"release.counts={counts}"]
        subprocess.run(prepare(*release, f"out={folder / 'drawn'}", "workers=2"), check=True)
        words = ["release=emotiw", f"release.path={folder / 'sfew'}", "beside=null", "workers=2"]
        whole = prepare(*words, f"out={folder / 'whole' / 'faces'}")
        kept = measure("in one go", folder / "whole", [whole]) <= GO
        if options.shards:
            parts = prepare(*words, f"out={folder / 'parts' / 'faces'}")
            shards = [[*parts, f"shard={k + 1}/{options.shards}"] for k in range(options.shards)]
            kept &= measure("in shards", folder / "parts", [*shards, parts]) <= SHARDS + 1 / options.shards
    if options.check and not kept:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
