"""One fit. The only code that calls Lightning's Trainer.

``init_from`` (start from these weights) and resuming (continue this run) are two things: the first reads a parent's
safetensors before this is called, the second the stage's own ``last.ckpt``.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import RichProgressBar
from timm.layers import convert_sync_batchnorm

from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError
from fer_transfer.ranks import Ranks
from fer_transfer.signals import check, deferred
from fer_transfer.stages.averaged import AveragedWeights
from fer_transfer.stages.checkpoint import BestEpoch, Resumable, WholeFile, read_checkpoint
from fer_transfer.stages.progress import EpochLog, StageLog
from fer_transfer.stages.runtime import Runtime
from fer_transfer.stages.store import StageFolder
from fer_transfer.stages.together import Together, others_needed
from fer_transfer.stages.tracker import Tracker
from fer_transfer.training.module import ExpressionClassifier


def fit(
    module: ExpressionClassifier,
    data: FacesDataModule,
    folder: StageFolder,
    log: StageLog,
    runtime: Runtime,
    tracker: Tracker,
    together: Together,
) -> None:
    """Train to the last epoch, from the last checkpoint where there is one, and leave the recipe's choice of epoch.

    Args:
        module: trained in place; its recipe says how.
        data: what it is trained on.
        folder: to work in; metrics and checkpoints go there.
        log: of the stage; knows its name and key.
        runtime: device and progress.
        tracker: told of every epoch.
        together: the processes that train it; all call this alike, and the first alone writes.
    """
    recipe, style = module.recipe, runtime.progress_style()
    resumed = together.led(lambda: read_checkpoint(folder.checkpoint, log.key, log))
    averaged = AveragedWeights(recipe.averaging, recipe.epochs) if recipe.averaging.averages else None
    best = BestEpoch(averaged.weights if averaged else None) if recipe.keep == "best" else None
    callbacks = [
        *([averaged] if averaged else []),  # before whatever looks at its average
        EpochLog(folder, log, tracker, len(data.train_set), data.selected_by),
        *([best] if best else []),  # before the checkpoint, which then holds what was best so far
        Resumable(folder.checkpoint, log.key, data, runtime.checkpoint_minutes, together),
        *([RichProgressBar(leave=False)] if style == "bar" else []),
    ]
    if together.ranks.processes > 1 and runtime.accelerator == "gpu":
        module.network = convert_sync_batchnorm(module.network)  # timm's: torch's drops the activation of timm's layers
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Batches are made by one indexing call each: worker processes would only cost.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated.*")  # Lightning's own use of torch
        warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # frozen batch normalisation
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")  # values are logged by epoch
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # it is: stages.checkpoint
        warnings.filterwarnings("ignore", ".*`srun` command is available.*")  # a job of SLURM's is one process here
        trainer = pl.Trainer(
            accelerator=runtime.accelerator,
            **processes(together.ranks),
            deterministic=runtime.deterministic,
            precision=recipe.precision,  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=style == "bar",
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=recipe.gradient_clip,
            default_root_dir=folder.path,
        )
        with deferred(), _by_signal(), others_needed():
            trainer.fit(module, data, ckpt_path=resumed)
    if not together.ranks.leads:
        return
    if chosen := best or averaged:
        chosen.put_back(module)
    _refuse_diverged(module, log.stage)


def processes(ranks: Ranks) -> dict[str, Any]:
    """What the Trainer is told of its processes; without a word it looks around, and takes a job of SLURM's for one of many."""
    if ranks.processes == 1:
        return {"devices": 1, "plugins": [LightningEnvironment(), WholeFile()]}
    return {
        "devices": ranks.here,
        "num_nodes": ranks.processes // ranks.here,
        "plugins": [TorchElasticEnvironment(), WholeFile()],
        "strategy": "ddp",
        "use_distributed_sampler": False,  # each process takes its faces of the same batches (data.datamodules)
    }


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
