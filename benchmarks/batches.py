"""What a batch costs the thread that trains: made when it is asked for, and made ahead on a thread of its own.

Both go through the same faces in the same order, one epoch after the other, in turns. Between two batches the training thread is
as long in torch as a step takes; only the time until it has its next batch counts. What is freed is kept, as when training. The
median of the rounds counts.

::

    python benchmarks/batches.py
    python benchmarks/batches.py --check
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from fer_transfer.data.ahead import AheadLoader
from fer_transfer.data.datamodules import EpochSampler, FaceDataset
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.stages.runtime import environment, keep_freed_memory

SIDES = {256: 4096, 48: 16384}  # faces by their side
BATCH = 128


def write_faces(folder: Path, side: int, count: int) -> Faces:
    random = np.random.default_rng(0)
    with FacesWriter(folder, "fer2013", (side, side), count) as writer:
        for i in range(count):
            writer.add(random.integers(0, 256, (side, side), np.uint8), f"{i:06}", "Training", i % 7)
    return open_faces(folder)


def wait(kind: Any, dataset: FaceDataset, epoch: int, step: float) -> float:
    """Mean milliseconds until a batch is there, over an epoch of steps of so many seconds."""
    sampler = EpochSampler(len(dataset), 0)
    sampler.set_epoch(epoch)
    loader = kind(dataset, batch_size=BATCH, sampler=sampler, drop_last=True, collate_fn=lambda batch: batch)
    work, waited = torch.ones(512, 512), 0.0
    batches, started = iter(loader), time.perf_counter()
    for _ in range(len(loader)):
        batch = next(batches)
        waited += time.perf_counter() - started
        until = time.perf_counter() + step
        while time.perf_counter() < until:
            work @ work  # as a step does, without Python's lock
        del batch
        started = time.perf_counter()
    return 1000 * waited / len(loader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=float, default=0.05, help="seconds of a step (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if batches made ahead cost more")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    print(environment("cpu")["device"])
    slower = False
    for side, count in SIDES.items():
        with tempfile.TemporaryDirectory() as folder:
            faces = write_faces(Path(folder) / "faces", side, count)
            dataset = FaceDataset([(faces, np.arange(count), torch.from_numpy(faces.labels.astype(np.int64)))])
            rounds = [
                [wait(kind, dataset, epoch, options.step) for kind in (DataLoader, AheadLoader)]
                for epoch in range(options.rounds)
            ]
        before, after = (statistics.median(column) for column in zip(*rounds, strict=True))
        slower |= after > before
        print(
            f"{BATCH} x {side} x {side}: when asked for {before:.2f} ms, ahead {after:.2f} ms, {after / before:.2f} of it"
        )
    if options.check and slower:
        sys.exit("batches made ahead cost the training thread more")


if __name__ == "__main__":
    main()
