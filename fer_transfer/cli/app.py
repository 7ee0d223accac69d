"""What the four commands share: Hydra's entry point, and errors shown as one message without a traceback."""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fer_transfer.cli.front import nobody_reads
from fer_transfer.cli.loader import checked_by
from fer_transfer.config import allowing, conf_dir
from fer_transfer.errors import FerTransferError
from fer_transfer.files.names import shown_text
from fer_transfer.outcome import Outcome
from fer_transfer.ranks import last_words
from fer_transfer.signals import Stopped, check, ending_with, listening


def run(config_name: str, task: Callable[[DictConfig], object]) -> None:
    """Run a task under Hydra; exit with 1 if it failed. Of the jobs of a multirun the sweeper tells what became of them."""
    launching = os.getpid()
    single: list[Outcome] = []

    def job(config: DictConfig) -> Outcome:
        try:
            # A socket that is closed is an error of its owner's, not the end of the process.
            with (
                ending_with(launching),
                listening(launching),
                nobody_reads("error"),
                allowing(config.get("allow", ())),
            ):
                check()  # a job that waited for its turn while the others were stopped
                task(config)
            outcome = Outcome()
        except FerTransferError as error:
            outcome = Outcome(error=str(error))
        except ImportError as error:
            if ".so" not in str(error):
                raise
            outcome = Outcome(error=_system_lacks(error))
        except Stopped as stop:
            outcome = Outcome(stopped=stop.number)
        except BrokenPipeError:
            print(flush=True)  # ends the process where it is standard output that nobody reads any more
            raise
        if HydraConfig.get().mode == RunMode.RUN:
            single.append(outcome)
        return outcome

    with nobody_reads("end"), checked_by(config_name), listening():
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()
            for outcome in single:
                _end(outcome)
        except Stopped as stop:  # no further job of a multirun is started
            last_words(f"stopped by {stop}; what is done is kept, repeat the command to go on", patience=2)
            _end_by(stop)
        finally:
            sys.stdout.flush()


def _system_lacks(error: ImportError) -> str:
    """What to do where OpenCV's wheel finds no library of the system's: a bare container has neither libGL nor libxcb."""
    return (
        f"Expected the system's libraries that installed packages need, but got: {str(error).splitlines()[0]}. Install what is "
        "missing (for OpenCV on Debian: apt-get install libgl1 libegl1 libxcb1 libglib2.0-0)."
    )


def _end(outcome: Outcome) -> None:
    if outcome.stopped is not None:
        raise Stopped(outcome.stopped)
    if outcome.error is not None:
        last_words(f"error: {shown_text(outcome.error)}")
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
