"""A SLURM of one node (tests/slurm.sh): jobs that are preempted, run out of time, are refused or killed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from clusters import content, epochs, start, undisturbed, until

pytestmark = pytest.mark.cluster
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra: pip install -e '.[submitit]'")

SCRIPT = Path(__file__).parents[1] / "slurm.sh"
SLURM = ["-m", "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment of a running SLURM; its jobs' state is asked every few seconds."""
    if os.getuid() or not all(
        shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("slurmctld", "slurmd", "munged")
    ):
        pytest.skip("needs root and Debian's slurmctld, slurmd, slurm-client and munge")
    folder = tmp_path_factory.mktemp("slurm")
    for parent in (folder, *folder.parents[:2]):  # munged is not root
        parent.chmod(0o755)
    done = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    subprocess.run([SCRIPT, "stop", folder], check=True)


def asked(slurm: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=os.environ | slurm, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def running(slurm: dict[str, str]) -> list[str]:
    return asked(slurm, "squeue", "--noheader", "--states=running", "--format=%i").split()


def again_at_once(slurm: dict[str, str], job: str) -> None:
    """What is queued again waits two minutes by default."""
    until(
        lambda: "PENDING" in asked(slurm, "squeue", "--noheader", f"--job={job}", "--format=%T"), 60, "the job's return"
    )
    asked(slurm, "scontrol", "update", f"jobid={job}", "StartTime=now")


@pytest.mark.parametrize("how", ["signal", "urgent"])
def test_a_preempted_job_is_queued_again_and_ends_as_if_nothing_had_been(slurm, tiny, tmp_path, how):
    rows, store = [*tiny, "recipe.epochs=30", "plan=fer28"], tmp_path / "store"
    process = start(tmp_path, *SLURM, *rows, **slurm)
    until(lambda: epochs(store) >= 3, 300, "the third epoch")
    [job] = running(slurm)
    if how == "signal":
        asked(slurm, "scancel", "--signal=USR2", job)
    else:
        asked(slurm, "sbatch", "--partition=urgent", "--ntasks=2", "--output=/dev/null", "--wrap=sleep 2")
    again_at_once(slurm, job)
    err = process.communicate(timeout=400)[1]
    assert process.returncode == 0, err
    assert asked(slurm, "scontrol", "show", "job", job).count("Restarts=1") == 1
    assert content(store) == undisturbed(tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}")


def test_sigterm_alone_brings_a_checkpoint_and_the_stage_goes_on(slurm, tiny, tmp_path):
    store = tmp_path / "store"
    process = start(tmp_path, *SLURM, *tiny, "recipe.epochs=30", "plan=fer28", **slurm)
    until(lambda: epochs(store) >= 3, 300, "the third epoch")
    [job] = running(slurm)
    asked(slurm, "scancel", "--signal=TERM", job)
    err = process.communicate(timeout=400)[1]
    assert process.returncode == 0, err
    assert "Restarts=0" in asked(slurm, "scontrol", "show", "job", job)


def test_a_job_at_its_time_limit_is_queued_again(slurm, tiny, tmp_path):
    """Of a minute; the signal comes 50 seconds before, give or take what SLURM rounds."""
    rows, store = [*tiny, "recipe.epochs=250", "plan=fer28"], tmp_path / "store"
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=20"]
    process = start(tmp_path, *SLURM, *limit, *rows, **slurm)
    until(lambda: running(slurm), 60, "the job")
    [job] = running(slurm)
    times = 0
    while process.poll() is None and times < 8:
        until(lambda: process.poll() is not None or not running(slurm), 120, "its end")
        if process.poll() is None and not content(store):
            again_at_once(slurm, job)
            times += 1
            until(lambda: process.poll() is not None or running(slurm), 60, "its return")
    err = process.communicate(timeout=200)[1]
    assert process.returncode == 0 and times >= 1, err
    assert content(store) == undisturbed(tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}")


def test_a_partition_that_there_is_not_is_told_once(slurm, tiny, tmp_path):
    process = start(
        tmp_path, *SLURM, "hydra.launcher.partition=nosuch", "recipe.seed=0,1", "plan=emotiw", *tiny, **slurm
    )
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    [line] = [line for line in err.splitlines() if not line.startswith("sbatch: ")]
    assert line.startswith("error: SLURM refuses the jobs: invalid partition specified: nosuch.")


def test_a_job_that_is_cancelled_fails_its_row_alone_and_the_same_command_goes_on(slurm, tiny, tmp_path):
    rows, store = [*tiny, "recipe.epochs=60", "plan=fer28,emotiw"], tmp_path / "store"
    process = start(tmp_path, *SLURM, *rows, **slurm)
    until(lambda: epochs(store) >= 3 and len(running(slurm)) == 2, 300, "the third epoch of two jobs")
    asked(slurm, "scancel", running(slurm)[0])
    err = process.communicate(timeout=400)[1]
    assert process.returncode == 1
    [line] = err.splitlines()
    assert line.startswith("error: ") and "A job was cancelled" in line and "plan=" in line
    assert len(list(store.glob("*/result.json"))) == 1, "the other one went on"
    assert undisturbed(tmp_path, *rows, f"runtime.store={store}") == undisturbed(
        tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}"
    )
