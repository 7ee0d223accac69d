"""What a tracker costs a training.

``python benchmarks/tracking.py [--epochs 40] [--pairs 3] [--logger wandb]`` trains one stage on tiny faces, without a
tracker and with one, in turn (which is first changes from pair to pair). Printed are the seconds that training itself took
(``seconds`` of ``metrics.csv``, all epochs but the first), those of the whole command, and processor time of the command with
all that it started. The follower is a process of lower priority: it costs a start of some seconds a stage, whatever the
stage's length. How much slower training is: the mean over pairs, with its 95 % interval (Student's t of the logarithms of
their ratios).
"""

import argparse
import csv
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from scipy.stats import t
from tiny import SPLITS, overrides, write_faces


def measure(faces: Path, logger: str, epochs: int) -> tuple[float, float, float]:
    """Seconds of training, of the command, and of processors."""
    with tempfile.TemporaryDirectory() as store:
        words = [*overrides(faces, Path(store)), "plan=fer28", f"recipe.epochs={epochs}", f"logger={logger}"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "fer_transfer.cli.train", *words, "runtime.progress=none"], check=True)
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        [path] = Path(store).glob("*/metrics.csv")
        with path.open(newline="") as file:
            training = sum(float(row["seconds"]) for row in list(csv.DictReader(file))[1:])
    processors = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return training, took, processors


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Low end, geometric mean and high end of the 95 % interval of some ratios."""
    logs = [math.log(ratio) for ratio in ratios]
    mean, error = statistics.mean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    reach = error * float(t.ppf(0.975, len(logs) - 1))
    return math.exp(mean - reach), math.exp(mean), math.exp(mean + reach)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--logger", default="wandb")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in SPLITS:
            write_faces(Path(folder) / name, name)
        measured = {
            (logger, n): measure(Path(folder), logger, given.epochs)
            for n in range(given.pairs)
            for logger in (("csv", given.logger) if n % 2 == 0 else (given.logger, "csv"))
        }
    middle = {
        logger: [
            statistics.median(of[part] for (name, _), of in measured.items() if name == logger) for part in range(3)
        ]
        for logger in ("csv", given.logger)
    }
    print(f"{given.epochs} epochs, medians of {given.pairs}       training   command  processors (seconds)")
    for logger, (training, took, processors) in middle.items():
        print(f"  logger={logger:<12}                {training:8.1f} {took:9.1f} {processors:9.1f}")
    without, beside = middle["csv"], middle[given.logger]
    ratios = sorted(measured[given.logger, n][0] / measured["csv", n][0] for n in range(given.pairs))
    low, mean, high = (100 * (of - 1) for of in interval(ratios))
    pairs = ", ".join(f"{100 * (one - 1):+.1f}" for one in ratios)
    print(f"  training is slower by {mean:+.1f} % [{low:+.1f}, {high:+.1f}] (pairs: {pairs})")
    print(f"  a stage costs {beside[2] - without[2]:.1f} s of processors more")


if __name__ == "__main__":
    main()
