"""SIGINT, SIGTERM and SIGHUP: work stops where it can be taken up again, and the exit code says why.

A command runs ``with listening():``. A signal then raises ``Stopped`` where the work is, except within ``deferred()``, where it
is kept until the work asks for it: between two steps of training a checkpoint can be written first. A second signal does not
wait. Where no signal reaches, on another machine, a file says the same: ``stop_file``.

A launcher's worker may listen already. What it listens to is heard here first, and handed on at the end of the block, when the
checkpoint is written: submitit then queues the job again (SIGUSR2: preempted, or its time is nearly up), Ray starts it elsewhere
(SIGTERM: its node goes). What submitit passes over, SIGTERM, with which SLURM announces that it may end a job, only brings a
checkpoint: the work goes on until it is ended or told by SIGUSR2.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is missing on Windows
_LAUNCHERS = ("SIGUSR1", "SIGUSR2")  # heard where a launcher does; they would end any other process


class Stopped(BaseException):
    """The process was asked to stop; not an ``Exception``, so that nobody takes it for a failure of the work.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As a shell says it: 130 of SIGINT (of which the process itself dies: ``cli.app``), 143 of SIGTERM, 129 of SIGHUP."""
        return 128 + self.number


_deferring = 0
_received: int | None = None
_signalled: int | None = None  # what came as a signal; a file that appears is no news to whoever listens besides
_stop_file: Path | None = None
_looked = 0.0
_LOOK = 1.0  # seconds between looks for the file: a network file system is asked each time
_announced = False
_launcher: int | None = None
_ours: dict[int, Callable[[int, FrameType | None], None]] = {}


def _handle(number: int, frame: FrameType | None) -> None:
    global _received, _signalled  # a handler has no other way to leave a word
    again, _received, _signalled = _received is not None, number, number
    if again or not _deferring:
        raise Stopped(number)


def _note(number: int, frame: FrameType | None) -> None:
    global _announced
    _announced = True


@contextmanager
def listening(launcher: int | None = None) -> Iterator[None]:
    """Turn the signals into ``Stopped``, in the main thread; what was ignored (``nohup``) stays ignored.

    Args:
        launcher: process that started the work; if this one is its child, the end of the launcher is taken for SIGTERM.
    """
    global _received, _signalled, _announced, _ours, _launcher
    if not _ours:  # else what has come is still to be told to whoever listens outside
        _received, _signalled, _announced = None, None, False
    _launcher = launcher if launcher == os.getppid() else None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer, before = _ours, {number: signal.getsignal(number) for number in _heard()}
    _ours = {number: _note if _is_passed_over(number) else _handle for number in before}
    take_back()
    try:
        yield
    finally:
        _ours = outer
        for number, handler in before.items():
            signal.signal(number, handler)
        theirs: Any = before.get(_signalled) if _signalled is not None else None
        if _is_anothers(theirs):
            theirs(_signalled, None)


_working = threading.Lock()
_watching = False


@contextmanager
def ending_with(launcher: int) -> Iterator[None]:
    """Let this process, if it is a worker of the launcher's, end when that is gone and the work of this block is over.

    It would wait for ever otherwise: to be given other work, or for somebody to read what has come of this. One whose launcher
    is gone before the block ends at once.
    """
    global _watching
    if os.getppid() == launcher and not _watching:
        _watching = True
        threading.Thread(target=_end_without, args=(launcher,), daemon=True).start()
    elif os.getppid() != launcher != os.getpid() and _is_worker():
        os._exit(1)
    with _working:
        yield


def _is_worker() -> bool:
    """Whether a launcher on this machine has started the process (joblib); a cluster's jobs are nobody's children."""
    return multiprocessing.current_process().name != "MainProcess"


def _end_without(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_LOOK)
    with _working:
        os._exit(1)


def take_back() -> None:
    """Listen again, after something that was started within ``listening`` has put handlers of its own."""
    for number, handler in _ours.items():
        signal.signal(number, handler)


def _heard() -> Iterator[int]:
    for name in (name for name in (*_NAMES, *_LAUNCHERS) if hasattr(signal, name)):
        number: int = getattr(signal, name)
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN and (name in _NAMES or _is_anothers(handler)):
            yield number


def _is_anothers(handler: Any) -> bool:
    """Whether somebody else means to hear a signal; Python's own handler of SIGINT only raises."""
    return callable(handler) and handler not in (_handle, _note, signal.default_int_handler)


def _is_passed_over(number: int) -> bool:
    return number == signal.SIGTERM and "SUBMITIT_EXECUTOR" in os.environ


@contextmanager
def deferred() -> Iterator[None]:
    """Keep a signal until ``check`` or the end of this block."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
    check()


@contextmanager
def stop_file(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Take it for SIGTERM when a file appears; looked for once a second, by ``received`` and ``check``."""
    global _stop_file, _looked
    before, _stop_file, _looked = _stop_file, Path(path) if path else None, -_LOOK
    try:
        yield
    finally:
        _stop_file = before


def received() -> int | None:
    """The signal that has come, or None."""
    global _received, _looked
    if _received is None and _launcher is not None and os.getppid() != _launcher:
        _received = signal.SIGTERM
    if _received is None and _stop_file is not None and time.monotonic() - _looked > _LOOK:
        _looked = time.monotonic()
        if _stop_file.exists():
            _received = signal.SIGTERM
    return _received


def announced() -> bool:
    """Whether the end was announced since this was asked last: time for a checkpoint."""
    global _announced
    was, _announced = _announced, False
    return was


def check() -> None:
    """Raise what has come.

    Raises:
        Stopped: if a signal has come.
    """
    if (number := received()) is not None:
        raise Stopped(number)
