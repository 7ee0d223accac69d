"""What ``-m`` does: the sweepers of the commands.

Hydra takes plugins from the namespace package ``hydra_plugins`` alone: this is all of ours, with the launchers, that lies
outside ``fer_transfer``.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn

from fer_transfer.config import plain
from fer_transfer.errors import ConfigError, FerTransferError
from fer_transfer.files.names import shown_text
from fer_transfer.signals import Stopped
from fer_transfer.study import study_from
from fer_transfer.sweeps.launching import outcome_of


class OutcomeSweeper(BasicSweeper):
    """Hydra's basic sweeper; what was wrong with a job is told here, in the launching process, and ends it with 1."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs."""
        return tell([back for batch in super().sweep(arguments) for back in batch])


def tell(returns: Sequence[JobReturn | None]) -> Sequence[JobReturn | None]:
    """Print what was wrong with jobs.

    Raises:
        Stopped: if one was stopped.
        SystemExit: with 1, if one failed.
    """
    outcomes = [outcome_of(back) for back in returns]
    for outcome in outcomes:
        if outcome.stopped is not None:
            raise Stopped(outcome.stopped)
        if outcome.error is not None:
            _say(outcome.error)
    if any(outcome.error is not None for outcome in outcomes):
        sys.exit(1)
    return returns


class StudySweeper(BasicSweeper):
    """Of ``fer-train``: the rows, or the grid of the study that is named, as stages of which each is trained once."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the rows; what is wrong is told once, and ends the process with 1."""
        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        from fer_transfer.sweeps.rows import hopeless, rows_of, wrong_lines

        loader, master = self.hydra_context.config_loader, self.config
        HydraConfig.instance().set_config(
            master
        )  # as every job's will be: it says where studies and plans are searched
        try:
            parser = OverridesParser.create(config_loader=loader)
            parsed = parser.parse_overrides([*self._grid_for(arguments), *arguments])
            given = list(itertools.chain(*self.split_arguments(parsed, None)))
            rows = list(rows_of(given, lambda overrides: loader.load_sweep_config(master, overrides), parser))
            if wrong := hopeless(rows):
                for line in wrong_lines(wrong):
                    _say(line)
                sys.exit(1)
            from fer_transfer.sweeps.sweep import Sweep  # it brings torch, and what is wrong need not wait

            options, logger = plain(self.config.hydra.launcher), plain(self.config.logger)
            code = Sweep(rows, self.launcher, options, logger).run()
        except FerTransferError as error:
            _say(str(error))
            code = 1
        if code:
            sys.exit(code)
        return []

    def _grid_for(self, arguments: Sequence[str]) -> list[str]:
        """Overrides that bring the grid of the study that is named."""
        named = [value for key, _, value in (argument.partition("=") for argument in arguments) if key == "study"]
        rows = [argument for argument in arguments if argument.partition("=")[0] == "submission"]
        if not named or rows:  # a submission is a row already
            return []
        name = named[0]
        if "," in name or "(" in name:
            raise ConfigError(f"Expected one study at a time, but got study={name}. Run them one after the other.")
        assert self.config is not None
        return [f"{group}={','.join(names)}" for group, names in study_from(plain(self.config.study)).grid.items()]


def _say(error: str) -> None:
    print(f"error: {shown_text(error)}", file=sys.stderr, flush=True)
