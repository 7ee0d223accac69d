"""``fer-prepare -m shards=16``: a job for each shard of a release, which are joined in the end."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from fer_transfer.errors import ConfigError, FerTransferError
from fer_transfer.files.names import shown_text
from fer_transfer.sweeps.launching import kind_of, launch_size, threads_of
from hydra_plugins.fer_transfer_study import OutcomeSweeper


class ShardSweeper(OutcomeSweeper):
    """Where the command line says ``shards=NUMBER``, launches so many jobs, and then the one that joins them, here."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As Hydra calls it; the launcher that was chosen is for the shards."""
        chosen = OmegaConf.to_container(config.hydra.launcher)
        assert isinstance(chosen, dict)
        self._chosen: dict[Any, Any] = chosen
        self._logs = _logs_beside(config) if "submitit_folder" in chosen else None
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._here = BasicLauncher()
        self._here.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.max_batch_size = self.max_batch_size or launch_size(self._chosen)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs; what ends them is told in one line, and ends the process with 1."""
        given = dict(word.split("=", 1) for word in arguments if "=" in word)
        if "shards" not in given:
            return super().sweep(arguments)
        words = [word for word in arguments if word.partition("=")[0] != "shards"]
        threads = threads_of(self._chosen) if "workers" not in given else None
        with self._told():
            self.params = {"shard": _shards(given)}
            super().sweep([*words, *([f"workers={threads}"] if threads else [])])
            self.params, self.batch_index, self.launcher = {}, 0, self._here
            done = super().sweep(words)
        if self._logs is not None:
            shutil.rmtree(self._logs, ignore_errors=True)
        return done

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except HydraException:
            raise  # Hydra tells these itself
        except FerTransferError as error:
            _end(str(error))
        except Exception as error:
            if kind_of(self._chosen) == "BasicLauncher":
                raise  # a mistake in the code
            first = next(iter(str(error).splitlines()), "").strip()
            _end(
                f"The jobs did not come back: {type(error).__name__}: {first} What is done of each shard is kept: "
                "repeat the command."
            )


def _logs_beside(config: DictConfig) -> Path | None:
    """Let submitit keep its files beside the faces, which every machine sees, unless the command line says where."""
    if any("submitit_folder" in word for word in config.hydra.overrides.hydra):
        return None
    out = Path(config.out).expanduser().absolute()
    logs = out.with_name(f".{out.name}.jobs")
    with read_write(config), open_dict(config):
        config.hydra.launcher.submitit_folder = str(logs / "%j")
    return logs


def _end(message: str) -> None:
    print(f"error: {shown_text(message)}", file=sys.stderr, flush=True)
    sys.exit(1)


def _shards(given: dict[str, str]) -> str:
    """All shards, as Hydra sweeps them: ``1/3,2/3,3/3``."""
    number = given["shards"]
    if not number.isdecimal() or not 1 <= int(number) <= 10_000 or "shard" in given:
        raise ConfigError(
            f"Expected shards=NUMBER of 1 to 10000 and no shard beside it, but got shards={number}. "
            "Such as: fer-prepare -m shards=16."
        )
    return ",".join(f"{i}/{int(number)}" for i in range(1, int(number) + 1))
