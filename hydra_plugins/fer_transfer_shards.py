"""``fer-prepare -m shards=16``: Hydra's basic sweeper over the shards of a release, which are joined in the end."""

import sys
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fer_transfer.errors import ConfigError, FerTransferError


class ShardSweeper(BasicSweeper):
    """Where the command line says ``shards=NUMBER``, launches so many jobs, and then the one that joins them, here."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As Hydra calls it; the launcher that was chosen is for the shards."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._here = BasicLauncher()
        self._here.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs; a mistake in the number is told once, and ends the process with 1."""
        numbers = [value for key, _, value in (word.partition("=") for word in arguments) if key == "shards"]
        if not numbers:
            return super().sweep(arguments)
        words = [word for word in arguments if word.partition("=")[0] != "shards"]
        try:
            self.params = {"shard": _shards(numbers[-1], words)}
            done = super().sweep(words)
            self.params, self.batch_index, self.launcher = {}, 0, self._here
            return [*done, *super().sweep(words)]
        except FerTransferError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(1)


def _shards(number: str, words: list[str]) -> str:
    """All shards, as Hydra sweeps them: ``1/3,2/3,3/3``."""
    if not number.isdecimal() or not 1 <= int(number) <= 10_000 or any(word.startswith("shard=") for word in words):
        raise ConfigError(
            f"Expected shards=NUMBER of 1 to 10000, and no shard=, but got shards={number}. Such as: -m shards=16."
        )
    return ",".join(f"{i}/{int(number)}" for i in range(1, int(number) + 1))
