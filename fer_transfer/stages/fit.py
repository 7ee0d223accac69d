"""One fit. The only code that calls Lightning's Trainer.

``init_from`` (start from these weights) and resuming (continue this run) are two things: the first reads a parent's
safetensors before this is called, the second the stage's own ``last.ckpt``.
"""

import logging
import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger

from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError
from fer_transfer.files.names import shown
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
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Batches are made by one indexing call each: worker processes would only cost.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated.*")  # Lightning's own use of torch
        warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # frozen batch normalisation
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")  # values are logged by epoch
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
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
        trainer.fit(module, data, ckpt_path=_checkpoint(folder, name))
    if logger is not None:
        logger.finalize("success")
    if recipe.keep == "best":
        best = torch.load(folder.path / "best.ckpt", map_location="cpu", weights_only=True)
        module.load_state_dict(best["state_dict"])
    _refuse_diverged(module, name)


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


def _checkpoint(folder: StageFolder, name: str) -> str | None:
    """The checkpoint to resume from; a damaged one is set aside, which is said, and the stage starts again.

    Only what the file's own bytes cause is damage: a failing disk or a full memory says nothing about the file.

    Raises:
        OSError, MemoryError: as they come.
    """
    if not folder.checkpoint.exists():
        return None
    try:
        torch.load(folder.checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # at damaged bytes torch raises anything
        aside = folder.checkpoint.with_suffix(".ckpt.damaged")
        folder.checkpoint.replace(aside)
        first = (str(error).splitlines() or [type(error).__name__])[0]
        print(
            f"warning: the checkpoint of stage {name!r} cannot be read ({shown(first)}); it is kept as {aside}, and the stage "
            "starts again",
            file=sys.stderr,
            flush=True,
        )
        return None
    return str(folder.checkpoint)
