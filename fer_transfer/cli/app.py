"""What the four commands share: Hydra's entry point, and errors shown as one message without a traceback."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer_transfer.cli.loader import checked_by
from fer_transfer.config import allowing, conf_dir
from fer_transfer.errors import FerTransferError
from fer_transfer.files.names import shown_text
from fer_transfer.signals import Stopped, listening


def run(config_name: str, task: Callable[[DictConfig], object]) -> None:
    """Run a task under Hydra; exit with 1 if a job failed, after the other jobs of a multirun."""
    failures: list[str] = []

    def job(config: DictConfig) -> None:
        try:
            # A socket that is closed is an error of its owner's, not the end of the process.
            with listening(), _nobody_reads("error"), allowing(config.get("allow", ())):
                task(config)
        except FerTransferError as error:
            if not HydraConfig.get().launcher._target_.endswith("BasicLauncher"):
                raise  # a parallel launcher carries it back; this list stays in the worker
            failures.append(str(error))
            print(f"error: {shown_text(str(error))}", file=sys.stderr, flush=True)
        except BrokenPipeError:
            print(flush=True)  # ends the process where it is standard output that nobody reads any more
            raise

    with _nobody_reads("end"), checked_by(config_name), listening():
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()
        except Stopped as stop:  # no further job of a multirun is started
            print(f"stopped by {stop}; what is done is kept, repeat the command to go on", file=sys.stderr, flush=True)
            _end_by(stop)
        finally:
            sys.stdout.flush()
    if failures:
        sys.exit(1)


def _end_by(stop: Stopped) -> NoReturn:
    """End as a shell expects of a command that was stopped.

    A loop of a shell's ends with Ctrl-C only where the command died of SIGINT itself; after an exit with 130 it goes on.
    """
    if stop.number == signal.SIGINT and os.name == "posix":
        atexit._run_exitfuncs()  # a process that dies of a signal does not come to them
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(stop.exit_code)


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
