"""What augmenting batches costs of a training step: crops and mirrors, and with every distortion and mixture.

One step of a ResNet-18: forward, loss, backward, SGD. A: from a batch that is ready; B: crop and mirror as the paper's
(``BatchTransform``) of uint8 faces; C: B with every distortion (``recipe.distortion``) and mixtures (``recipe.mixing``). Rounds
go A B C; medians count. Where kornia is installed, the same distortions by it stand beside (D). The bound is C over A less 1.

::

    python benchmarks/augmentation.py --check                                # a processor: 64 px, at most 10 %
    python benchmarks/augmentation.py --device cuda --side 224 --check       # a GPU: at most 3 %
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.data.augment import BatchTransform
from fer_transfer.data.distorter import Distorter
from fer_transfer.data.distortion import Distortion
from fer_transfer.stages.runtime import environment, keep_freed_memory
from fer_transfer.training.loss import TrainingLoss
from fer_transfer.training.mixer import Mixer
from fer_transfer.training.mixing import Mixing

BOUNDS = {"cpu": 0.10, "cuda": 0.03}
ALL = Distortion(rotate=10, zoom=0.1, shift=0.05, light=0.2, erase=0.25)
Way = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def ways(side: int, device: str, batch: int) -> dict[str, Way]:
    preprocessing = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=side)
    transform = BatchTransform("auto", "auto", True, "auto", preprocessing).to(device)
    distorter, mixer = Distorter(ALL, *transform.range).to(device), Mixer(Mixing(mixup=0.2, cutmix=1.0), 7)
    ready = torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    found: dict[str, Way] = {
        "A  ready": lambda faces, target: (ready, target),
        "B  crop, mirror": lambda faces, target: (transform((faces,), random=True), target),
        "C  all of it": lambda faces, target: mixer(distorter(transform((faces,), random=True)), target),
    }
    if find_spec("kornia"):
        import kornia.augmentation as K

        theirs = K.AugmentationSequential(
            K.RandomAffine(10, (0.05, 0.05), (0.9, 1.1), padding_mode="reflection", p=1.0),
            K.ColorJitter(0.2, 0.2, p=1.0),
            K.RandomErasing((0.02, 0.33), p=0.25),
        ).to(device)
        found["D  kornia"] = lambda faces, target: mixer(theirs(transform((faces,), random=True)), target)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=BOUNDS)
    parser.add_argument("--side", type=int, default=64, help="of the network's input (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = parser.parse_args()
    keep_freed_memory()
    print(environment(options.device)["device"])
    network = (
        describe(BackboneRecipe("resnet18", "none")).network().to(options.device, memory_format=torch.channels_last)
    )
    optimizer, loss = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9), TrainingLoss()
    faces = torch.randint(0, 256, (options.batch, 48, 48), dtype=torch.uint8, device=options.device)
    target = torch.arange(options.batch, device=options.device) % 7

    def step(way: Way) -> float:
        _wait(options.device)
        started = time.perf_counter()
        pixels, targets = way(faces, target)
        loss(network(pixels), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
        _wait(options.device)
        return time.perf_counter() - started

    own = ways(options.side, options.device, options.batch)
    seconds: dict[str, list[float]] = {name: [] for name in own}
    for _ in range(options.rounds + 1):
        for name, way in own.items():
            seconds[name].append(step(way))
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    ready = medians["A  ready"]
    print(f"{options.batch} faces of 48 px to {options.side} px, ResNet-18")
    for name, median in medians.items():
        print(f"  {name:<16} {1000 * median:8.1f} ms a step, {median / ready - 1:+.1%}")
    share = medians["C  all of it"] / ready - 1
    print(f"bound {BOUNDS[options.device]:.0%}")
    if options.check and share > BOUNDS[options.device]:
        sys.exit(f"bound missed: {share:.1%}")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
