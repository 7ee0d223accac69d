"""Training steps of our AlexNet beside the same net with torch's own ``LocalResponseNorm``, in one run on the same cores.

Both nets have the same layers and start from the same weights; a step is forward, cross-entropy, backward and SGD with
momentum over pictures that are ready in memory. Each is measured in float32 and in bf16 (autocast, as Lightning's bf16-mixed
has it), in the default memory format and in channels_last. Rounds go ours, torch, ours, torch, and the best round of each
counts: other work on a machine only ever slows a round down. Bounds:

- float32: our step takes at most 1.05 times torch's, in both formats;
- bf16: our step in its best format is at least 1.3 times as fast as torch's in its best format (torch has no bf16
  kernel for it on the CPU: autocast pools in float32 there). Beside it stands the factor over torch in float32 and the
  default format, which is what a user gets who sets nothing.

With a CUDA device the bounds are those of the same steps there, and the share of the card's measured matrix rate that the
fully connected layers reach, forward and backward, at batch 512, should be at least one half::

    python benchmarks/caffe_nets.py --batch 32 --steps 4 --check
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import fer_transfer.stages.runtime  # first: it makes torchvision importable

# isort: split
import timm
import torch
from torch import nn

import fer_transfer.backbones.alexnet
from fer_transfer.training.optim import parameter_groups

SLOWER, FASTER_BF16, SHARE = 1.05, 1.3, 0.5  # bounds
FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
LAYERS = ("ours", "torch")


def build(layer: str, device: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """AlexNet with seven outputs, and its optimiser as a stage has it."""
    torch.manual_seed(0)
    network: Any = timm.create_model(fer_transfer.backbones.alexnet.bvlc_alexnet.__name__, num_classes=7)
    if layer == "torch":
        for name in ("norm1", "norm2"):
            setattr(network, name, nn.LocalResponseNorm(*network.plan.norm))
    network = network.to(device).train()
    groups = parameter_groups(network, ["fc8.*"], 0.001, 1)
    return network, torch.optim.SGD(groups, lr=0.001, momentum=0.9, weight_decay=0.0005)


class Steps:
    """Training steps of one net in one precision and memory format."""

    def __init__(self, parts: tuple[nn.Module, torch.optim.Optimizer], bf16: bool, memory_format: str) -> None:
        self.network, self.optimizer = parts
        self.bf16, self.memory_format = bf16, FORMATS[memory_format]

    def run(self, batch: int, steps: int, device: str) -> float:
        """Seconds a step, after one that is not counted."""
        network: Any = self.network
        network.to(memory_format=self.memory_format)
        x = torch.randn(batch, 3, 227, 227, device=device).mul_(60).to(memory_format=self.memory_format)
        labels = torch.randint(0, 7, (batch,), device=device)
        for step in range(steps + 1):
            if step == 1:
                start = now(device)
            with torch.autocast(device, torch.bfloat16, enabled=self.bf16):
                logits = network(x)
            loss: Any = nn.functional.cross_entropy(logits.float(), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return (now(device) - start) / steps


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(options: argparse.Namespace, device: str) -> dict[tuple[str, str, str], float]:
    """Best seconds a step by precision, memory format and LRN; prints the rounds."""
    nets = {layer: build(layer, device) for layer in LAYERS}
    best: dict[tuple[str, str, str], float] = {}
    for number in range(options.rounds):
        for precision in ("float32", "bf16"):
            for memory_format in FORMATS:
                for layer in LAYERS:
                    steps = Steps(nets[layer], precision == "bf16", memory_format)
                    seconds = steps.run(options.batch, options.steps, device)
                    case = (precision, memory_format, layer)
                    best[case] = min(best.get(case, seconds), seconds)
                    print(f"round {number + 1}  {' '.join(case):30} {1000 * seconds:8.1f} ms a step", flush=True)
    return best


def judge(best: dict[tuple[str, str, str], float], batch: int) -> bool:
    """Print the best rounds as a table and the ratios; whether the bounds are kept."""
    print(f"{'':24}{'ours':>12}{'torch':>12}   pictures/s")
    for precision, memory_format, _ in (case for case in best if case[2] == "ours"):
        rates = (batch / best[precision, memory_format, layer] for layer in LAYERS)
        print(f"{precision + ' ' + memory_format:24}" + "".join(f"{rate:12.1f}" for rate in rates))
    times = {f: best["float32", f, "ours"] / best["float32", f, "torch"] for f in FORMATS}
    ours, torchs = (min(best["bf16", f, layer] for f in FORMATS) for layer in LAYERS)
    default = best["float32", "NCHW", "torch"]
    print(
        "float32, our time over torch's: " + ", ".join(f"{t:.2f} ({f})" for f, t in times.items()) + f"; bound {SLOWER}"
    )
    print(f"bf16, torch's time over ours, best formats: {torchs / ours:.2f}; bound {FASTER_BF16}")
    print(f"bf16 in the best format over float32 NCHW with torch's layer: {default / ours:.2f}")
    return max(times.values()) <= SLOWER and torchs / ours >= FASTER_BF16


def rate_of(work: Callable[[], object], operations: float, repeats: int = 50) -> float:
    """Operations a second on the card, after warming up."""
    for _ in range(10):
        work()
    start = now("cuda")
    for _ in range(repeats):
        work()
    return operations * repeats / (now("cuda") - start)


def fully_connected_share(batch: int = 512) -> bool:
    """Print what share of the card's bf16 matrix rate fc6 to fc8 reach; whether the bound is kept."""
    side = 8192
    a, b = torch.randn(2, side, side, device="cuda", dtype=torch.bfloat16)
    peak = rate_of(lambda: a @ b, 2 * side**3)
    print(f"matrix rate of the card, bf16, {side}: {peak / 1e12:.0f} TFLOP/s")
    kept = False
    for stored in (torch.float32, torch.bfloat16):
        head = nn.Sequential(nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))
        head = head.to("cuda", stored)
        x = torch.randn(batch, 9216, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        weights = sum(p.numel() for p in head.parameters() if p.ndim == 2)

        def step(head: nn.Module = head, x: torch.Tensor = x) -> None:
            head.zero_grad()
            with torch.autocast("cuda", torch.bfloat16):
                head(x).float().sum().backward()

        share = rate_of(step, 6 * batch * weights) / peak
        kept |= share >= SHARE
        name = str(stored).removeprefix("torch.")
        print(f"fc6 to fc8, batch {batch}, bf16 with weights in {name}: {share:.2f} of it; bound {SHARE}")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="pictures a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="measured steps a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fer_transfer.stages.runtime.keep_freed_memory()
    environment = fer_transfer.stages.runtime.environment("gpu" if device == "cuda" else "cpu")
    print("  ".join(f"{name} {value}" for name, value in environment.items()), flush=True)
    print(f"AlexNet at 227, batch {options.batch}, {options.steps} steps a round")
    kept = judge(measure(options, device), options.batch)
    if device == "cuda":
        kept &= fully_connected_share()
    if options.check and not kept:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
