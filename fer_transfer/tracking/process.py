"""The process that follows: reads what it is told, line by line, and lets an outlet write it.

The first line are its options. Then come ``start`` (a ``Run``) and ``epoch`` (rows of ``metrics.csv``) of a stage, until it
``finish``es; or a ``store`` of which ``rows`` are written, by the identity of their records, or all, where these are null. Where
lines end and a stage is not finished, it was interrupted.
"""

import errno
import json
import logging
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from fer_transfer.errors import FerTransferError
from fer_transfer.files.names import shown_text
from fer_transfer.stages.store import StageFolder
from fer_transfer.tracking.follower import Follower
from fer_transfer.tracking.runs import Run


class Outlet(Protocol):
    """Writes runs, one after the other."""

    def start(self, run: Run, store: Path, faces: Mapping[str, str] | None = None) -> None:
        """Begin a run, or go on with it.

        Args:
            run: what it is.
            store: where the stages that it uses are.
            faces: folders, by digest, of faces that may be shown.
        """

    def epoch(self, row: Mapping[str, str]) -> None:
        """A row of ``metrics.csv``, unless it was told before."""

    def finish(self, folder: StageFolder) -> None:
        """The end of a stage: epochs not told yet, and what it came to."""

    def end(self) -> None:
        """The end of a row."""

    def stop(self) -> None:
        """The end of a stage that is not finished; nothing, where no run is open."""

    def give_up(self) -> None:
        """The process ends before the run: leave what there is to be sent later."""


class OutletError(Exception):
    """A server does not answer, or refuses: nothing is written yet."""


def main() -> None:
    """Entry point of the process."""
    os.nice(19)  # the training comes first
    lines: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    options = json.loads(lines.get() or "{}")
    sys.stderr = sys.stdout  # the only one that is read
    _last.append(partial(shutil.rmtree, options["scratch"], ignore_errors=True))
    logging.raiseExceptions = False  # on a full disk a library's log would say it line by line
    sys.argv = options["argv"]  # what is shown is the training's command
    try:
        outlet = outlet_of(options)
        _last.insert(0, outlet.give_up)
        _follow(outlet, options, (json.loads(line) for line in iter(lines.get, None)))
    except Exception as error:
        warn(options, f"{said(error)}. It is left out; nothing else is changed by that.")
    _end(0)  # what a library still waits for at the end of its process, such as a server, is not waited for


_last: list[Callable[[], None]] = []  # what is to be done before the process ends


def _end(code: int) -> None:
    for act in _last:
        with suppress(Exception):
            act()
    os._exit(code)


def _read(lines: "SimpleQueue[str | None]") -> None:
    """Read at once whatever comes, for the other end must not wait."""
    longest: float | None = None
    for number, line in enumerate(sys.stdin):
        if number == 0:
            longest = json.loads(line)["longest"]
        lines.put(line)
    lines.put(None)
    if longest is not None:
        time.sleep(longest)
        _end(1)


def _follow(outlet: Outlet, options: Mapping[str, Any], messages: Iterator[Mapping[str, Any]]) -> None:
    told = []  # of its run: whoever writes it offline begins anew
    for message in messages:
        told.append(message)
        try:
            _write(outlet, message)
        except Exception as error:
            if options.get("offline", True) or _is_of_this_machine(error):
                raise
            warn(options, f"{said(error)}. It is written to {options['folder']}, to be sent later.")
            _hand_over(options, chain(told, messages))
            return
    outlet.stop()


def _is_of_this_machine(error: Exception) -> bool:
    """Whether it would come again without a server: of a damaged store, a file, or a full disk."""
    if isinstance(error, OSError):
        return error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, FerTransferError)


def said(error: Exception) -> str:
    """What is wrong, without what differs from run to run: it is told once."""
    if isinstance(error, OutletError):
        return str(error)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {text.strip().partition(chr(10))[0]}".rstrip(".")


def _hand_over(options: Mapping[str, Any], messages: Iterator[Mapping[str, Any]]) -> None:
    """Let another process write offline: in this one the library still waits for its server."""
    successor = Follower({**options, "offline": True}, say=print)
    for message in messages:
        successor.tell(message)
    successor.end()
    successor.wait(math.inf)  # it ends as this one has to


def _write(outlet: Outlet, message: Mapping[str, Any]) -> None:
    if "start" in message:
        outlet.start(Run.from_json(message["start"]), Path(message["store"]), message["faces"])
    elif "epoch" in message:
        outlet.epoch(message["epoch"])
    elif "finish" in message:
        outlet.finish(StageFolder(Path(message["finish"])))
    else:
        from fer_transfer.tracking.afterwards import read_study, write  # not before it is needed

        study, published = read_study(message)
        write(outlet, Path(message["store"]), study, published, message["rows"], message["faces"], message["level"])


def outlet_of(options: Mapping[str, Any]) -> Outlet:
    """The outlet that the options name; each module is imported where it is wanted alone."""
    if options["kind"] == "wandb":
        os.environ.pop("WANDB_SERVICE", None)  # of a process that this one must not depend on
        os.environ |= {
            "WANDB_DATA_DIR": f"{options['folder']}/wandb/staged",  # what tables hold waits there to be sent
            "WANDB_CACHE_DIR": options["scratch"],
            "WANDB_ERROR_REPORTING": "false",  # its own, which would go out offline too
            "WANDB_SILENT": "true",  # whatever matters is an error
        }
        from fer_transfer.tracking.wandb_outlet import WandbOutlet

        return WandbOutlet(options)
    from fer_transfer.tracking.tensorboard_outlet import TensorboardOutlet

    return TensorboardOutlet(options)


def warn(options: Mapping[str, Any], text: str) -> None:
    """Say it by way of the process that trains, if it is still there, unless somebody else does."""
    if not options["quiet"]:
        with suppress(OSError):
            print(shown_text(f"warning: {options['kind']}: {' '.join(text.split())}"), flush=True)
