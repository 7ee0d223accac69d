"""Talks to Ray in a process of its own: Ray ends whoever does as soon as the cluster goes, and hears the signals in its place."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn
from ray import cloudpickle
from ray.exceptions import LocalRayletDiedError

from fer_transfer.errors import LaunchError
from fer_transfer.sweeps.ray_tasks import Jobs, Needs, connected, run


class ClusterLostError(LaunchError):
    """A cluster that jobs had been started on is gone."""


@dataclass(frozen=True)
class Launch:
    """What is launched: see ``ray_tasks.run``.

    Attributes:
        address: of a running Ray; null for one of this launch's own.
    """

    jobs: Jobs
    address: str | None
    needs: Needs
    overrides: list[list[str]]
    parents: list[list[int]]
    first: int


def launch(what: Launch) -> list[JobReturn | None]:
    """Run jobs on Ray.

    Raises:
        LaunchError: if none runs at the address.
        ClusterLostError: if it is gone before the jobs are done.
    """
    driver = subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which lets the jobs come to an end first
    )
    assert driver.stdin is not None and driver.stdout is not None
    try:
        cloudpickle.dump(what, driver.stdin)
        driver.stdin.flush()
        answer = driver.stdout.read()
    except BrokenPipeError:
        answer = b""
    finally:
        with suppress(BrokenPipeError):
            driver.stdin.close()
        driver.wait()
    if not answer:
        which = f"cluster at {what.address}" if what.address else "of this command"
        raise ClusterLostError(
            f"The Ray {which} is gone, and its jobs were not done. The same command goes on from the last checkpoints."
        )
    done, error = cloudpickle.loads(answer)
    if error is not None:
        raise error
    returns: list[JobReturn | None] = done
    return returns


def main() -> None:
    """The process that talks to Ray: takes a ``Launch`` from its standard input, and leaves (returns, error) in its output."""
    answers, sys.stderr = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(2), "w")
    for stream in (1, 2):  # Ray's own: it talks on while it looks for a cluster that is gone, and has log files besides
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    what: Launch = cloudpickle.load(os.fdopen(os.dup(0), "rb"))
    done = threading.Event()
    threading.Thread(target=_end_with_the_launcher, args=(done,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer: tuple[Any, LaunchError | None]
    try:
        with connected(what.address, what.needs.retries):
            answer = run(what.jobs, what.overrides, what.parents, what.first, what.needs), None
    except LaunchError as error:
        answer = None, error
    except LocalRayletDiedError:  # the cluster's node here, before Ray has ended this process for it
        return
    done.set()  # from here on Ray may take its time to end
    cloudpickle.dump(answer, answers)
    answers.close()


def _end_with_the_launcher(done: threading.Event) -> None:
    while os.read(0, 1):  # to its end: the launcher's, however it came
        pass
    if not done.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
