"""What the four commands share: Hydra's entry point, and errors shown as one message without a traceback."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer_transfer.cli.loader import checked_by
from fer_transfer.config import allowing, conf_dir
from fer_transfer.errors import FerTransferError
from fer_transfer.files.names import shown_text
from fer_transfer.ranks import ranks
from fer_transfer.signals import Stopped, listening


def run(config_name: str, task: Callable[[DictConfig], object]) -> None:
    """Run a task under Hydra; exit with 1 if a job failed, after the other jobs of a multirun."""
    failures: list[str] = []

    def job(config: DictConfig) -> None:
        try:
            # A socket that is closed is an error of its owner's, not the end of the process.
            with _nobody_reads("error"), allowing(config.get("allow", ())):
                task(config)
        except FerTransferError as error:
            if not HydraConfig.get().launcher._target_.endswith("BasicLauncher"):
                raise  # a parallel launcher carries it back; this list stays in the worker
            failures.append(str(error))
            _say(f"error: {shown_text(str(error))}")
        except BrokenPipeError:
            print(flush=True)  # ends the process where it is standard output that nobody reads any more
            raise

    with _nobody_reads("end"), checked_by(config_name), listening():
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()
        except Stopped as stop:  # no further job of a multirun is started
            _say(f"stopped by {stop}; what is done is kept, repeat the command to go on")
            sys.exit(stop.exit_code)
        finally:
            sys.stdout.flush()
    if failures:
        sys.exit(1)


def _say(text: str) -> None:
    """Of processes that work together the first one speaks."""
    if ranks().leads:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def _nobody_reads(answer: str) -> Iterator[None]:
    """What writing to a closed pipe (``fer-train -h | head``) does: ``end`` the process quietly, or an ``error``."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL if answer == "end" else signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)
