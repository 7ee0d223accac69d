"""``fer-train``: run the plan of a configuration, stage by stage, and record it for the report."""

from typing import TYPE_CHECKING

from fer_transfer.cli.front import front, help_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fer_transfer.stages.runner import FinishedPlan

HELP = help_text(
    """\
fer-train: train the stages of a plan that the store does not hold yet.

  fer-train plan=fer28_emotiw                    one plan
  fer-train plan=fer28_emotiw experiment=quick   few faces: is all in place?
  fer-train submission=sub3                      a row of the paper's table
  fer-train -m study=ng2015 backbone=resnet18 recipe.seed=0,1
                                    a study's plans; shared stages train once
  fer-train plan=fer28 recipe.epochs=5 recipe.backbone.weights=hub
                                    another length, another start
""",
    ["plan", "backbone", "submission", "study", "experiment"],
    "trained",
)


def train(config: "DictConfig") -> "FinishedPlan | None":
    """Train what is not in the store yet and write the plan's record.

    Args:
        config: composed from ``conf/train.yaml``.

    Returns:
        The plan's jobs, in order, and how many were trained; None in a process that follows another (``stages.together``), and
        where there was nothing but advice.

    Raises:
        ConfigError: of ``dry_run`` without a sweep, of ``advice`` with one; and as ``running.run``.
    """
    # Imported here: fer-train --help and tab completion need none of it.
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from fer_transfer import running
    from fer_transfer.errors import ConfigError
    from fer_transfer.sweeps.launching import shares_gpus

    sweeps = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    if config.dry_run and not sweeps:
        raise ConfigError(
            "Expected -m with dry_run=true, which says what a sweep would train. Add -m, of one plan too."
        )
    if config.advice:
        if sweeps:
            raise ConfigError("Expected one plan for advice=true, whose settings are measured. Leave -m out.")
        print(running.advise(config), flush=True)
        return None
    if sweeps and config.runtime.device != "cpu" and shares_gpus(HydraConfig.get().launcher):
        from fer_transfer.sweeps.gpus import take_gpu

        take_gpu(config.runtime.gpus_per_job)  # before anything asks for CUDA
    ran = running.run(config)
    return None if ran is None else ran.finished


def main() -> None:
    """Entry point of the command."""
    front("fer-train", HELP, "train")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("train", train)


if __name__ == "__main__":  # torchrun -m fer_transfer.cli.train
    main()
