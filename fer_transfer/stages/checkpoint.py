"""The checkpoint of a stage: written at every epoch's end, every few minutes within one, and when the process is asked to stop.

It carries the stage's key and a digest of all it holds, so that a damaged one, or another stage's, is never resumed. Resuming
within an epoch goes on with the face and the random numbers that an uninterrupted run would have come to.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.files.names import shown
from fer_transfer.signals import Stopped, announced, received, take_back
from fer_transfer.stages.runtime import is_out_of_memory
from fer_transfer.stages.together import Together

_SEAL, _RANDOM = "fer_transfer", "random_states"


class WholeFile(TorchCheckpointIO):
    """Writes a checkpoint aside in its own folder and renames it.

    Lightning's own way is a file in the system's temporary folder that is moved. To another file system that is a copy over the
    checkpoint before: where the disk is full in the midst of it, or the process is killed, both are gone.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write it.

        Raises:
            OSError: if it cannot be written; the one before is still there then.
        """
        content = io.BytesIO()  # torch's own writer of files tells of a full disk by a RuntimeError
        torch.save(checkpoint, content)
        aside = Path(path).with_name(f".{Path(path).name}")
        try:
            aside.write_bytes(content.getbuffer())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


class BestEpoch(Callback):
    """Keeps the weights of the epoch with the highest ``selection_accuracy``, the first of several; in the checkpoint too.

    Args:
        watched: the weights that had it, where they are not the module's own (``averaged``).
    """

    def __init__(self, watched: Callable[[], Mapping[str, Tensor]] | None = None) -> None:
        self._watched = watched
        self._score, self._weights = -1.0, dict[str, Tensor]()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the epoch's accuracy."""
        score = float(trainer.callback_metrics["selection_accuracy"])
        if score > self._score:
            self._score = score
            weights = self._watched() if self._watched else pl_module.state_dict()
            self._weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def state_dict(self) -> dict[str, Any]:
        """What is kept."""
        return {"score": self._score, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self._score, self._weights = state_dict["score"], state_dict["weights"]

    def put_back(self, module: nn.Module) -> None:
        """Load the weights of that epoch."""
        module.load_state_dict(self._weights)


class Resumable(Checkpoint):
    """Writes ``last.ckpt``, seals it, and puts back what Lightning does not.

    Args:
        path: of ``last.ckpt``.
        key: of the stage.
        data: whose order of faces is taken up again.
        minutes: of work that an interruption may cost.
        together: the processes that train the stage; they write and stop at the same batch.
    """

    def __init__(self, path: Path, key: str, data: FacesDataModule, minutes: float, together: Together) -> None:
        self.path, self.key, self.data, self.seconds, self.together = path, key, data, 60 * minutes, together
        self._random: Mapping[str, Any] | None = None
        self._written = time.monotonic()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the random states and the seal; the last callback, so that all is there."""
        self._written = time.monotonic()
        if trainer.is_global_zero:  # which writes it
            checkpoint[_RANDOM] = random_states(pl_module.device)
            checkpoint[_SEAL] = {"key": self.key, "digest": content_digest(checkpoint)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on behind the batches that the interrupted epoch has done."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if not progress["is_last_batch"] and (done := int(progress["current"]["processed"])):
            self.data.skip_once(done)
            self._random = checkpoint[_RANDOM]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Be the only one to hear signals: Lightning ends the process at SIGTERM, or broadcasts from its handler."""
        take_back()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Put the random states back, once."""
        if self._random is not None:
            put_back(self._random, pl_module.device)
            self._random = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint if it is time, or if the process is to stop.

        Raises:
            Stopped: after the checkpoint is written.
        """
        due = announced() or time.monotonic() - self._written > self.seconds
        signal, write = self.together.greatest(received() or 0, due)
        if not signal and batch_idx + 1 == int(trainer.num_training_batches):
            return  # the end of the epoch follows
        if signal or write:
            trainer.save_checkpoint(self.path)
        if signal:
            raise Stopped(signal)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's checkpoint; Lightning calls a ``Checkpoint`` behind all other callbacks."""
        trainer.save_checkpoint(self.path)


def random_states(device: torch.device) -> dict[str, Any]:
    """Of the CPU and of the device: the first process's stand for all, for what all draw alike."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({device.type: torch.get_device_module(device).get_rng_state()} if device.type != "cpu" else {})


def put_back(states: Mapping[str, Any], device: torch.device) -> None:
    """Go on with random states; a device of another kind than they are of goes on with its own."""
    torch.set_rng_state(states["cpu"].cpu())
    if device.type != "cpu" and isinstance(state := states.get(device.type), Tensor):
        torch.get_device_module(device).set_rng_state(state.cpu())


def read_checkpoint(path: Path, key: str, say: Callable[[str], object]) -> str | None:
    """The checkpoint to resume from; a damaged one is set aside, which is said, and the stage starts again.

    Only what the file's own bytes cause is damage: a failing disk or a full memory says nothing about the file.

    Args:
        path: of ``last.ckpt``.
        key: of the stage that would resume.
        say: told of a damaged one.

    Raises:
        OSError, MemoryError, RuntimeError: of the disk or the memory, as they come.
    """
    if not path.exists():
        return None
    try:
        _check(torch.load(path, map_location="cpu", weights_only=True, mmap=True), key)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # at damaged bytes torch raises anything
        if is_out_of_memory(error):
            raise
        aside = path.with_suffix(".ckpt.damaged")
        path.replace(aside)
        first = shown((str(error).splitlines() or [type(error).__name__])[0])
        say(
            f"warning: the checkpoint is not what was written ({first}); it is kept as {aside.name}, and the stage starts again"
        )
        return None
    return str(path)


def _check(checkpoint: Mapping[str, Any], key: str) -> None:
    seal = checkpoint[_SEAL]
    if seal["key"] != key:
        raise ValueError(f"it is of stage {seal['key']}")
    if seal["digest"] != (own := content_digest(checkpoint)):
        raise ValueError(f"its content has digest {own[:12]}, not {seal['digest'][:12]}")


def content_digest(checkpoint: Mapping[str, Any]) -> str:
    """SHA-256 of all that a checkpoint holds but the seal: numbers, texts, tensors, in the order of their names."""
    digest = hashlib.sha256()
    _add(digest, {key: value for key, value in checkpoint.items() if key != _SEAL})
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        digest.update(b"{%d" % len(value))
        for key in sorted(value, key=repr):
            digest.update(repr(key).encode())
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(b"[%d" % len(value))
        for item in value:
            _add(digest, item)
    elif isinstance(value, Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        if value.numel():
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    else:
        digest.update(repr(value).encode())
