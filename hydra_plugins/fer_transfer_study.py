"""``fer-train -m study=NAME``: Hydra's basic sweeper, over the grid of the study that the command line names.

Hydra takes plugins from the namespace package ``hydra_plugins`` alone: this is all of ours that lies outside ``fer_transfer``.
"""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

from fer_transfer.errors import ConfigError


class StudySweeper(BasicSweeper):
    """Sweeps ``study.grid`` where the command line names a study; what else it says of a group of the grid counts more."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs of the grid, in its order.

        Raises:
            ConfigError: if several studies are named.
        """
        named = [argument.partition("=")[2] for argument in arguments if argument.partition("=")[0] == "study"]
        if any("," in name or "(" in name for name in named):
            raise ConfigError(f"Expected one study at a time, but got study={named[0]}. Run them one after the other.")
        if named and self.config is not None:
            self.params = {group: ",".join(names) for group, names in (self.config.study.grid or {}).items()}
        return super().sweep(arguments)
