"""Experiment tracking with wandb, offline unless asked otherwise."""

import atexit
import contextlib
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from fer_transfer.stages.plan import Stage


def _remove_socket_folder() -> None:
    """Remove what wandb leaves: the folder of its service's socket in the temporary directory, empty by then."""
    for folder in Path(tempfile.gettempdir()).glob(f"wandb-{os.getpid()}-*"):
        with contextlib.suppress(OSError):  # what is not empty is in use
            folder.rmdir()


atexit.register(_remove_socket_folder)  # before wandb registers the end of its service, and so after that


class StageLogger(WandbLogger):
    """Ends its run with the stage, so that the stages of a sweep do not merge into one run."""

    def finalize(self, status: str) -> None:
        """Finish the run."""
        super().finalize(status)
        self.experiment.finish()


def wandb_logger(plan: str, stage: Stage, key: str, project: str, offline: bool, folder: str) -> StageLogger:
    """One run for a stage: its id is the stage's key, its group the plan, its configuration the recipe.

    Args:
        plan: name of the plan.
        stage: that is trained.
        key: of the stage.
        project: wandb project.
        offline: write to ``folder`` only; nothing is sent and no login is needed.
        folder: under which wandb keeps its ``wandb/``.
    """
    config: dict[str, Any] = asdict(stage.recipe) | {"init_from": stage.init_from, "key": key}
    Path(folder).mkdir(parents=True, exist_ok=True)
    return StageLogger(
        name=f"{plan}/{stage.name}",
        id=key,
        group=plan,
        project=project,
        save_dir=folder,
        offline=offline,
        config=config,
        resume="allow",
        settings={"silent": True, "console": "off"},
    )
