"""A sweep of fer-train in a process of its own, as the tests of launchers follow it, disturb it and compare what it leaves."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MAIN = "from fer_transfer.cli.train import main; main()"


def start(cwd: Path, *overrides: str, **environment: str) -> "subprocess.Popen[str]":
    """Start fer-train; its output can be read when it ends."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *overrides],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )


def until(ready: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come in {seconds} s"
        time.sleep(0.2)


def epochs(store: Path) -> int:
    """Of the stage that is in work and has most of them."""
    rows = [len(path.read_text().splitlines()) - 1 for path in store.glob(".work/*/metrics.csv")]
    return max(rows, default=0)


def workers(store: Path) -> list[int]:
    """Processes that train a stage, by the names of their folders (KEY.PROCESS.RANDOM.HOST)."""
    return [int(path.name.split(".")[1]) for path in store.glob(".work/*.*.*.*") if (path / "metrics.csv").exists()]


def content(store: Path) -> dict[str, str]:
    """Digests of the weights and predictions of finished stages, by their paths."""
    files = [*store.glob("*/weights.safetensors"), *store.glob("*/predictions/*")]
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def undisturbed(cwd: Path, *overrides: str) -> dict[str, str]:
    """What the same rows leave, one job after the other in one process; the last override of the store counts."""
    process = start(cwd, "-m", "runtime.threads=1", *overrides)
    assert process.wait(300) == 0, process.communicate()
    return content([Path(word.partition("=")[2]) for word in overrides if word.startswith("runtime.store=")][-1])
