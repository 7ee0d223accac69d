"""Frames a second from encoded 720x576 pictures to aligned 256x256 grey faces, side by side in one run.

A: ``fer-prepare``'s pipeline as configured, in one process.
B: the detect-and-align pass of the mtcnn package (``faces_package.py``): its defaults on the CPU (least face 20 px, scale
   factor 0.709, thresholds 0.6, 0.7, 0.7), the surest face, turned by the eyes and cut by the same formula.
A2: A over two processes.

The frames are rendered for the run; all decode them from the same files. Each side has one thread a process, which is
shown as cores busy; under one, other work held it up, and the ratio by processor time is the one to trust. Starting up
does not count. Rounds go A B A2; the best round of each counts: other work on a machine only ever slows a round down.
Bounds: A/B >= 5, A2/A >= 1.8.

B needs an environment of its own, as TensorFlow and this project want different versions of some packages::

    python3.11 -m venv ../mtcnn
    ../mtcnn/bin/pip install mtcnn==1.0.0 tensorflow-cpu==2.21.0 "opencv-python-headless<5"
    python benchmarks/faces.py --python ../mtcnn/bin/python --check

The weights are in the package; nothing is downloaded when it runs. Without ``--python`` only A and A2 are measured. More
words are overrides of ``fer-prepare``: ``pipeline/detector=yunet pipeline.detector.model=yunet.onnx``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_transfer.config import build, plain
from fer_transfer.detection.frame_process import FrameJob
from fer_transfer.detection.reader import FrameReader
from fer_transfer.settings import compose
from fer_transfer.synthetic.releases import write_sfew

TIMES_PACKAGE, TIMES_ONE_PROCESS = 5.0, 1.8
SIZE = (576, 720)
ONE, PACKAGE, TWO = "A  one process", "B  mtcnn", "A2 two processes"

#: TensorFlow in one thread, on the processor, quiet. OpenCV, all that A computes with, is kept to one thread by its reader.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Round:
    """Frames a second, faces found (of the frames, each counted once), and processor seconds a second."""

    rate: float
    found: int
    cores: float


def render(folder: Path, count: int) -> list[Path]:
    """Frames of invented movies, as the release has them."""
    shares = {"Train": max(7, count - 14), "Val": 7, "Test": 7}
    return sorted(write_sfew(folder / "sfew", shares, size=SIZE).rglob("*.png"))


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def ours(frames: list[Path], overrides: list[str], workers: int, repeats: int) -> Round:
    """A: the frames once to warm up, then some times over."""
    settings = compose("prepare", ["release=emotiw", "release.path=unused", *overrides])
    pipeline = build("pipeline", plain(settings.pipeline))
    jobs = [FrameJob(str(path), False, None) for _ in range(repeats + 1) for path in frames]
    faces: Iterator[Any] = FrameReader(workers).read(pipeline, jobs, lambda name: Path(name).read_bytes())
    found = sum(next(faces).kind == "found" for _ in frames)
    start, busy = time.perf_counter(), processor_seconds()
    count = sum(1 for _ in faces)
    elapsed, busy = time.perf_counter() - start, processor_seconds() - busy
    return Round(count / elapsed, found, busy / elapsed)


def package(frames: list[Path], python: str) -> Round:
    """B, in its own environment."""
    script = Path(__file__).with_name("faces_package.py")
    names = "\n".join(str(path) for path in frames)
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run([python, str(script)], input=names, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{python} {script} failed:\n{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    print("   ", ", ".join(f"{name} {version}" for name, version in told["versions"].items()))
    return Round(told["rate"], told["found"], told["cores"])


def show(title: str, measured: Round, frames: int) -> None:
    # the processor time of workers includes their start, which the rate leaves out
    cores = "" if title == TWO else f", {measured.cores:.2f} cores busy"
    print(f"{title:<20}{measured.rate:7.1f} frames/s, {measured.found} of {frames} faces{cores}", flush=True)


def compare(options: argparse.Namespace, folder: Path) -> bool:
    frames = render(folder, options.frames)
    rounds: dict[str, list[Round]] = {ONE: [], PACKAGE: [], TWO: []}
    for _ in range(options.rounds):
        rounds[ONE].append(ours(frames, options.overrides, 1, options.repeats))
        show(ONE, rounds[ONE][-1], len(frames))
        if options.python:
            rounds[PACKAGE].append(package(frames, options.python))
            show(PACKAGE, rounds[PACKAGE][-1], len(frames))
        rounds[TWO].append(ours(frames, options.overrides, 2, 2 * options.repeats))
        show(TWO, rounds[TWO][-1], len(frames))
    rates = {title.split()[0]: max(m.rate for m in measured) for title, measured in rounds.items() if measured}
    kept = True
    for one, other, bound in (("A", "B", TIMES_PACKAGE), ("A2", "A", TIMES_ONE_PROCESS)):
        if other in rates:
            ratio = rates[one] / rates[other]
            kept &= ratio >= bound
            print(f"{one}/{other}  {ratio:.2f}  (bound {bound}{'' if ratio >= bound else ', missed'})")
    if options.python:
        a, b = (max(m.rate / m.cores for m in rounds[title]) for title in (ONE, PACKAGE))
        print(f"A/B  {a / b:.2f}  by processor time ({1000 / a:.1f} ms a frame against {1000 / b:.1f})")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="interpreter of an environment with mtcnn")
    parser.add_argument("--frames", type=int, default=48, help="different frames (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of A, over the frames (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed; needs --python")
    parser.add_argument("overrides", nargs="*", help="of fer-prepare")
    options = parser.parse_args()
    if options.check and not options.python:
        parser.error("--check compares with mtcnn: give --python")
    if options.python and not shutil.which(options.python):
        parser.error(f"expected an interpreter, but found none at {options.python}; --help says how to make it")
    with tempfile.TemporaryDirectory() as folder:
        kept = compare(options, Path(folder))
    if options.check and not kept:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
