"""One fit. The only code that calls Lightning's Trainer.

``init_from`` (start from these weights) and resuming (continue this run) are two things: the first reads a parent's
safetensors before this is called, the second the stage's own ``last.ckpt``.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger

from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError
from fer_transfer.signals import check, deferred
from fer_transfer.stages.checkpoint import Resumable, read_checkpoint
from fer_transfer.stages.progress import EpochLog
from fer_transfer.stages.runtime import Runtime
from fer_transfer.stages.store import StageFolder
from fer_transfer.training.module import ExpressionClassifier


def fit(
    module: ExpressionClassifier,
    data: FacesDataModule,
    folder: StageFolder,
    name: str,
    runtime: Runtime,
    logger: Logger | None,
) -> None:
    """Train to the last epoch, from the last checkpoint where there is one, and leave the recipe's choice of epoch.

    Args:
        module: trained in place; its recipe says how.
        data: what it is trained on.
        folder: of the stage; metrics and checkpoints go there.
        name: of the stage, to print.
        runtime: device and progress.
        logger: besides ``metrics.csv``, or None.
    """
    recipe, style = module.recipe, runtime.progress_style()
    callbacks: list[pl.Callback] = [
        EpochLog(folder.metrics, name, len(data.train_set), style != "none", data.selected_by)
    ]
    if recipe.keep == "best":  # before "last", which then holds what was best so far
        callbacks.append(_best_checkpoint(folder.path))
    callbacks.append(ModelCheckpoint(folder.path, "last", enable_version_counter=False))
    if style == "bar":
        callbacks.append(RichProgressBar(leave=False))
    callbacks.append(Resumable(folder.checkpoint, folder.path.name, data, runtime.checkpoint_minutes))
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Batches are made by one indexing call each: worker processes would only cost.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated.*")  # Lightning's own use of torch
        warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # frozen batch normalisation
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")  # values are logged by epoch
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
        warnings.filterwarnings("ignore", ".*`srun` command is available.*")  # one process a stage: nothing to launch
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # it is: stages.checkpoint
        trainer = pl.Trainer(
            accelerator=runtime.accelerator,
            devices=1,
            precision=recipe.precision,  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            callbacks=callbacks,
            logger=logger or False,
            enable_progress_bar=style == "bar",
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=recipe.gradient_clip,
            default_root_dir=folder.path,
        )
        with deferred(), _by_signal():
            trainer.fit(module, data, ckpt_path=read_checkpoint(folder.checkpoint, folder.path.name, name))
    if logger is not None:
        logger.finalize("success")
    if recipe.keep == "best":
        best = torch.load(folder.path / "best.ckpt", map_location="cpu", weights_only=True)
        module.load_state_dict(best["state_dict"])
    _refuse_diverged(module, name)


@contextmanager
def _by_signal() -> Iterator[None]:
    """Lightning listens too, and ends the process with 0 after SIGTERM."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        check()
        raise


def _refuse_diverged(module: ExpressionClassifier, name: str) -> None:
    """The loss of the last step is never seen by a further one: look at the weights themselves."""
    broken = [n for n, tensor in module.network.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise ConfigError(
            f"Stage {name!r} diverged: {len(broken)} tensors are not finite ({', '.join(broken[:3])}). "
            "Lower the learning rate (recipe.optimizer.lr) or clip gradients (recipe.gradient_clip=1)."
        )


def _best_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder, "best", "selection_accuracy", mode="max", save_weights_only=True, enable_version_counter=False
    )
