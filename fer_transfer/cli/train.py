"""``fer-train``: run the plan of a configuration, stage by stage, and record it for the report."""

from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fer_transfer.cli.app import run

if TYPE_CHECKING:
    from fer_transfer.stages.runner import FinishedPlan


def train(config: DictConfig) -> "FinishedPlan | None":
    """Train what is not in the store yet and write the plan's record.

    Args:
        config: composed from ``conf/train.yaml``.

    Returns:
        The plan's jobs, in order, and how many were trained; None in a process that follows another (``stages.together``).
    """
    # Imported here: fer-train --help and tab completion need none of it.
    from fer_transfer import running
    from fer_transfer.sweeps.launching import shares_gpus

    if (
        config.runtime.device != "cpu"
        and HydraConfig.initialized()
        and HydraConfig.get().mode == RunMode.MULTIRUN
        and shares_gpus(HydraConfig.get().launcher)
    ):
        from fer_transfer.sweeps.gpus import take_gpu

        take_gpu(config.runtime.gpus_per_job)  # before anything asks for CUDA
    ran = running.run(config)
    return None if ran is None else ran.finished


def main() -> None:
    """Entry point of the command."""
    run("train", train)


if __name__ == "__main__":  # torchrun -m fer_transfer.cli.train
    main()
