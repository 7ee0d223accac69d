"""Peak resident memory of preparing FER-2013 and of training on it, at 48x48.

Three processes, each measured by the kernel (``ru_maxrss``, memory-mapped pages included): ``fer-prepare`` on a generated
fer2013.csv of full size; one stage of ``fer-train`` on what it made; and the network alone, one batch over and over in
the same libraries. Bounds: preparing, and training less the network alone, each stay under 2 GiB.

::

    python benchmarks/memory.py --check
"""

# Nothing big may be imported or allocated here: a new process counts what its parent held when it was started.
import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BOUND = 2048  # MiB
SPLITS = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}  # FER-2013


def generate(path: Path, share: float) -> None:
    """A csv of FER-2013's size: every face is 48 rows of pixels drawn from a thousand."""
    draw = random.Random(0)
    lines = [" ".join(str(draw.randrange(256)) for _ in range(48)) for _ in range(1000)]
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for split, count in SPLITS.items():
            for i in range(int(count * share)):
                file.write(f"{i % 7},{' '.join(draw.choices(lines, k=48))},{split}\n")


def peak(title: str, arguments: list[str], folder: Path) -> float:
    """Peak resident MiB of a process and the largest of its children; its output goes to a file."""
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, *arguments], stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{title} failed:\n{log.read_text()}")
    print(f"{title:<28} {usage.ru_maxrss / 1024:7.0f} MiB", flush=True)
    return usage.ru_maxrss / 1024


def command(name: str, *overrides: str) -> list[str]:
    return ["-c", f"from fer_transfer.cli.{name} import main; main()", *overrides]


def training(options: argparse.Namespace, folder: Path) -> list[str]:
    return command(
        "train",
        "plan=fer28",
        "backbone=timm",
        f"recipe.backbone.name={options.network}",
        "recipe.augment.resize=54",
        "recipe.augment.crop=48",
        f"recipe.batch_size={options.batch}",
        "recipe.epochs=1",
        f"runtime.faces={{fer2013: {folder / 'faces'}, emotiw: {folder / 'none'}}}",
        f"runtime.store={folder / 'store'}",
    )


def network_alone(options: argparse.Namespace) -> None:
    """Train on one repeated batch, with the libraries and the malloc settings of ``fer-train``."""
    import fer_transfer.stages.runtime  # first: makes torchvision importable beside a CPU build of torch

    # isort: split
    import pytorch_lightning  # noqa: F401
    import timm
    import torch

    fer_transfer.stages.runtime.keep_freed_memory()
    channels_last: Any = torch.channels_last
    network = timm.create_model(options.network, num_classes=7).to(memory_format=channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
    batch = torch.randn(options.batch, 3, 48, 48).contiguous(memory_format=channels_last)
    labels = torch.randint(0, 7, (options.batch,))
    for _ in range(20):
        optimizer.zero_grad()
        loss: Any = torch.nn.functional.cross_entropy(network(batch), labels)
        loss.backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="test_resnet", help="timm's name (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="faces a step (default: %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of FER-2013's faces (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # inside a fresh process
    options = parser.parse_args()
    if options.alone:
        return network_alone(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = folder / "fer2013.csv"
        generate(release, options.share)
        print(f"{release.stat().st_size / 1e6:.0f} MB of csv; {options.network}, batch {options.batch}", flush=True)
        preparing = peak(
            "fer-prepare", command("prepare", f"release.path={release}", f"out={folder / 'faces'}"), folder
        )
        release.unlink()
        whole = peak("fer-train", training(options, folder), folder)
        same = [f"--network={options.network}", f"--batch={options.batch}"]
        alone = peak("the network alone", [__file__, "--alone", *same], folder)
    print(f"preparing {preparing:.0f} MiB, training without the network's own {whole - alone:.0f} MiB (bound {BOUND})")
    if options.check and max(preparing, whole - alone) >= BOUND:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
