"""What colour costs a training step: ResNet-18 at 64 px on prepared faces in colour over the same on grey ones, in one run.

A step is a batch of the DataModule, cropped and mirrored, forward, backward, and SGD. Random faces; rounds go grey, colour, grey,
colour, and the best round of each counts: other work on a machine only ever slows a round down. Bound: 1.15.

::

    python benchmarks/colour.py --check
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fer_transfer.stages.runtime  # first: it makes the C library keep freed memory

# isort: split
import numpy as np
import timm
import torch

from fer_transfer.backbones.preprocessing import preprocessing_of
from fer_transfer.data.augment import BatchTransform
from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.data.labelling import Labelling
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter

BOUND = 1.15
SIDE, RESIZE, CROP = 64, 72, 64
WARM_UP = 2  # steps before the clock of a round starts


def write(folder: Path, count: int, colour: bool) -> None:
    draw = np.random.default_rng(0)
    shape = (SIDE, SIDE, 3) if colour else (SIDE, SIDE)
    with FacesWriter(folder, "drawn", (SIDE, SIDE), count + 14, colour=colour) as writer:
        for i in range(count + 14):
            writer.add(draw.integers(0, 256, shape, np.uint8), f"{i:06}", "Train" if i < count else "Val", i % 7)


class Step:
    """Batches of one folder of faces, and a network that learns from them."""

    def __init__(self, folder: Path, batch: int) -> None:
        self.network: Any = timm.create_model("resnet18", num_classes=7).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.transform = BatchTransform(
            RESIZE, CROP, True, "bilinear", preprocessing_of(self.network.pretrained_cfg, {})
        )
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
        faces = {"drawn": open_faces(folder)}
        self.data = FacesDataModule({"drawn": ["Train"]}, {"drawn": ["Val"]}, Labelling(), faces, batch, 0)

    def _train_on(self, batch: Any) -> None:
        logits = self.network(self.transform(batch.pixels, random=True))
        loss: Any = torch.nn.functional.cross_entropy(logits, batch.target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def seconds(self, steps: int) -> float:
        """Of a step, in a round of so many."""
        for number, batch in enumerate(self.data.train_dataloader()):
            if number == WARM_UP:
                start = time.perf_counter()
            self._train_on(batch)
        return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="faces a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="of each kind (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = parser.parse_args()
    fer_transfer.stages.runtime.keep_freed_memory()
    with tempfile.TemporaryDirectory() as root:
        kinds = {}
        for name in ("grey", "colour"):
            write(Path(root) / name, (options.steps + WARM_UP) * options.batch, name == "colour")
            kinds[name] = Step(Path(root) / name, options.batch)
        best = dict.fromkeys(kinds, float("inf"))
        for _ in range(options.rounds):
            for name, step in kinds.items():
                seconds = step.seconds(options.steps)
                best[name] = min(best[name], seconds)
                print(f"{name:<7} {1000 * seconds:.1f} ms a step of {options.batch} faces", flush=True)
    ratio = best["colour"] / best["grey"]
    print(f"{torch.get_num_threads()} threads; colour over grey: {ratio:.3f} (bound {BOUND})")
    if options.check and ratio > BOUND:
        sys.exit("the bound is missed")


if __name__ == "__main__":
    main()
