"""What a tracker costs a training.

``python benchmarks/tracking.py [--epochs 400] [--pairs 12] [--logger wandb]`` trains one stage on tiny faces twice at the same
time: without a tracker on one core and with one on another, each with one thread, the cores changing places from pair to pair.
What other tenants of a machine do to it in a minute is many times what a tracker costs, and hits both alike this way: with
``--logger csv``, which compares a training with itself, one sees how fine the measurement is. What the tracker runs beside the
training has to share the training's own core, so this is the dearest case.

Printed are the seconds that training itself took (``seconds`` of ``metrics.csv``, all epochs but the first) and the processor
time of the command with all that it started. How much slower training is: the mean over pairs, with its 95 % interval
(Student's t of the logarithms of their ratios). The follower is a process of lower priority: it costs a start of some
seconds a stage, whatever the stage's length. Linux only (a process is held on a core).
"""

import argparse
import csv
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from scipy.stats import t
from tiny import SPLITS, overrides, write_faces


class Measured(NamedTuple):
    """Seconds of training and of processors."""

    training: float
    processors: float


def begin(faces: Path, store: str, logger: str, epochs: int, core: int) -> subprocess.Popen[bytes]:
    """Start a training that is held on a core."""
    words = [*overrides(faces, Path(store)), "plan=fer28", f"recipe.epochs={epochs}", f"logger={logger}"]
    command = [sys.executable, "-m", "fer_transfer.cli.train", *words, "runtime.threads=1", "runtime.progress=none"]
    return subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, {core}))


def end(process: subprocess.Popen[bytes], store: str) -> Measured:
    """Wait for a training, and read what it took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    [path] = Path(store).glob("*/metrics.csv")
    with path.open(newline="") as file:
        training = sum(float(row["seconds"]) for row in list(csv.DictReader(file))[1:])
    return Measured(training, usage.ru_utime + usage.ru_stime)


def measure_pair(faces: Path, logger: str, epochs: int, cores: list[int]) -> tuple[Measured, Measured]:
    """Without a tracker on the first core, with one on the second, at the same time."""
    with tempfile.TemporaryDirectory() as without, tempfile.TemporaryDirectory() as beside:
        begun = [
            begin(faces, without, "csv", epochs, cores[0]),
            begin(faces, beside, logger, epochs, cores[1]),
        ]
        first, second = (end(process, store) for process, store in zip(begun, (without, beside), strict=True))
    return first, second


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Low end, geometric mean and high end of the 95 % interval of some ratios."""
    logs = [math.log(ratio) for ratio in ratios]
    mean, error = statistics.mean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    reach = error * float(t.ppf(0.975, len(logs) - 1))
    return math.exp(mean - reach), math.exp(mean), math.exp(mean + reach)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--logger", default="wandb")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("two trainings run at the same time: two cores are needed, one is to be had")
    with tempfile.TemporaryDirectory() as folder:
        for name in SPLITS:
            write_faces(Path(folder) / name, name)
        pairs = [
            measure_pair(Path(folder), given.logger, given.epochs, cores[:: 1 if n % 2 == 0 else -1])
            for n in range(given.pairs)
        ]
    print(f"{given.epochs} epochs, medians of {given.pairs}   training  processors (seconds)")
    for name, measured in zip(("csv", given.logger), zip(*pairs, strict=True), strict=True):
        training, processors = (statistics.median(of) for of in zip(*measured, strict=True))
        print(f"  logger={name:<12}            {training:8.1f} {processors:9.1f}")
    ratios = sorted(beside.training / without.training for without, beside in pairs)
    low, mean, high = (100 * (of - 1) for of in interval(ratios))
    shown = ", ".join(f"{100 * (one - 1):+.1f}" for one in ratios)
    print(f"  training is slower by {mean:+.1f} % [{low:+.1f}, {high:+.1f}] (pairs: {shown})")
    more = statistics.median(beside.processors - without.processors for without, beside in pairs)
    print(f"  a stage costs {more:.1f} s of processors more")


if __name__ == "__main__":
    main()
