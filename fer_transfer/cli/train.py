"""``fer-train``: run the plan of a configuration, stage by stage, and record it for the report."""

from typing import TYPE_CHECKING

from fer_transfer.cli.front import front

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fer_transfer.stages.runner import FinishedPlan

HELP = """\
fer-train: train the stages of a plan that the store does not hold yet.

  fer-train plan=fer28_emotiw                    one plan
  fer-train plan=fer28_emotiw experiment=quick   few faces: is all in place?
  fer-train submission=sub3                      a row of the paper's table
  fer-train -m study=ng2015 backbone=resnet18 recipe.seed=0,1
                                    a study's plans; shared stages train once
  fer-train plan=fer28 recipe.epochs=5 recipe.backbone.weights=hub
                                    another length, another start

Choices (GROUP=NAME):
  plan         {plan}
  backbone     {backbone}
  submission   {submission}
  study        {study}
  experiment   {experiment}

  --settings [WORD]    every setting: default, meaning, choices
  --cfg job            the configuration that would run; nothing is trained
"""


def train(config: "DictConfig") -> "FinishedPlan | None":
    """Train what is not in the store yet and write the plan's record.

    Args:
        config: composed from ``conf/train.yaml``.

    Returns:
        The plan's jobs, in order, and how many were trained; None in a process that follows another (``stages.together``).
    """
    # Imported here: fer-train --help and tab completion need none of it, nor do most mistakes need what is below look().
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from fer_transfer.config import bind, plain, text_given, typed
    from fer_transfer.signals import check, stop_file
    from fer_transfer.stages.plan import plan_from
    from fer_transfer.study import study_from
    from fer_transfer.sweeps.launching import shares_gpus

    if (
        config.runtime.device != "cpu"
        and HydraConfig.initialized()
        and HydraConfig.get().mode == RunMode.MULTIRUN
        and shares_gpus(HydraConfig.get().launcher)
    ):
        from fer_transfer.sweeps.gpus import take_gpu

        take_gpu(config.runtime.gpus_per_job)  # before anything asks for CUDA
    study, plan = study_from(plain(config.study)), plan_from(config)
    note, submission = (text_given({key: plain(config[key])}, key) for key in ("note", "submission"))
    from fer_transfer.stages.early import look
    from fer_transfer.stages.runtime import Runtime

    runtime = typed(Runtime, plain(config.runtime), "The runtime")
    look(plan, runtime, study)
    from fer_transfer.stages.recording import write_record
    from fer_transfer.stages.runner import Runner
    from fer_transfer.stages.together import joined

    options = plain(config.logger)
    logger = bind("logger", options, ("plan", "stage", "key")) if options["_target_"] else None
    with stop_file(runtime.stop_file), joined(runtime.accelerator) as together:
        runner = Runner(runtime, study, logger, note, bool(config.repair), bool(config.retry), together)
        if not together.ranks.leads:
            runner.follow(plan)
            return None
        check()
        finished = runner.run_plan(plan, config.stage)
        if config.stage is None:
            record = write_record(runner.store, finished, submission, note)
            if runtime.progress != "none":
                from fer_transfer.reports.ending import ending

                print(ending([record], {}, runner.store.root, study), flush=True)
    return finished


def main() -> None:
    """Entry point of the command."""
    front("fer-train", HELP, "train")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("train", train)


if __name__ == "__main__":  # torchrun -m fer_transfer.cli.train
    main()
