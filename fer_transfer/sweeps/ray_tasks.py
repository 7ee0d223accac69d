"""The jobs of a sweep as tasks of Ray: a task a job, what its parents return as its arguments. Which runs when, Ray decides."""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from fer_transfer.errors import LaunchError


@dataclass(frozen=True)
class Jobs:
    """What all jobs of a sweep share; sent once.

    Attributes:
        context, config, task: as Hydra sets a launcher up.
        folder: working directory, which relative paths of the configuration start from.
        singletons: Hydra's.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction
    folder: str
    singletons: Any


@dataclass(frozen=True)
class Needs:
    """Of a job.

    Attributes:
        cpus: of a node.
        gpus: of a node; null: ``share`` where there are any.
        share: of a GPU.
        retries: times a job whose process or node was lost is started again.
    """

    cpus: float
    gpus: float | None
    share: float
    retries: int

    def options(self) -> dict[str, Any]:
        """As ``ray.remote`` takes them."""
        gpus = (self.share if ray.cluster_resources().get("GPU") else 0) if self.gpus is None else self.gpus
        return {"num_cpus": self.cpus, "num_gpus": gpus, "max_retries": self.retries}


@contextmanager
def connected(address: str | None, max_retries: int) -> Iterator[None]:
    """Start a Ray on this machine, or connect to one that runs, and leave it at the end.

    Args:
        address: null, ``auto`` or ``HOST:PORT``.
        max_retries: of a task that the memory monitor of an own Ray ended, which by default is endless.

    Raises:
        LaunchError: if none runs there, or none can be started.
    """
    own: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": 128 << 20,  # results of jobs are small
        "_system_config": {"task_oom_retries": max_retries},
    }
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its coming default
    if address and ":" in address:
        _expect_there(address)
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else own))
    except Exception as error:  # of this very class, where a node of its own does not come up in time
        raise LaunchError(_not_connected(address, error)) from None
    try:
        yield
    finally:
        ray.shutdown()


def _not_connected(address: str | None, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if address is None:
        return (
            f"Ray could not be started on this machine: {reason}. Repeat the command when it is less busy, or choose "
            "hydra/launcher=joblib."
        )
    return (
        f"Expected a running Ray for hydra.launcher.address={address}, but: {reason}. Start one with ray start --head "
        "(RAY_AUTH_TOKEN has to be the same everywhere), or leave the address out for a Ray on this machine."
    )


def run(
    jobs: Jobs,
    overrides: Sequence[Sequence[str]],
    parents: Sequence[Sequence[int]],
    first: int,
    needs: Needs,
) -> list[JobReturn | None]:
    """Run all jobs, each as soon as its parents have come back well.

    Args:
        jobs: what they share.
        overrides: of each.
        parents: of each, all before it.
        first: number of the first.
        needs: of each.

    Returns:
        What each came back with; None for one whose parent did not end well.
    """
    options = needs.options()
    _expect_room(options)
    task, shared = ray.remote(**options)(_run_one), ray.put(jobs)
    tasks: list[Any] = []
    for number, words in enumerate(overrides):
        needed = [tasks[parent] for parent in parents[number]]
        tasks.append(task.remote(shared, list(words), first + number, *needed))
    done: list[JobReturn | None] = []
    for number, words in enumerate(overrides):
        started = all(went_well(done[parent]) for parent in parents[number])
        done.append(_result(tasks[number], words) if started else None)
    return done


def went_well(job: JobReturn | None) -> bool:
    """Whether jobs that need this one may start."""
    if job is None or job.status != JobStatus.COMPLETED:
        return False
    outcome = job.return_value
    return getattr(outcome, "error", None) is None and getattr(outcome, "stopped", None) is None


def _run_one(jobs: Jobs, overrides: list[str], number: int, *parents: JobReturn | None) -> JobReturn | None:
    """One job, in a worker process of Ray's."""
    if not all(went_well(parent) for parent in parents):
        return None
    os.chdir(jobs.folder)
    setup_globals()
    Singleton.set_state(jobs.singletons)
    config = jobs.context.config_loader.load_sweep_config(jobs.config, overrides)
    with open_dict(config):
        config.hydra.job.id = f"{config.hydra.job.name}_{number}"
        config.hydra.job.num = number
    HydraConfig.instance().set_config(config)
    return run_job(
        task_function=jobs.task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=jobs.context,
    )


def _result(task: Any, overrides: Sequence[str]) -> JobReturn | None:
    """What a task came back with; a job that failed where Ray itself did, after its retries.

    Raises:
        LocalRayletDiedError: if Ray is gone here.
    """
    try:
        done: JobReturn | None = ray.get(task)
        return done
    except ray.exceptions.LocalRayletDiedError:
        raise  # nothing else will come either
    except ray.exceptions.RayError as error:
        return JobReturn(list(overrides), status=JobStatus.FAILED, _return_value=error)


def _expect_there(address: str) -> None:
    """Refuse an address that nobody listens at; Ray would try for a minute, and say more than a line."""
    if not _is_there(address.removeprefix("ray://")):
        raise LaunchError(
            f"Expected a running Ray at hydra.launcher.address={address}, but nothing answers there. Start one with ray start "
            "--head, or leave the address out for a Ray on this machine."
        )


def _is_there(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _expect_room(options: dict[str, Any]) -> None:
    """A job larger than every node waits for ever; a cluster that grows may still bring one."""
    asked = {"CPU": options["num_cpus"], "GPU": options["num_gpus"]}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(kind, 0) >= amount for kind, amount in asked.items()) for node in nodes):
        return
    found = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes[:3])
    print(
        f"warning: expected a node with {asked['CPU']:g} CPUs and {asked['GPU']:g} GPUs (hydra.launcher.num_cpus, num_gpus), but "
        f"Ray has {len(nodes)} ({found}); jobs wait for one that is large enough",
        file=sys.stderr,
        flush=True,
    )
