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

    Lines go to it by a thread of their own, for a pipe to a process that does not read would block whoever writes. It takes
    seconds of the processor to start: with a head start of a minute these are little beside the training, and a shorter training
    does not meet them at all.

    Args:
        options: of the outlet (``tracking.process``); plain data.
        say: called with each line that it says, and with why no process can be started.
        head_start: seconds until it starts, unless nothing follows before.
    """

    def __init__(self, options: Mapping[str, Any], say: Callable[[str], None], head_start: float = 0.0) -> None:
        self._hear = say
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._due, self._begun = threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.scratch = tempfile.mkdtemp(
            prefix="fer-"
        )  # short: wandb puts a socket into it, or beside it where the path is long
        self.tell({"pid": os.getpid(), "argv": sys.argv, "scratch": self.scratch, **options})
        self._reading = threading.Thread(target=self._read, daemon=True)
        threading.Thread(target=self._write, args=(str(options.get("kind")), head_start), daemon=True).start()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell it something; nobody knows whether it hears."""
        self._lines.put(json.dumps(message, default=str))

    def end(self) -> None:
        """Tell it that nothing follows, for which it starts at the latest."""
        self._lines.put(None)
        self._due.set()

    def wait(self, until: float) -> bool:
        """Wait for its end, at the longest until ``time.monotonic()`` says so; whether it has ended."""
        if self.process is None:
            return True
        self._weigh(0)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, until - time.monotonic()))
        if ended := not self.runs:
            self._reading.join(1.0)  # the last of what it said
            shutil.rmtree(self.scratch, ignore_errors=True)
        return ended

    @property
    def process(self) -> "subprocess.Popen[bytes] | None":
        """The process, which starts now if it has not; None, where it cannot be started."""
        self._due.set()
        self._begun.wait()
        return self._process

    @property
    def runs(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def _begin(self, kind: str) -> "subprocess.Popen[bytes] | None":
        own = {"TMPDIR": self.scratch, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        try:
            return subprocess.Popen(
                [sys.executable, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # one that outlives this process must not keep its terminal or pipe open
                start_new_session=True,  # Ctrl-C is for the training, which says how the stage ended
                env={**os.environ, **own},
            )
        except OSError as error:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self._hear(f"warning: {kind}: {type(error).__name__}: {error}. Training goes on without it.")
            return None

    def _weigh(self, nice: int) -> None:
        """Of a processor that both want it takes 1.5 % at 19 (weights 15 and 1024), half at 0.

        Linux weighs sessions before it weighs processes where it groups them (sched(7), autogroup): there its own nice value,
        within a session of its own, says nothing.
        """
        assert self._process is not None
        with suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text(str(nice))

    def _write(self, kind: str, head_start: float) -> None:
        if hasattr(signal, "pthread_sigmask"):  # where it is not ignored, it would end the training
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        self._due.wait(head_start)
        self._process = process = self._begin(kind)
        if process is None:
            self._begun.set()
            return
        self._weigh(19)
        self._reading.start()
        self._begun.set()
        assert process.stdin is not None
        with suppress(OSError, ValueError):  # it is gone
            for line in iter(self._lines.get, None):
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
        with suppress(OSError):
            process.stdin.close()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self._hear(line.decode(errors="replace").rstrip("\n"))
