"""The process that writes runs for another one, as the other one sees it: it is told lines, and never waited for."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

_CHILD = "from fer_transfer.tracking.process import main; main()"


class Follower:
    """A process of its own: what blocks, fails or dies in a tracker's library does so there.

    Lines go to it by a thread of their own, for a pipe to a process that does not read would block whoever writes.

    Args:
        options: of the outlet (``tracking.process``); plain data.
        say: called with each line that it says.

    Raises:
        OSError: if no process can be started.
    """

    def __init__(self, options: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self.scratch = tempfile.mkdtemp(
            prefix="fer-"
        )  # short: wandb puts a socket into it, or beside it where the path is long
        own = {"TMPDIR": self.scratch, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # one that outlives this process must not keep its terminal or pipe open
                start_new_session=True,  # Ctrl-C is for the training, which says how the stage ended
                env={**os.environ, **own},
            )
        except OSError:
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise
        self._weigh(19)
        self._hear = say
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()
        self.tell({"pid": os.getpid(), "argv": sys.argv, "scratch": self.scratch, **options})

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell it something; nobody knows whether it hears."""
        self._lines.put(json.dumps(message, default=str))

    def end(self) -> None:
        """Tell it that nothing follows."""
        self._lines.put(None)

    def wait(self, until: float) -> bool:
        """Wait for its end, at the longest until ``time.monotonic()`` says so; whether it has ended."""
        self._weigh(0)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, until - time.monotonic()))
        ended = self.process.poll() is not None
        if ended:
            self._threads[1].join(1.0)  # the last of what it said
            shutil.rmtree(self.scratch, ignore_errors=True)
        return ended

    def _weigh(self, nice: int) -> None:
        """Of a processor that both want it takes 1.5 % at 19 (weights 15 and 1024), half at 0.

        Linux weighs sessions before it weighs processes where it groups them (sched(7), autogroup): there its own nice value,
        within a session of its own, says nothing.
        """
        with suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(nice))

    def _write(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # where it is not ignored, it would end the training
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):  # it is gone
            for line in iter(self._lines.get, None):
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
        with suppress(OSError):
            self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._hear(line.decode(errors="replace").rstrip("\n"))
