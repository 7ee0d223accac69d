"""submitit's own executor on this machine: two jobs at once, and one that is killed."""

import os
import signal

import pytest
from clusters import content, start, undisturbed, until, workers

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra: pip install -e '.[submitit]'")


def test_a_killed_job_is_named_the_other_goes_on_and_so_does_the_same_command(tiny, tmp_path):
    rows, store = [*tiny, "recipe.epochs=60", "plan=emotiw,fer28"], tmp_path / "store"
    process = start(tmp_path, "-m", "hydra/launcher=submitit_local", *rows)
    until(lambda: len(workers(store)) == 2, 120, "two jobs at once")
    os.kill(workers(store)[0], signal.SIGKILL)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    [line] = err.splitlines()
    assert line.startswith("error: ") and "ended without a result: killed" in line and "plan=" in line
    assert len(list(store.glob("*/result.json"))) == 1
    again = start(tmp_path, "-m", "hydra/launcher=submitit_local", *rows)
    assert again.wait(120) == 0, again.communicate()
    assert content(store) == undisturbed(tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}")
