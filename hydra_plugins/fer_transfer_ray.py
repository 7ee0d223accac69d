"""``hydra/launcher=ray``: the jobs of a sweep as tasks of Ray. Nothing of Ray is imported before something is launched."""

import os
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """Hands jobs to Ray.

    Args:
        address: null for a Ray of this command's own; ``auto`` or ``HOST:PORT`` for a running one.
        num_cpus: of a job.
        num_gpus: of a job, or null: ``runtime.gpus_per_job`` where the cluster has GPUs.
        max_retries: times a job whose process or node was lost is started again.
    """

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float | None, max_retries: int) -> None:
        self.address, self.num_cpus, self.num_gpus, self.max_retries = address, num_cpus, num_gpus, max_retries

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what every job needs."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs of which none needs another."""
        done = self.launch_graph(job_overrides, [()] * len(job_overrides), initial_job_idx)
        return [job for job in done if job is not None]  # all: without parents none is left out

    def launch_graph(
        self, job_overrides: Sequence[Sequence[str]], parents: Sequence[Sequence[int]], initial_job_idx: int
    ) -> Sequence[JobReturn | None]:
        """Run jobs, each as soon as its parents have come back without an error.

        Args:
            job_overrides: of each job; what stands first is started first.
            parents: indices of the jobs that each one needs, all of them before it.
            initial_job_idx: number of the first job.

        Returns:
            What each job came back with; None for one whose parent failed or was not started.

        Raises:
            ConfigError: if the cluster is not there, is lost, or has no node that is large enough for a job.
        """
        from fer_transfer.sweeps.ray_tasks import Jobs, connected, run

        jobs = Jobs(self.context, self.config, self.task, os.getcwd(), Singleton.get_state())
        with connected(self.address, self.max_retries):
            return run(jobs, job_overrides, parents, initial_job_idx, self._resources())

    def _resources(self) -> dict[str, float]:
        """What a job takes of a node, as ``ray.remote`` reads it."""
        import ray

        gpus: float | None = self.num_gpus
        if gpus is None:
            runtime: Any = self.config.get("runtime") or {}
            has = runtime.get("device", "cpu") != "cpu" and ray.cluster_resources().get("GPU", 0)
            gpus = runtime["gpus_per_job"] if has else 0
        return {"num_cpus": self.num_cpus, "num_gpus": gpus, "max_retries": self.max_retries}
