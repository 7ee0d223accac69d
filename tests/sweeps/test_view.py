"""What a sweep shows while it runs, from the folders of the stages alone."""

import io
import json
import time
from types import SimpleNamespace

from rich.console import Console

from fer_transfer.stages.store import StageFolder, Store
from fer_transfer.sweeps.graph import Task
from fer_transfer.sweeps.view import View

RECIPE = {"backbone": {"name": "net"}, "augment": {}, "precision": "32-true", "frozen": []}


def made(store, count):
    """Stages of one network, of 1000 faces each."""
    keys = [f"{n:016x}" for n in range(count)]
    jobs = [
        SimpleNamespace(
            stage=SimpleNamespace(name=f"stage{n}"),
            key=key,
            own=SimpleNamespace(seed=n, recipe=RECIPE),
            folder=StageFolder(store.root / key),
        )
        for n, key in enumerate(keys)
    ]
    return [Task(n, job, None, True, (), faces=1000) for n, job in enumerate(jobs)]


def begun(store, task, pid, **progress):
    folder = store.work / f"{task.job.key}.{pid}.0123abcd.a-host-4026531836"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "progress.json").write_text(json.dumps(progress))
    return folder / "log.txt"


def test_a_row_a_worker_whole_lines_and_the_time_left(tmp_path):
    store = Store(tmp_path / "store")
    tasks = made(store, 12)
    view = View(store, tasks, 2, tmp_path / "stop", quiet=False)
    view.console = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    now = {"done": 5.0, "epochs": 10, "loss": 1.25, "selection": 0.5, "faces_per_second": 100.0}
    log = begun(store, tasks[1], 41, **now)
    log.write_text("2026-01-01 00:00:00 5/10 loss 1.25\n2026-01-01 00:00:01 6/10 lo")
    begun(store, tasks[2], 42)
    time.sleep(0.01)
    view._look()
    assert view.console.file.getvalue() == "[2/12] stage1 00000000 seed 1 5/10 loss 1.25\n", (
        "a line that is not whole waits"
    )
    assert view._left() == (11 * 10 + 5) / 2, "by the rate of the stage that is seen: eleven to do, and half of one"
    view.console.print(view._table())
    table = view.console.file.getvalue().splitlines()[1:]
    assert all(len(line) <= 80 for line in table) and "0 of 12 stages, about 58 s left" in table[0]
    assert table[2].split() == ["2", "stage1", "00000000", "seed", "1", "a-host:41", "5.0/10", "1.250", "50.0%", "100"]
    assert "a-host:42" in table[3]
    tasks[1].done = True
    log.parent.rename(store.root / tasks[1].job.key)
    with (store.root / tasks[1].job.key / "log.txt").open("a") as file:
        file.write("ss 1.0\n")
    view._look()
    assert view.console.file.getvalue().splitlines()[-1] == "[2/12] stage1 00000000 seed 1 6/10 loss 1.0"
    assert view._left() == 11 * 10 / 2
