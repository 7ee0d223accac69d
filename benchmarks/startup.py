"""How long one waits before anything happens: help, opening faces, repeating a finished command.

Times are medians of several runs, taken in turns, each in a fresh process (except opening faces, which is a call). Bound:
``fer-train --help`` takes at most 3 times as long as ``python -c "import torch"``.

::

    python benchmarks/startup.py --check
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter

BOUND = 3.0
SPLITS = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}  # FER-2013


def command(name: str, *arguments: str) -> list[str]:
    """One of the package's commands, as its console script calls it."""
    return [sys.executable, "-c", f"from fer_transfer.cli.{name} import main; main()", *arguments]


def seconds(line: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{line} failed:\n{done.stdout}\n{done.stderr}")
    return elapsed


def write_faces(folder: Path, share: float) -> int:
    """Random faces of FER-2013's size and splits, or a share of each split; how many."""
    splits = [split for split, count in SPLITS.items() for _ in range(max(7, int(count * share)))]
    random = np.random.default_rng(0)
    with FacesWriter(folder, "fer2013", (48, 48), len(splits)) as writer:
        for i, split in enumerate(splits):
            writer.add(random.integers(0, 256, (48, 48), dtype=np.uint8), f"fer{i:07}", split, i % 7)
    return len(splits)


def opening(folder: Path, runs: int) -> float:
    """Median milliseconds to open prepared faces and look at one."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        int(open_faces(folder).pixels[0].sum())
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def training(folder: Path) -> list[str]:
    """One short stage of a tiny network on the faces."""
    return command(
        "train",
        "plan=fer28",
        "backbone=timm",
        "recipe.backbone.name=test_resnet",
        "recipe.augment.resize=36",
        "recipe.augment.crop=32",
        "recipe.epochs=1",
        f"runtime.faces={{fer2013: {folder / 'fer2013'}, emotiw: {folder / 'none'}}}",
        f"runtime.store={folder / 'store'}",
    )


def write_release(folder: Path) -> None:
    rows = [f"{i % 7},{' '.join(['128'] * 2303)} {i},{split}" for split in SPLITS for i in range(70)]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows, ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="of each (default: %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of FER-2013's faces (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faces = write_faces(folder / "fer2013", options.share)
        write_release(folder)
        preparing = command("prepare", f"release.path={folder / 'fer2013.csv'}", f"out={folder / 'prepared'}")
        lines = {
            "import torch": [sys.executable, "-c", "import torch"],
            "fer-train --help": command("train", "--help"),
            "fer-prepare --help": command("prepare", "--help"),
            "fer-report --help": command("report", "--help"),
            "fer-prepare again": preparing,
            "fer-train again": training(folder),
        }
        for line in lines.values():
            seconds(line)  # fills the disk cache; the last two do their work here
        times: dict[str, list[float]] = {title: [] for title in lines}
        for _ in range(options.runs):
            for title, line in lines.items():
                times[title].append(seconds(line))
        medians = {title: statistics.median(of_title) for title, of_title in times.items()}
        for title, median in medians.items():
            print(f"{title:<20} {median:6.2f} s  {median / medians['import torch']:5.2f} times import torch")
        print(f"opening {faces} faces {opening(folder / 'fer2013', options.runs):8.1f} ms")
    ratio = medians["fer-train --help"] / medians["import torch"]
    print(f"fer-train --help / import torch: {ratio:.2f} (bound {BOUND})")
    if options.check and ratio > BOUND:
        sys.exit("the bound is missed")


if __name__ == "__main__":
    main()
