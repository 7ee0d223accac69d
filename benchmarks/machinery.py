"""What the machinery of a stage adds to a bare ``Trainer.fit``: log, metrics, progress, random states, sealed checkpoints.

Both train the same module on the same faces, in turns, with Lightning's own extras switched off. ``fit`` is all that happens from
the first batch to the last; ``stage`` is all that ``fer-train`` does for a plan of one stage that is new: it opens and checks, it
also predicts (what a bare fit leaves out, taken off again), saves and commits. Seconds of the processor stand beside those of
the clock: other work on the machine does not change them much. The median of the ratios of neighbours counts.

::

    python benchmarks/machinery.py
    python benchmarks/machinery.py --check
"""

import fer_transfer  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

# isort: split
import argparse
import contextlib
import io
import logging
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_lightning as pl

from fer_transfer.cli.train import train
from fer_transfer.config import plain
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.settings import compose
from fer_transfer.stages import runner as running
from fer_transfer.stages.build import data_of, module_to_train
from fer_transfer.stages.jobs import jobs_of
from fer_transfer.stages.plan import plan_from
from fer_transfer.stages.runtime import Runtime, environment
from fer_transfer.stages.store import Store
from fer_transfer.study import study_from

BOUND = 1.03
Seconds = tuple[float, float]  # of the clock, of the processor


def write_faces(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    splits = {"Training": count, "PublicTest": count // 8, "PrivateTest": count // 8}
    with FacesWriter(folder, "fer2013", (48, 48), sum(splits.values())) as writer:
        writer.settings = {"ferplus": False}
        for i, split in enumerate(split for split, faces in splits.items() for _ in range(faces)):
            writer.add(random.integers(0, 256, (48, 48), np.uint8), f"{i:06}", split, i % 7)


def timed(work: Callable[[], object]) -> Seconds:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def bare(overrides: list[str]) -> Seconds:
    """Lightning's Trainer, with nothing that it can leave out."""
    config = compose("train", overrides)
    plan, runtime = plan_from(config), Runtime(**plain(config.runtime))
    faces = {"fer2013": open_faces(runtime.folder_of("fer2013"))}
    [job] = jobs_of(plan, faces, Store(runtime.store), study_from(plain(config.study)))
    runtime.apply()
    pl.seed_everything(job.stage.recipe.seed, verbose=False)
    data = data_of(job, faces)
    module, _ = module_to_train(job, data, runtime)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        precision=job.stage.recipe.precision,  # type: ignore[arg-type]
        max_epochs=job.stage.recipe.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=runtime.store,
    )
    return timed(lambda: trainer.fit(module, data))


def stage(overrides: list[str]) -> tuple[Seconds, Seconds]:
    """Of ``fit`` alone, and of the whole plan less its predictions."""
    config, spent = compose("train", overrides), {"fit": (0.0, 0.0), "predict": (0.0, 0.0)}
    originals = {name: getattr(running, name) for name in spent}

    def watched(name: str) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            seconds = timed(lambda: originals[name](*arguments))
            spent[name] = (spent[name][0] + seconds[0], spent[name][1] + seconds[1])

        return call

    for name in spent:
        setattr(running, name, watched(name))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            whole = timed(lambda: train(config))
    finally:
        for name, original in originals.items():
            setattr(running, name, original)
    return spent["fit"], (whole[0] - spent["predict"][0], whole[1] - spent["predict"][1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet18", help="(default: %(default)s)")
    parser.add_argument("--faces", type=int, default=6400, help="an epoch (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, help="(default: all)")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 above {BOUND} of the clock")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    rows: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_faces(root / "fer2013", options.faces)
        overrides = [
            "plan=fer28", "backbone=timm", f"recipe.backbone.name={options.network}", "recipe.augment.resize=73",
            "recipe.augment.crop=64", f"recipe.epochs={options.epochs}", "recipe.precision=bf16-mixed",
            f"runtime.store={root / 'store'}", f"runtime.faces={{fer2013: {root / 'fer2013'}}}", "runtime.progress=lines",
            f"runtime.threads={options.threads or 'null'}",
        ]  # fmt: skip
        print(f"{environment('cpu')['device']}; seconds of the clock (of the processor)")
        for number in range(options.rounds):
            one = bare(overrides)
            of_fit, whole = stage(overrides)
            shutil.rmtree(root / "store")
            rows.append([of_fit[0] / one[0], of_fit[1] / one[1], whole[0] / one[0], whole[1] / one[1]])
            times = (("bare fit", one), ("fit", of_fit), ("stage", whole))
            text = ", ".join(f"{name} {wall:.1f} s ({processor:.1f})" for name, (wall, processor) in times)
            print(f"round {number + 1}: {text}", flush=True)
    fit, fit_cpu, whole_wall, whole_cpu = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"fit {fit:.3f} of a bare one by the clock, {fit_cpu:.3f} by the processor; bound {BOUND}")
    print(f"stage without its predictions {whole_wall:.3f} by the clock, {whole_cpu:.3f} by the processor")
    if options.check and fit > BOUND:
        sys.exit("the bound is missed")


if __name__ == "__main__":
    main()
