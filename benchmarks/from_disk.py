"""Batches from faces on a disk, with the page cache emptied of them before each round, against faces in memory.

Random faces; batches of training as a DataModule makes them, each taken by a step that takes so many milliseconds (a GPU that
computes: the processor waits). Rounds: in memory; from the disk; from the disk without telling the system what comes. The
cache is emptied by ``posix_fadvise(DONTNEED)`` while no process maps the file, and each face is read once an epoch, as if the
file were larger than memory. Bound: from the disk a step takes at most 1.05 times as long as from memory.

With ``--group`` it is larger: rounds from the disk run in a control group of Linux, whose limit of memory holds for the process
and for what the system keeps of its files; the limit must be below the size of the file. Rounds without telling are left out
then: the system reads on from each face, pushes out what it read before, and comes to no end.

::

    python benchmarks/from_disk.py --check
    G=/sys/fs/cgroup/memory/small; mkdir $G; echo 1G > $G/memory.limit_in_bytes   # control groups of version 2: memory.max
    python benchmarks/from_disk.py --count 130000 --group $G --check              # 2.1 GB
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BOUND = 1.05


def write(folder: Path, count: int, side: int) -> None:
    from fer_transfer.faces.writer import FacesWriter

    draw = np.random.default_rng(0)
    with FacesWriter(folder, "many", (side, side), count) as writer:
        for i in range(count):
            writer.add(draw.integers(0, 256, (side, side), np.uint8), f"{i:09}", "Train" if i % 50 else "Val", i % 7)


def round_of(folder: Path, batch: int, step: float, batches: int, told: bool) -> None:
    """Seconds of each step in this process, and how many batches were not ready."""
    from fer_transfer.data import datamodules
    from fer_transfer.data.labelling import Labelling
    from fer_transfer.faces.opening import open_faces

    if not told:
        datamodules.will_need = lambda pixels, rows: None
    splits = {"many": ["Train"]}, {"many": ["Val"]}
    faces = {"many": open_faces(folder)}
    loader = datamodules.FacesDataModule(*splits, Labelling(), faces, batch, 0).train_dataloader()
    seconds, late, iterator = [], 0, iter(loader)
    next(iterator)
    for _ in range(batches):
        start = time.perf_counter()
        next(iterator)
        late += time.perf_counter() - start > 0.001
        time.sleep(step)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"step": float(np.mean(seconds)), "worst": float(np.max(seconds)), "late": late}))


def emptied(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def limit_of(group: Path) -> int:
    """Bytes of memory that a control group may take."""
    names = ("memory.limit_in_bytes", "memory.max")
    return int(next(path for name in names if (path := group / name).exists()).read_text())


def in_group(group: Path, run: list[str]) -> str:
    """What a process prints that enters a control group before it begins."""
    enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    return subprocess.check_output(["sh", "-c", enter, str(group), *run], text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40_000, help="faces (default: %(default)s)")
    parser.add_argument("--side", type=int, default=128, help="of a face in pixels (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="faces a step (default: %(default)s)")
    parser.add_argument("--step", type=float, default=0.05, help="seconds that a step computes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of each kind (default: %(default)s)")
    parser.add_argument("--folder", help="on the disk to measure (default: where temporary files are)")
    parser.add_argument("--group", type=Path, help="folder of a control group, for the rounds from the disk")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("--round", nargs=2, help=argparse.SUPPRESS)  # inside a fresh process: folder, told
    options = parser.parse_args()
    batches = options.count * 49 // 50 // options.batch - 2
    if options.round:
        folder, told = options.round
        return round_of(Path(folder), options.batch, options.step, batches, told == "told")
    steps: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name) / "faces"
        write(folder, options.count, options.side)
        time.sleep(3)
        size = (folder / "pixels.npy").stat().st_size
        if options.group is not None:
            limit = limit_of(options.group)
            if limit >= size:
                sys.exit(
                    f"the group may take {limit / 1e6:.0f} MB, the faces are {size / 1e6:.0f} MB: nothing would be shown"
                )
            print(f"from the disk: in {limit / 1e6:.0f} MB of memory")
        print(
            f"{options.count} faces of {options.side} px, {size / 1e6:.0f} MB; {batches} steps of {options.batch}",
            flush=True,
        )
        kinds = [("in memory", "told"), ("from the disk", "told"), ("from the disk, not told", "not")]
        for number in range(options.rounds + 1):
            for kind, told in kinds[: 2 if options.group else 3]:
                if "disk" in kind:
                    emptied(folder / "pixels.npy")
                own = [f"--{key}={getattr(options, key)}" for key in ("count", "side", "batch", "step")]
                run = [sys.executable, __file__, *own, "--round", str(folder), told]
                limited = options.group is not None and "disk" in kind
                found = json.loads(in_group(options.group, run) if limited else subprocess.check_output(run))
                if number:  # the first compares digests, and fills the cache
                    steps[kind] = min(steps.get(kind, 9.0), found["step"])
                    print(
                        f"{kind:<24} {1000 * found['step']:.1f} ms a step, worst {1000 * found['worst']:.0f} ms, "
                        f"{found['late']} of {batches} batches late",
                        flush=True,
                    )
    ratio = steps["from the disk"] / steps["in memory"]
    print(f"from the disk over in memory: {ratio:.3f} (bound {BOUND})")
    if options.check and ratio > BOUND:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
