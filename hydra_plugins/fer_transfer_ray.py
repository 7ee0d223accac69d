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
            LaunchError: if the cluster is not there.
            ClusterLostError: if it is lost.
        """
        from fer_transfer.sweeps.ray_driver import Launch, launch
        from fer_transfer.sweeps.ray_tasks import Jobs, Needs

        runtime: Any = self.config.get("runtime") or {"device": "cpu", "gpus_per_job": 0}
        share = 0.0 if runtime["device"] == "cpu" else float(runtime["gpus_per_job"])
        return launch(
            Launch(
                Jobs(self.context, self.config, self.task, os.getcwd(), Singleton.get_state()),
                self.address,
                Needs(self.num_cpus, self.num_gpus, share, self.max_retries),
                [list(overrides) for overrides in job_overrides],
                [list(needed) for needed in parents],
                initial_job_idx,
            )
        )
