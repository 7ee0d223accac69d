"""Sweeps: how long a large one takes to plan, how good its schedule is, and what a second worker brings.

::

    python benchmarks/sweeps.py plan                    10,080 rows of 3,024 stages on 256 workers: planned, and simulated
    python benchmarks/sweeps.py jobs                    two jobs of one thread against one job of two threads
    python benchmarks/sweeps.py workers                 the demo's grid: one command with two workers against one
    python benchmarks/sweeps.py finished                a sweep whose rows are all in the store, a row

With ``--check`` a bound that is missed exits with 1. ``plan`` takes the times of stages from a table of seconds for a face
(``RATES``, measured on two cores of an AMD EPYC). All else is real: the rows are composed, checked and keyed as
``fer-train -m dry_run=true`` does, on tiny faces.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fer_transfer  # noqa: F401  before torch
from fer_transfer.config import conf_dir
from fer_transfer.settings import compose
from fer_transfer.stages.metrics import read_metrics
from fer_transfer.sweeps.graph import bound, makespan, makespan_in_waves, rank, tasks_of
from fer_transfer.sweeps.planning import Planner, plan_rows
from fer_transfer.sweeps.rows import rows_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from tiny import SPLITS, overrides, write_faces

PLANS = ("emotiw", "fer28", "fer32", "fer28_emotiw", "fer32_emotiw", "fer32+emotiw")
RATES = {"test_resnet": 1 / 2500, "test_convnext": 1 / 900, "test_vit": 1 / 1200, "test_efficientnet": 1 / 700}
FACES = {"emotiw": 921, "fer": 30_000, "combined": 33_000}  # of the real releases, by stage


def rows(folder: Path) -> list[list[str]]:
    """4 networks x 6 plans x 42 seeds x 5 rates of the last stage x 2 evaluations."""
    base = [text for text in overrides(folder, folder / "store") if "backbone.name" not in text]
    return [
        [*base, f"plan={plan}", f"recipe.backbone.name={name}", f"recipe.seed={seed}", f"++stages.emotiw.optimizer.lr={rate}",
         f"recipe.evaluation={evaluation}"]
        for name in RATES for plan in PLANS for seed in range(42) for rate in (0.01, 0.02, 0.03, 0.04, 0.05)
        for evaluation in ("centre", "ten_crops")
    ]  # fmt: skip


def plan(folder: Path, workers: int) -> bool:
    """Plan and simulate; whether it takes under 30 s and each schedule is within 5 % of its bound."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.core.override_parser.overrides_parser import OverridesParser

    given = rows(folder)
    parser = OverridesParser.create(ConfigLoaderImpl(create_config_search_path(str(conf_dir()))))
    started, processor = time.perf_counter(), time.process_time()
    composed = list(rows_of(given, lambda texts: compose("train", texts), parser))
    after_composing = time.perf_counter()
    planner = Planner(composed[0].settings)
    planned, failed = plan_rows(planner, composed)
    assert not failed, list(failed.items())[:3]
    after_planning = time.perf_counter()
    tasks = tasks_of(planned, planner.missing)
    for task in tasks:
        recipe = task.job.own.recipe
        faces = FACES[task.job.stage.name]
        task.seconds = RATES[recipe["backbone"]["name"]] * faces * recipe["epochs"] if task.trains else 0.0
    rank(tasks)
    ended = time.perf_counter()
    stages = sum(task.trains for task in tasks)
    print(
        f"{len(given)} rows, {stages} stages, {len(tasks)} tasks: planned in {ended - started:.1f} s, "
        f"{time.process_time() - processor:.1f} s of the processor"
    )
    print(
        f"  composing {after_composing - started:.1f} s, checking and keys {after_planning - after_composing:.1f} s, graph "
        f"{ended - after_planning:.1f} s"
    )
    least = bound(tasks, workers)
    ratios = []
    for name, length in (("as parents end (Ray)", makespan), ("in waves", makespan_in_waves)):
        ratios.append(length(tasks, workers) / least)
        print(f"  {name}: {ratios[-1]:.3f} of the bound ({least:.0f} s on {workers} workers)")
    return ended - started < 30 and max(ratios) <= 1.05


def start(words: list[str]) -> "subprocess.Popen[bytes]":
    """A fer-train in a process of its own."""
    call = "from fer_transfer.cli.train import main; main()"
    return subprocess.Popen([sys.executable, "-c", call, *words], stdout=subprocess.DEVNULL)


def run(words: list[str]) -> float:
    """Seconds of a command."""
    started = time.perf_counter()
    assert start(words).wait() == 0
    return time.perf_counter() - started


def rendered(folder: Path) -> list[str]:
    """The demo's settings on rendered faces."""
    prepare = "from fer_transfer.cli.prepare import main; main()"
    for name, of in (("fer2013", "synthetic_fer2013"), ("emotiw", "synthetic_emotiw")):
        arguments = [f"release={of}", f"release.path={folder / 'releases' / name}", f"out={folder / name}"]
        subprocess.run([sys.executable, "-c", prepare, *arguments], check=True, stdout=subprocess.DEVNULL)
    faces = [f"runtime.faces.{name}={folder / name}" for name in SPLITS]
    return ["study=ng2015", "backbone=timm", "experiment=demo", *faces]


def jobs(folder: Path, epochs: int) -> bool:
    """Faces a second while they train, by their ``metrics.csv``: the median of the epochs of each, best of two rounds."""
    stage = [*rendered(folder), "plan=fer28", f"recipe.epochs={epochs}", "runtime.progress=none"]
    best = {1: 0.0, 2: 0.0}
    for number in range(2):
        for count in best:
            store = folder / f"store{number}{count}"
            words = [*stage, f"runtime.store={store}", f"runtime.threads={2 // count}"]
            started = [start([*words, f"recipe.seed={seed}"]) for seed in range(count)]
            assert not any(process.wait() for process in started)
            tables = [read_metrics(path) for path in store.glob("*/metrics.csv")]
            rates = [statistics.median(float(row["faces_per_second"]) for row in rows) for rows in tables]
            best[count] = max(best[count], sum(rates))
    bare = {count: max(sum(bare_loops(count)) for _ in range(2)) for count in best}
    for name, of in (("fer-train", best), ("the processor's limit, bare loops", bare)):
        print(
            f"{name}: one job of two threads {of[1]:.0f} faces/s, two of one {of[2]:.0f}: {of[2] / of[1]:.2f} times as many"
        )
    return best[2] >= 1.4 * best[1]


def bare_loops(count: int) -> list[float]:
    """Faces a second of so many bare loops at once (C of ``throughput.py``), each with its share of two threads."""
    script = str(Path(__file__).with_name("throughput.py"))
    options = ["--bare", "--network=test_resnet", "--size=48", "--batch=64", "--steps=300", "--precision=32-true"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(2 // count)}
    command = [sys.executable, script, *options]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(count)]
    return [float(loop.communicate()[0].splitlines()[-1]) for loop in loops]


def workers(folder: Path, epochs: int) -> bool:
    """The demo's network and stages, with one worker of all threads and with two that share them: whether >= 1.4 times."""
    sweep = ["-m", *rendered(folder), f"recipe.epochs={epochs}"]
    one = run([*sweep, f"runtime.store={folder / 'one'}"])
    two = run([*sweep, f"runtime.store={folder / 'two'}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    print(f"the demo's grid: one worker {one:.1f} s, two workers {two:.1f} s: {one / two:.2f} times as fast")
    return one >= 1.4 * two


def finished(folder: Path) -> bool:
    """The same sweep again: whether a row takes under 0.5 s."""
    sweep = [
        "-m",
        *overrides(folder, folder / "store"),
        f"plan={','.join(PLANS)}",
        "recipe.seed=0,1",
        "recipe.epochs=1",
    ]

    def processor() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    run(sweep)
    before = processor()
    alone = run(["-m", *overrides(folder, folder / "store"), "plan=emotiw", "recipe.seed=0", "recipe.epochs=1"])
    between = processor()
    again = run(sweep)
    of_processor = (processor() - between) - (between - before)
    print(
        f"12 rows that are there: {again:.1f} s, one row {alone:.1f} s: {(again - alone) / 11:.3f} s a row more, "
        f"{of_processor / 11:.3f} s of the processor"
    )
    return (again - alone) / 11 < 0.5


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["plan", "jobs", "workers", "finished"])
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.what in ("plan", "finished"):
            for release in SPLITS:
                write_faces(folder / release, release)
        measure = {
            "plan": lambda: plan(folder, given.workers),
            "jobs": lambda: jobs(folder, given.epochs),
            "workers": lambda: workers(folder, given.epochs),
            "finished": lambda: finished(folder),
        }
        kept = measure[given.what]()
    sys.exit(given.check and not kept)


if __name__ == "__main__":
    main()
