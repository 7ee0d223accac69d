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
    # Imported here: fer-train --help and tab completion need none of it, nor do mistakes in the plan need what is below it.
    from fer_transfer.config import plain, text_given, typed
    from fer_transfer.files.names import shown_text
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
    from fer_transfer.stages.recording import write_record
    from fer_transfer.stages.runner import Runner
    from fer_transfer.stages.runtime import Runtime
    from fer_transfer.stages.together import joined
    from fer_transfer.tracking.trackers import tracker_of

    runtime = typed(Runtime, plain(config.runtime), "The runtime")
    quiet = runtime.progress == "none"
    tracker = tracker_of(plain(config.logger), study, quiet)
    with stop_file(runtime.stop_file), joined(runtime.accelerator) as together:
        runner = Runner(runtime, study, tracker, note, bool(config.repair), bool(config.retry), together)
        if not together.ranks.leads:
            runner.follow(plan)
            return None
        check()
        finished = runner.run_plan(plan, config.stage)
        records = [write_record(runner.store, finished, submission, note)] if config.stage is None else []
    tracker.rows(runner.store.root, records)
    if records and not quiet:
        from fer_transfer.reports.ending import ending

        print(ending(records, {}, runner.store.root, study), flush=True)
    if (said := tracker.close()) and not quiet:
        print(shown_text(said), flush=True)
    return finished


def main() -> None:
    """Entry point of the command."""
    run("train", train)


if __name__ == "__main__":  # torchrun -m fer_transfer.cli.train
    main()
