"""``fer-train -m study=NAME``: Hydra's basic sweeper, over the grid of the study that the command line names.

Hydra takes plugins from the namespace package ``hydra_plugins`` alone: this is all of ours that lies outside ``fer_transfer``.
"""

import sys
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig

from fer_transfer.config import plain
from fer_transfer.errors import ConfigError
from fer_transfer.study import study_from


class StudySweeper(BasicSweeper):
    """Sweeps ``study.grid`` where the command line names a study; what else it says of a group of the grid counts more."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs of the grid, in its order; a study that is wrong is told once, and ends the process with 1."""
        named = [value for key, _, value in (argument.partition("=") for argument in arguments) if key == "study"]
        rows = [argument for argument in arguments if argument.partition("=")[0] == "submission"]
        if named and not rows:  # a submission is a row already
            try:
                self.params = self._grid(named[0])
            except ConfigError as error:
                print(f"error: {error}", file=sys.stderr, flush=True)
                sys.exit(1)
        return super().sweep(arguments)

    def _grid(self, name: str) -> dict[str, str]:
        assert self.config is not None
        if "," in name or "(" in name:
            raise ConfigError(f"Expected one study at a time, but got study={name}. Run them one after the other.")
        HydraConfig.instance().set_config(self.config)  # as every job's will be: it says where studies are searched
        return {group: ",".join(names) for group, names in study_from(plain(self.config.study)).grid.items()}
