"""Kills at random moments of a sweep with two workers: the same command goes on, and ends as if nothing had happened.

::

    python tests/faults.py --kills 100 --seed 0

Each round starts ``fer-train -m`` of the whole grid on tiny faces under joblib with two workers, in a store of its own, kills a
worker, the launcher or all of them with SIGKILL after a random time, and repeats the command until it is done. It is compared
with a sweep that was left alone: every stage is there, weights and predictions are the same bytes, the table is, and no epoch was
trained again that a checkpoint had kept.
"""

import argparse
import contextlib
import csv
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from starting import Started, start
from tiny import SPLITS, overrides, write_faces

from fer_transfer.cli.report import report
from fer_transfer.files.digest import file_digest
from fer_transfer.settings import compose

PLANS = ("emotiw", "fer28", "fer32", "fer28_emotiw", "fer32_emotiw", "fer32+emotiw")
_DONE = re.compile(r"^\S+ \S+ +(\d+)/\d+ loss")


class Outcome(NamedTuple):
    """What a store holds after a sweep: digests of weights and predictions by path, and epochs that were trained twice."""

    files: dict[str, str]
    again: list[str]


def sweep(store: Path, faces: Path, plans: tuple[str, ...], epochs: int, forked: bool) -> Started:
    """Start the sweep, with two workers of one thread."""
    settings = [
        f"plan={','.join(plans)}",
        f"recipe.epochs={epochs}",
        "runtime.checkpoint_minutes=0",
        "runtime.device=cpu",
    ]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    words = [*overrides(faces, store), *settings, *launcher]
    return start("train", "-m", *words, start_new_session=True, forked_workers=forked)


def processes(root: int) -> list[int]:
    """A process and all that it has started, from /proc."""
    found = [root]
    for pid in found:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in path.read_text().split()]
    return found


def kill(rng: random.Random, root: int) -> str:
    """Kill one worker, the launcher or all; returns what."""
    of = processes(root)
    kind = rng.choice(["worker", "launcher", "all"])
    chosen = {"worker": [rng.choice(of[1:] or of)], "launcher": [root], "all": of}[kind]
    for pid in chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return kind


def ended(process: Started, patience: float) -> str | None:
    """What a sweep wrote to stderr until the last of its processes was gone; None where they had to be killed for that."""
    try:
        return process.communicate(patience)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def outcome(store: Path) -> Outcome:
    """Read a store."""
    kept = [*store.glob("*/weights.safetensors"), *store.glob("*/predictions/*.csv")]
    files = {str(path.relative_to(store)): file_digest([path]) for path in sorted(kept)}
    return Outcome(files, list(_again(store)))


def _again(store: Path) -> Iterator[str]:
    """Epochs that a log tells twice: a checkpoint after every step leaves at most the one that was being written."""
    for log in store.glob("*/log.txt"):
        told = [int(found[1]) for line in log.read_text().splitlines() if (found := _DONE.match(line))]
        yield from (f"{log.parent.name} epoch {epoch}" for epoch in set(told) if told.count(epoch) > 2)


def table(store: Path, out: Path) -> list[list[str]]:
    """The rows of the report, less what times and paths it tells."""
    with contextlib.redirect_stdout(io.StringIO()):
        report(compose("report", [f"store={store}", f"out={out}"]))
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    timed = {n for n, name in enumerate(rows[0]) if "second" in name or name in ("commit", "environment")}
    return [[cell for n, cell in enumerate(row) if n not in timed] for row in rows]


def run(
    folder: Path, kills: int, seed: int, plans: tuple[str, ...] = PLANS, epochs: int = 6, forked: bool = False
) -> int:
    """Kill so often, and compare; returns how many differences there are, which are printed.

    With forked workers most of a sweep is training; otherwise, as for a user, much of it is the imports of new processes.
    """
    rng, faces = random.Random(seed), folder / "faces"
    for name in SPLITS:
        write_faces(faces / name, name)
    os.environ["OMP_NUM_THREADS"] = "1"
    started = time.monotonic()
    whole = folder / "whole"
    undisturbed, begun = sweep(whole, faces, plans, epochs, forked), time.monotonic()
    errors, length = undisturbed.communicate()[1], time.monotonic() - begun
    assert undisturbed.returncode == 0, errors
    expected, expected_table = outcome(whole), table(whole, folder / "report")
    done = wrong = rounds = 0
    while done < kills:
        store, rounds = folder / f"store{rounds}", rounds + 1
        code = None
        while code != 0:
            process = sweep(store, faces, plans, epochs, forked)
            if done < kills and rng.random() < 0.9:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0.1, 0.7) * length)
                if process.poll() is None:
                    kind, done = kill(rng, process.pid), done + 1
                    print(f"{done:4} {kind}", flush=True)
            errors = ended(process, 60 + 10 * length)
            code = process.returncode
            if errors is None or "Traceback" in errors:
                print(errors or "     somebody who was left alone does not end", flush=True)
                wrong += 1
        found = outcome(store)
        differences = {
            path for path in {*expected.files, *found.files} if expected.files.get(path) != found.files.get(path)
        }
        same_table = table(store, folder / f"report{rounds}") == expected_table
        wrong += len(differences) + len(found.again) + (not same_table)
        print(
            f"round {rounds}: {len(differences)} files differ, {len(found.again)} epochs again, table same: {same_table}"
        )
        shutil.rmtree(store)
    print(
        f"{done} kills in {rounds} sweeps of {len(expected.files)} files, {wrong} wrong, {time.monotonic() - started:.0f} s"
    )
    return wrong


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(Path(folder), given.kills, given.seed) > 0)


if __name__ == "__main__":
    main()
