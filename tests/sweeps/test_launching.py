"""How many jobs run at once, with how many threads, and what an error of a launcher's own means."""

import os
import signal

import pytest

from fer_transfer.errors import ConfigError, LaunchError
from fer_transfer.settings import compose
from fer_transfer.sweeps.launching import (
    check_launcher,
    explained,
    launch_size,
    nothing_started,
    shares_gpus,
    threads_of,
    workers_of,
)

BASIC = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
JOBLIB, LOCAL, SLURM, RAY = ({"_target_": f"x.{name}Launcher"} for name in ("Joblib", "Local", "Slurm", "Ray"))


@pytest.mark.parametrize(
    ("launcher", "workers", "threads"),
    [
        (BASIC, 1, None),
        (JOBLIB | {"n_jobs": -1}, 8, 1),
        (JOBLIB | {"n_jobs": -2}, 7, 1),
        (JOBLIB | {"n_jobs": -20}, 1, 8),
        (JOBLIB | {"n_jobs": 3}, 3, 2),
        (JOBLIB | {"n_jobs": 16}, 16, 1),
        (LOCAL | {"cpus_per_task": 3}, 2, 3),
        (LOCAL | {"cpus_per_task": None}, 8, None),
        (SLURM | {"array_parallelism": 12, "cpus_per_task": 4}, 12, 4),
        (RAY | {"num_cpus": 0.5}, 16, 1),
        (RAY | {"num_cpus": 4}, 2, 4),
        (RAY | {"num_cpus": 16}, 1, 16),
    ],
)
def test_workers_and_threads_share_eight_cores(launcher, workers, threads):
    assert (workers_of(launcher, cores=8), threads_of(launcher, cores=8)) == (workers, threads)


def test_only_some_share_a_machine_without_anybody_to_share_it_out():
    assert [shares_gpus(each) for each in (BASIC, JOBLIB, LOCAL, SLURM, RAY)] == [False, True, False, False, False]
    local = LOCAL | {"cpus_per_task": 9999}
    assert [launch_size(each) for each in (JOBLIB, local, SLURM, RAY)] == [None, 1, 1000, None]


@pytest.mark.filterwarnings("ignore:(?s).*is validated against ConfigStore schema")
@pytest.mark.parametrize("name", ["joblib", "submitit_local", "submitit_slurm", "ray"])
def test_a_preset_composes_and_is_known_by_its_target(name):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from fer_transfer.config import conf_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra_compose("train", [f"hydra/launcher={name}"], return_hydra_config=True)
    assert workers_of(config.hydra.launcher) >= 1 and workers_of(config.hydra.launcher, 8) > 1
    assert "hydra" not in compose("train", [f"hydra/launcher={name}"])


@pytest.mark.parametrize(
    ("launcher", "extra"),
    [("joblib", "joblib"), ("submitit_local", "submitit"), ("submitit_slurm", "submitit"), ("ray", "ray")],
)
def test_a_launcher_that_is_not_installed_is_one_line(command, tiny, monkeypatch, launcher, extra):
    monkeypatch.setattr("fer_transfer.sweeps.launching.find_spec", lambda module: None)
    code, out, err = command("train", "-m", f"hydra/launcher={launcher}", *tiny)
    assert code == 1 and not out
    [line] = err.splitlines()
    assert line.startswith("error: Expected ") and line.endswith(f"pip install 'fer_transfer[{extra}]'")


def test_slurm_where_there_is_none(monkeypatch):
    monkeypatch.setattr("fer_transfer.sweeps.launching.find_spec", lambda module: object())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="no sbatch in PATH"):
        check_launcher(SLURM)
    check_launcher(JOBLIB)


def _killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_of_joblibs():
    joblib = pytest.importorskip("joblib")
    with pytest.raises(Exception, match="SIGKILL") as found:
        joblib.Parallel(2)(joblib.delayed(_killed)() for _ in range(2))
    line = explained(found.value)
    assert "\n" not in line and "ended by SIGKILL" in line and "n_jobs" in line
    assert not nothing_started(found.value)


REFUSED = """Batch job submission failed: sbatch: error: invalid partition specified: nosuch
sbatch: error: Batch job submission failed: Invalid partition name specified
"""
LOST = """Job (task=0) with path /s/.work/submitit/7_0/7_0_0_result.pkl
has not produced any output (state: OUT_OF_MEMORY)
Error stream produced:
----------------------------------------
Bus error"""


def test_jobs_of_slurm_that_are_refused_or_lost():
    utils = pytest.importorskip("submitit.core.utils")
    assert explained(utils.FailedJobError(REFUSED)) == (
        "SLURM refuses the jobs: invalid partition specified: nosuch. sinfo lists the partitions; give "
        "hydra.launcher.partition=NAME."
    )
    assert nothing_started(utils.FailedJobError(REFUSED))
    line = explained(utils.UncompletedJobError(LOST))
    assert line.startswith("A job ran out of memory. Give more (hydra.launcher.mem_gb=N)")
    assert "/s/.work/submitit/7_0/7_0_0*" in line and "\n" not in line
    assert not nothing_started(utils.UncompletedJobError(LOST))
    late = utils.UncompletedJobError("Job not requeued because: timed-out too many times.")
    assert "hydra.launcher.timeout_min" in explained(late)


def test_what_ray_says_of_its_workers():
    errors = pytest.importorskip("ray.exceptions")
    assert "max_retries" in explained(errors.WorkerCrashedError())
    assert "num_cpus" in explained(errors.OutOfMemoryError("Task was killed due to the node running low on memory."))


def test_any_other_error_is_its_first_line():
    torch = pytest.importorskip("torch")
    assert explained(ConfigError("as it is")) == "as it is"
    assert explained(KeyError()) == "KeyError"
    assert explained(RuntimeError("\n one \n two")) == "RuntimeError: one"
    assert "recipe.batch_size" in explained(torch.OutOfMemoryError("CUDA out of memory."))
    assert "recipe.batch_size" in explained(MemoryError())
    assert nothing_started(LaunchError("")) and not nothing_started(ConfigError(""))


def test_a_ray_that_does_not_come_up_is_one_line(monkeypatch):
    """On a machine that is too busy Ray raises an ``Exception`` of no kind."""
    ray = pytest.importorskip("ray")
    from fer_transfer.sweeps.ray_tasks import connected

    def init(*_, **__):
        raise Exception("The current node timed out during startup. This could happen ...\nmore")

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(
            LaunchError, match=r"^Ray could not be started on this machine: The current node [^\n]*joblib\.$"
        ),
        connected(None, 3),
    ):
        raise AssertionError
