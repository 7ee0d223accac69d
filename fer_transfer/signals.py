"""SIGINT, SIGTERM and SIGHUP: work stops where it can be taken up again, and the exit code says why.

A command runs ``with listening():``. A signal then raises ``Stopped`` where the work is, except within ``deferred()``, where it
is kept until the work asks for it: between two steps of training a checkpoint can be written first. A second signal does not
wait. Where no signal reaches, on another machine, a file says the same: ``stop_file``.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is missing on Windows


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
        """As a shell says it: 130 of SIGINT, 143 of SIGTERM, 129 of SIGHUP."""
        return 128 + self.number


_deferring = 0
_received: int | None = None
_listening: list[int] = []
_stop_file: Path | None = None
_looked = 0.0
_LOOK = 1.0  # seconds between looks for the file: a network file system is asked each time


def _handle(number: int, frame: FrameType | None) -> None:
    global _received  # a handler has no other way to leave a word
    again, _received = _received is not None, number
    if again or not _deferring:
        raise Stopped(number)


@contextmanager
def listening() -> Iterator[None]:
    """Turn the signals into ``Stopped``, in the main thread; what was ignored (``nohup``) stays ignored."""
    global _received
    _received = None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _handle)
    _listening[:] = before
    try:
        yield
    finally:
        _listening.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def listen_again() -> None:
    """Take the signals back from a library that has put handlers of its own before these; in the main thread."""
    for number in _listening:
        signal.signal(number, _handle)


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
    if _received is None and _stop_file is not None and time.monotonic() - _looked > _LOOK:
        _looked = time.monotonic()
        if _stop_file.exists():
            _received = signal.SIGTERM
    return _received


def check() -> None:
    """Raise what has come.

    Raises:
        Stopped: if a signal has come.
    """
    if (number := received()) is not None:
        raise Stopped(number)
