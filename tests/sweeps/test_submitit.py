"""submitit's own executor on this machine: two jobs at once, and one that is killed."""

import os
import signal

import pytest
from clusters import start, undisturbed, until, workers

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra: pip install -e '.[submitit]'")


@pytest.mark.cluster
def test_a_killed_job_is_named_the_other_goes_on_and_so_does_the_same_command(tiny, tmp_path):
    rows, store = [*tiny, "recipe.epochs=40", "plan=emotiw,fer28"], tmp_path / "store"
    process = start(tmp_path, "-m", "hydra/launcher=submitit_local", *rows)
    until(lambda: workers(store), 300, "a job that trains")
    os.kill(workers(store)[0], signal.SIGKILL)
    err = process.communicate(timeout=400)[1]
    assert process.returncode == 1
    [line] = err.splitlines()
    assert line.startswith("error: ") and "ended without a result: killed" in line and "plan=" in line
    assert len(list(store.glob("*/result.json"))) == 1
    assert sum("weights" in path for path in undisturbed(tmp_path, *rows, f"runtime.store={store}")) == 2
