"""A sweep while it runs: what every worker is at, read from the store by the launching process, which alone prints.

Workers write a log and how far they are into the folders of their stages; so their lines never mix, wherever they run.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fer_transfer.files.names import shown_text
from fer_transfer.signals import received
from fer_transfer.stages.metrics import fitted
from fer_transfer.stages.store import Store
from fer_transfer.sweeps.estimate import network_of, said
from fer_transfer.sweeps.graph import Task

_LOOK = 0.5  # seconds
_STAMP = len("2026-01-01 00:00:00 ")


class View:
    """Prints the lines of the stages that are trained, and in a terminal a table of them below.

    Args:
        store: where they are trained.
        tasks: of the sweep.
        workers: how many jobs run at once.
        stop_file: made when this process is told to stop, so that workers stop too.
        quiet: print nothing.
    """

    def __init__(self, store: Store, tasks: Sequence[Task], workers: int, stop_file: Path, quiet: bool) -> None:
        self.store, self.tasks, self.workers, self.stop_file, self.quiet = store, tasks, workers, stop_file, quiet
        self.console = Console(markup=False, highlight=False)
        self._by_key = {task.job.key: task for task in tasks if task.trains}
        self._read: dict[str, int] = {}
        self._now: dict[str, tuple[str, dict[str, Any]]] = {}
        self._rates: dict[str, float] = {}  # faces a second, by network, as seen last
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.console.print(shown_text(text), soft_wrap=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the store until the block ends."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, over: threading.Event) -> None:
        if self.quiet or not self.console.is_terminal:
            while not over.wait(_LOOK):
                self._look()
        else:
            with Live(get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True):
                while not over.wait(_LOOK):
                    self._look()
        self._look()

    def _look(self) -> None:
        if received() is not None and not self.stop_file.exists():
            self.stop_file.touch()
        try:
            names = os.listdir(self.store.work)
        except OSError:  # nothing has begun
            names = []
        self._now = {}
        for name in names:
            key, _, owner = name.partition(".")
            path = self.store.work / name
            if key in self._by_key and owner.count(".") >= 1 and not owner.startswith("left") and path.is_dir():
                self._now[key] = (_worker(name), _progress(path / "progress.json"))
                self._tell(key, path / "log.txt")
        for key, (_, now) in self._now.items():
            if now.get("faces_per_second"):
                self._rates[network_of(self._by_key[key].job.own.recipe)] = float(now["faces_per_second"])
        for key, task in self._by_key.items():
            if key not in self._now:
                self._tell(key, task.job.folder.log)  # what was said last, before it was renamed

    def _tell(self, key: str, log: Path) -> None:
        """Print what is new of a log; a stage that goes on has an older part, which is passed over."""
        task = self._by_key[key]
        try:
            with log.open(encoding="utf-8") as file:
                if key not in self._read:
                    self._read[key] = _before(log, self._started)
                file.seek(self._read[key])
                new = file.read()
        except OSError:
            return
        whole = new[: new.rfind("\n") + 1]
        self._read[key] += len(whole.encode())
        for line in whole.splitlines():
            name = f"[{task.number + 1}/{len(self.tasks)}] {task.name}"
            self.say(fitted(name, line[_STAMP:], self.console.width))

    def _table(self) -> Table:
        done = sum(task.done or task.error is not None for task in self.tasks)
        left = self._left()
        about = f", about {said(left)} left" if left is not None else ""
        table = Table(title=f"{done} of {len(self.tasks)} stages{about}", box=None, expand=False, title_justify="left")
        for heading in ("", "stage", "worker", "epoch", "loss", "selection", "faces/s"):
            table.add_column(heading, no_wrap=True, justify="left" if heading in ("", "stage", "worker") else "right")
        for key, (worker, now) in sorted(self._now.items(), key=lambda item: self._by_key[item[0]].number):
            task = self._by_key[key]
            table.add_row(f"{task.number + 1}", task.name, worker, *_cells(now))
        return table

    def _left(self) -> float | None:
        """Seconds for what is not done, over the workers; None where no stage of a network has been seen."""
        total = 0.0
        for task in self.tasks:
            if task.done or task.error is not None:
                continue
            _, now = self._now.get(task.job.key, ("", {}))
            share = float(now["done"]) / float(now["epochs"]) if now.get("epochs") else 0.0
            rate = self._rates.get(network_of(task.job.own.recipe))
            seconds = task.seconds if task.seconds is not None else task.faces / rate if rate else None
            if seconds is None:
                return None
            total += seconds * (1 - min(share, 1.0))
        return total / self.workers


def _worker(name: str) -> str:
    _, pid, _, host = name.split(".", 3)
    return f"{host.rpartition('-')[0]}:{pid}"


def _progress(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _cells(now: dict[str, Any]) -> list[str]:
    forms: dict[str, Callable[[float], str]] = {
        "done": lambda v: f"{v:.1f}/{now['epochs']}",
        "loss": "{:.3f}".format,
        "selection": "{:.1%}".format,
        "faces_per_second": "{:.0f}".format,
    }
    return [form(now[name]) if name in now else "" for name, form in forms.items()]


def _before(log: Path, started: float) -> int:
    """Bytes of a log from before this sweep: none where it was begun since."""
    state = log.stat()
    age = time.time() - state.st_mtime
    return state.st_size if age > time.monotonic() - started else 0
