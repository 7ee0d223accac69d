"""Hydra's launchers as sweeps use them: is one installed, how many jobs run at once, with how many threads, and what went wrong.

A launcher is known by the ``_target_`` of its settings (``conf/hydra/launcher``), so that a file of the user's own counts too.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from fer_transfer.errors import ConfigError, FerTransferError, LaunchError
from fer_transfer.outcome import Outcome

_AGAIN = "The same command goes on from the last checkpoint."


@dataclass(frozen=True)
class _Extra:
    """What has to be installed for a launcher: modules that are imported, and the extra that brings them."""

    name: str
    modules: tuple[str, ...]


_JOBLIB, _SLURM, _LOCAL, _RAY = "JoblibLauncher", "SlurmLauncher", "LocalLauncher", "RayLauncher"
_SUBMITIT = _Extra("submitit", ("hydra_plugins.hydra_submitit_launcher", "submitit"))
_EXTRAS = {
    _JOBLIB: _Extra("joblib", ("hydra_plugins.hydra_joblib_launcher", "joblib")),
    _SLURM: _SUBMITIT,
    _LOCAL: _SUBMITIT,
    _RAY: _Extra("ray", ("ray",)),
}


def kind_of(launcher: Mapping[str, Any]) -> str:
    """The class that the settings of a launcher name, without its module.

    >>> kind_of({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"})
    'BasicLauncher'
    """
    return str(launcher["_target_"]).rpartition(".")[2]


def check_launcher(launcher: Mapping[str, Any]) -> None:
    """Refuse a launcher that cannot start here.

    Raises:
        ConfigError: if its extra is not installed, or it is SLURM's and there is no ``sbatch``.
    """
    kind = kind_of(launcher)
    extra = _EXTRAS.get(kind)
    if extra and (missing := [module for module in extra.modules if not _is_installed(module)]):
        name = missing[-1].rpartition(".")[2].replace("_", "-")
        raise ConfigError(
            f"Expected {name} to be installed for this launcher ({kind}), but it is not. Give: pip install "
            f"'fer_transfer[{extra.name}]'"
        )
    if kind == _SLURM and not shutil.which("sbatch"):
        raise ConfigError(
            "Expected a machine of a SLURM cluster, but there is no sbatch in PATH. Give the command on a login node, or choose "
            "hydra/launcher=joblib."
        )


def workers_of(launcher: Mapping[str, Any], cores: int | None = None) -> int:
    """How many jobs run at once, at most.

    Args:
        launcher: its settings.
        cores: of the machine, or of the cluster under Ray; null: those that this process may use.

    >>> workers_of({"_target_": "x.JoblibLauncher", "n_jobs": -2}, cores=8)
    7
    >>> workers_of({"_target_": "x.RayLauncher", "num_cpus": 0.5}, cores=8)
    16
    """
    kind, cores = kind_of(launcher), cores or own_cores()
    if kind == _JOBLIB:
        jobs = -1 if launcher.get("n_jobs") is None else int(launcher["n_jobs"])
        return max(jobs if jobs > 0 else cores + 1 + jobs, 1)
    if kind == _SLURM:
        return int(launcher.get("array_parallelism") or 256)
    if kind == _LOCAL:
        return max(cores // int(launcher.get("cpus_per_task") or 1), 1)
    if kind == _RAY:
        return max(int(cores / float(launcher.get("num_cpus") or 1)), 1)
    return 1


def threads_of(launcher: Mapping[str, Any], cores: int | None = None) -> int | None:
    """Threads of a job that are its fair share, or None where all are (one job at a time, or a cluster that decides).

    >>> threads_of({"_target_": "x.JoblibLauncher", "n_jobs": 3}, cores=8)
    2
    """
    kind, cores = kind_of(launcher), cores or own_cores()
    if kind == _JOBLIB:
        return max(cores // workers_of(launcher, cores), 1)
    if kind in (_SLURM, _LOCAL):
        given = launcher.get("cpus_per_task")
        return int(given) if given else None
    return max(int(launcher.get("num_cpus") or 1), 1) if kind == _RAY else None


def launch_size(launcher: Mapping[str, Any]) -> int | None:
    """Jobs that one launch may be given, or None: any number.

    submitit's local executor starts all that it is given; SLURM takes an array of 1001 as it comes (``MaxArraySize``).
    """
    return {_LOCAL: workers_of(launcher), _SLURM: 1000}.get(kind_of(launcher))


@contextmanager
def each_for_itself(launcher: Mapping[str, Any]) -> Iterator[None]:
    """Let a job of submitit's that was lost be a failure of its own: its launcher gives up the others, which go on, as well."""
    if kind_of(launcher) not in (_SLURM, _LOCAL):
        yield
        return
    from submitit.core import core
    from submitit.core.utils import UncompletedJobError

    of_jobs: Any = core.Job
    results = of_jobs.results

    def results_or_loss(job: Any) -> list[Any]:
        try:
            return list(results(job))
        except UncompletedJobError as error:
            return [JobReturn(status=JobStatus.FAILED, _return_value=error)]

    of_jobs.results = results_or_loss
    try:
        yield
    finally:
        of_jobs.results = results


def shares_gpus(launcher: Mapping[str, Any]) -> bool:
    """Whether jobs run side by side on one machine, and nobody gives each its GPU."""
    return kind_of(launcher) == _JOBLIB


def own_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def explained(error: BaseException) -> str:
    """What a launcher raised, in one line: what happened and what to do.

    Args:
        error: of joblib's, submitit's, Ray's kinds, which are known by name, or any other.
    """
    if isinstance(error, FerTransferError):
        return str(error)
    for known in type(error).__mro__:
        if explain := _EXPLANATIONS.get((known.__module__.partition(".")[0], known.__name__)):
            return explain(" ".join(str(error).split()))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def outcome_of(back: JobReturn | None) -> Outcome:
    """What a job came to."""
    if back is None:
        return Outcome()
    value = back._return_value
    if back.status is JobStatus.FAILED:
        return Outcome(error=explained(value))
    return value if isinstance(value, Outcome) else Outcome()


def nothing_started(error: BaseException) -> bool:
    """Whether a launcher refused all of its jobs alike: then it is told once, and launching more would bring the same."""
    package, name = type(error).__module__.partition(".")[0], type(error).__name__
    refused = package == "submitit" and name in ("FailedJobError", "FailedSubmissionError")
    return type(error) is LaunchError or (refused and "sbatch: error" in str(error))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _joblib_worker(text: str) -> str:
    signals = re.findall(r"SIG[A-Z]+\(-\d+\)", text)
    by = f" by {signals[0].partition('(')[0]}" if signals else ""
    return (
        f"A worker process was ended{by}, which is what happens where memory runs out. Give fewer workers "
        f"(hydra.launcher.n_jobs=N) or a smaller recipe.batch_size. {_AGAIN}"
    )


#: What a job that left no result ended as, in SLURM's words, and what to do.
_STATES = {
    "OUT_OF_MEMORY": "ran out of memory. Give more (hydra.launcher.mem_gb=N)",
    "CANCELLED": "was cancelled",
    "TIMEOUT": "reached its time limit before it was queued again. Give hydra.launcher.signal_delay_s more than a step takes",
    "NODE_FAIL": "lost its node",
}


def _submitit_job(text: str) -> str:
    if "timed-out too many times" in text:
        return f"A job reached its time limit too often. Give more: hydra.launcher.timeout_min or max_num_timeout. {_AGAIN}"
    state = next((state for state in _STATES if state in text), None)
    folder = re.search(r"(\S*/submitit/\S+)_result\.pkl|(\S*/submitit)\b", text)
    log = f" Its output is in {(folder[1] or folder[2])}*." if folder else ""
    end = _STATES[state] if state else "ended without a result: killed, most often for memory"
    return f"A job {end}.{log} {_AGAIN}"


def _submission(text: str) -> str:
    """Of sbatch, which says what it refuses, behind what was called and before where in submitit that was."""
    said = re.findall(r"(?:sbatch|srun): error: (.*?)(?= sbatch: | srun: |$)", text)
    if not said:
        return _submitit_job(text)
    what = said[0].rstrip(".")
    advice = " sinfo lists the partitions; give hydra.launcher.partition=NAME." if "partition" in text.lower() else ""
    return f"SLURM refuses the jobs: {what}.{advice}"


def _ray_worker(text: str) -> str:
    return (
        "A worker process of Ray's died, again after every retry (hydra.launcher.max_retries), which is what happens where "
        f"memory runs out. Give a stage more of a node (hydra.launcher.num_cpus=N) or a smaller recipe.batch_size. {_AGAIN}"
    )


def _ray_memory(text: str) -> str:
    return (
        "Ray ended a worker process because its node ran out of memory. Give a stage more of a node (hydra.launcher.num_cpus=N) "
        f"or a smaller recipe.batch_size. {_AGAIN}"
    )


def _ray_node(text: str) -> str:
    return f"A node of the Ray cluster was lost, again after every retry (hydra.launcher.max_retries). {_AGAIN}"


def _own_memory(text: str) -> str:
    return f"The job ran out of memory ({text[:120] or 'of the machine'}). Give a smaller recipe.batch_size. {_AGAIN}"


#: By package and name: none of these packages has to be installed.
_EXPLANATIONS: dict[tuple[str, str], Callable[[str], str]] = {
    ("joblib", "TerminatedWorkerError"): _joblib_worker,
    ("concurrent", "BrokenProcessPool"): _joblib_worker,
    ("submitit", "FailedJobError"): _submission,
    ("submitit", "FailedSubmissionError"): _submission,
    ("submitit", "UncompletedJobError"): _submitit_job,
    ("ray", "WorkerCrashedError"): _ray_worker,
    ("ray", "OutOfMemoryError"): _ray_memory,
    ("ray", "NodeDiedError"): _ray_node,
    ("ray", "ObjectLostError"): _ray_node,
    ("torch", "OutOfMemoryError"): _own_memory,
    ("builtins", "MemoryError"): _own_memory,
}
