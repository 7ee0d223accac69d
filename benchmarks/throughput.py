"""Training faces a second, side by side in one run on the same cores.

A: what a user writes today (``plain.py``: Lightning, torchvision transforms on PIL pictures, DataLoader workers).
B: ``fer-train`` on prepared faces.
C: a bare loop over ready tensors, in B's precision, memory format and threads: what the network alone can do.

B and C are computed as this processor does it fastest, which is measured first (``fer-train advice=true``): in bfloat16 only
where it is native. ``--precision`` and ``--contiguous`` say otherwise.

Each is measured in a fresh process, in rounds A B C A B C. The best round of each counts: other work on a machine only
ever slows a round down. A and C are timed after warming up and without starting workers, B by the rate in its own
``metrics.csv``, second epoch.

::

    python benchmarks/throughput.py --size 224 --steps 8
    python benchmarks/throughput.py --size 64 --steps 40 --check
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PRECISIONS = ("32-true", "bf16-mixed")
WARM_UP = 3  # steps before the clock of C starts, as in plain.py
TIMES_PLAIN, SHARE_OF_BARE = 3.0, 0.93  # bounds on B/A and B/C


def train_bare(options: argparse.Namespace) -> float:
    """C: faces a second of a loop over normalised float tensors in memory."""
    import fer_transfer.stages.runtime  # first, as above

    # isort: split
    import timm
    import torch

    fer_transfer.stages.runtime.keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    layout: Any = torch.contiguous_format if options.contiguous else torch.channels_last
    network = timm.create_model(options.network, num_classes=7).to(memory_format=layout).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
    shape = (options.batch, 3, options.size, options.size)
    batches = [torch.randn(shape).contiguous(memory_format=layout) for _ in range(4)]
    labels = torch.randint(0, 7, (options.batch,))
    for step in range(options.steps + WARM_UP):
        if step == WARM_UP:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16-mixed"):
            logits = network(batches[step % len(batches)])
        loss: Any = torch.nn.functional.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(options.steps * options.batch / (time.perf_counter() - start))


def write_faces(folder: Path, count: int) -> None:
    import numpy as np

    from fer_transfer.faces.writer import FacesWriter

    random = np.random.default_rng(0)
    with FacesWriter(folder, "fer2013", (48, 48), count + 14) as writer:
        for i in range(count + 14):  # two faces a class are enough to select on
            split = "Training" if i < count else "PublicTest"
            writer.add(random.integers(0, 256, (48, 48), dtype=np.uint8), f"{i:06}", split, i % 7)


def settings(options: argparse.Namespace) -> list[str]:
    """Of fer-train: the network, its input and its batches."""
    return [
        "plan=fer28",
        "backbone=timm",
        f"recipe.backbone.name={options.network}",
        f"recipe.augment.resize={options.resize}",
        f"recipe.augment.crop={options.size}",
        f"recipe.batch_size={options.batch}",
    ]


def choose(options: argparse.Namespace) -> None:
    """Set what nobody said of precision, format and threads to what is fastest here, and print what was measured."""
    from fer_transfer.settings import compose
    from fer_transfer.stages.advice import advice_text, advise
    from fer_transfer.stages.plan import plan_from
    from fer_transfer.stages.runtime import Runtime

    advice = advise(plan_from(compose("train", settings(options))).last.recipe, Runtime(device="cpu"))
    print(advice_text(advice, options.network, "cpu"), flush=True)
    way = advice.fastest
    options.precision, options.contiguous, options.threads = way.precision, not way.channels_last, way.threads


def run_fer_train(options: argparse.Namespace, folder: Path) -> float:
    """B: faces a second that the command itself writes down."""
    store = tempfile.mkdtemp(dir=folder)  # a new one: a finished stage is never trained again
    overrides = [
        *settings(options),
        f"recipe.precision={options.precision}",
        f"runtime.channels_last={not options.contiguous}",
        f"runtime.threads={options.threads or 'null'}",
        "recipe.epochs=2",
        f"runtime.faces={{fer2013: {folder / 'faces'}, emotiw: {folder / 'none'}}}",
        f"runtime.store={store}",
    ]
    execute(["-c", "from fer_transfer.cli.train import main; main()", *overrides])
    (metrics,) = Path(store).glob("*/metrics.csv")
    with metrics.open(newline="") as file:
        return float(list(csv.DictReader(file))[-1]["faces_per_second"])


def execute(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def run_script(options: argparse.Namespace, script: str, *more: str) -> float:
    """A or C: the number that a script prints last."""
    same = [f"--{name}={getattr(options, name)}" for name in ("size", "steps", "batch", "network")]
    return float(execute([script, *same, *more]).splitlines()[-1])


def compare(options: argparse.Namespace, folder: Path) -> bool:
    """Run the rounds, print rates and ratios; whether both bounds are kept."""
    from fer_transfer.stages.runtime import environment

    print("  ".join(f"{name} {value}" for name, value in environment("cpu").items()), flush=True)
    print(f"{options.network}, {options.size} px, batch {options.batch}, {options.steps} steps a round")
    write_faces(folder / "faces", options.steps * options.batch)
    if options.precision is None:
        choose(options)
    plain = str(Path(__file__).with_name("plain.py"))
    same = [f"--precision={options.precision}", f"--threads={options.threads}", *["--contiguous"] * options.contiguous]
    rates: dict[str, list[float]] = {}
    for number in range(options.rounds):
        rates.setdefault("A", []).append(run_script(options, plain))
        rates.setdefault("B", []).append(run_fer_train(options, folder))
        rates.setdefault("C", []).append(run_script(options, __file__, "--bare", *same))
        print(f"round {number + 1}: " + "  ".join(f"{k} {v[-1]:.1f}" for k, v in rates.items()), flush=True)
    best = {name: max(values) for name, values in rates.items()}
    print("best:    " + "  ".join(f"{name} {rate:.1f}" for name, rate in best.items()) + "  faces/s")
    times, share = best["B"] / best["A"], best["B"] / best["C"]
    print(f"B/A {times:.2f} (bound {TIMES_PLAIN})  B/C {share:.3f} (bound {SHARE_OF_BARE}); B and C: {' '.join(same)}")
    return times >= TIMES_PLAIN and share >= SHARE_OF_BARE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224, help="side of the network's input (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=8, help="measured steps a round (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="faces a step (default: %(default)s)")
    parser.add_argument("--network", default="resnet18", help="timm's name (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--precision", choices=PRECISIONS, help="of B and C (default: the faster one)")
    parser.add_argument(
        "--threads", type=int, default=0, help="of B and C (default: the fastest, with --precision all)"
    )
    parser.add_argument("--contiguous", action="store_true", help="with --precision: pictures not in channels_last")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)  # C, in a fresh process
    options = parser.parse_args()
    options.resize = round(options.size * 256 / 224)
    if options.bare:
        print(train_bare(options))
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = compare(options, Path(folder))
    if options.check and not kept:
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
