"""What the four commands share: Hydra's entry point, and errors shown as one message without a traceback."""

import sys
from collections.abc import Callable

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer_transfer.config import conf_dir
from fer_transfer.errors import FerTransferError
from fer_transfer.files.names import shown_text


def run(config_name: str, task: Callable[[DictConfig], object]) -> None:
    """Run a task under Hydra; exit with 1 if a job failed, after the other jobs of a multirun."""
    failures: list[str] = []

    def job(config: DictConfig) -> None:
        try:
            task(config)
        except FerTransferError as error:
            if not HydraConfig.get().launcher._target_.endswith("BasicLauncher"):
                raise  # a parallel launcher carries it back; this list stays in the worker
            failures.append(str(error))
            print(f"error: {shown_text(str(error))}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("stopped; what is finished is kept, repeat the command to go on", file=sys.stderr, flush=True)
            sys.exit(130)  # as a shell says it of SIGINT

    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()
    if failures:
        sys.exit(1)
