"""Commands in processes of their own that need not import torch again: forked of one process that has imported it.

As ``subprocess.Popen([sys.executable, "-c", "from fer_transfer.cli.train import main; main()", ...])``, less the seconds that the
imports take: the process can be killed, listened to and waited for, ends as any Python does, and has its own folder,
environment and session. What a command imports, and when, is not tested so; tests of that start Python itself. joblib's workers
are forked of the command in turn where a test asks for it; otherwise each imports everything again, as it does for a user.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

#: What runs a command to its end, as ``run`` does.
Runs = Callable[..., "subprocess.CompletedProcess[str]"]

#: What the commands import when they have something to do; what is enough for fer-prepare, in a fifth of the memory.
_LIGHT = (
    "fer_transfer.cli.prepare",
    "fer_transfer.releases.frames",
    "fer_transfer.releases.fer2013",
    "fer_transfer.running",
)
_ALL = (
    "wandb",
    "fer_transfer.running",
    "fer_transfer.detection.reader",
    "fer_transfer.reports.page.page",
    "fer_transfer.stages.recording",
    "fer_transfer.sweeps.sweep",
    *(f"fer_transfer.cli.{name}" for name in ("app", "prepare", "report", "store", "train", "weights")),
)


class Started:
    """A command that runs, to be used as a ``subprocess.Popen``."""

    def __init__(self, args: list[str], stdout: IO[str], stderr: IO[str], status: IO[str]) -> None:
        self.args, self.stdout, self.stderr, self._status = args, stdout, stderr, status
        self.pid = int(status.readline())
        self.returncode: int | None = None
        self.peak = 0  # MiB, of the largest of its processes, once it has ended

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns the exit code, or the negative number of the signal that it died of."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode, kibibytes = map(int, self._status.readline().split())
            self.peak = kibibytes // 1024
            self._status.close()
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; returns what it wrote that was not read yet."""
        read: dict[str, str] = {}
        readers = [
            threading.Thread(target=lambda name=name: read.update({name: getattr(self, name).read()}), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():  # somebody that it has started still holds it
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.stdout.close()
        self.stderr.close()
        return read["stdout"], read["stderr"]

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """By SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """By SIGKILL."""
        self.send_signal(signal.SIGKILL)


def start(
    command: str,
    *words: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    start_new_session: bool = False,
    forked_workers: bool = False,
    light: bool = False,
) -> Started:
    """Start fer-COMMAND, or a script by its path; a light one has imported little before."""
    ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
    environment = dict(os.environ if env is None else env)
    request = [command, words, str(cwd or Path.cwd()), environment, start_new_session, forked_workers]
    socket.send_fds(_forker(_LIGHT if light else _ALL), [json.dumps(request).encode()], theirs)
    for number in theirs:
        os.close(number)
    return Started([f"fer-{command}", *words], *(open(number, encoding="utf-8") for number in ours))


def run(
    command: str,
    *words: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    forked_workers: bool = False,
    light: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Start fer-COMMAND and wait for its end."""
    started = start(command, *words, cwd=cwd, env=env, forked_workers=forked_workers, light=light)
    try:
        out, err = started.communicate(timeout)
    finally:
        started.kill()
    return subprocess.CompletedProcess(started.args, started.wait(), out, err)


@functools.cache
def _forker(imported: tuple[str, ...]) -> socket.socket:
    """Where requests go to; the process at its other end dies with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a process with several is not safe to fork
    subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno()), *imported],
        stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=os.environ | one_thread,
    )  # fmt: skip
    theirs.close()
    return ours


def _served(requests: socket.socket, imported: list[str]) -> tuple[str, list[str]]:
    """Fork for each request; returns in the process that shall run it."""
    from fer_transfer.config import conf_dir  # not where processes that it starts import this module again
    from fer_transfer.settings import declared

    for name in imported:
        importlib.import_module(name)
        if (conf_dir() / f"{name.rpartition('.')[2]}.yaml").exists():
            declared(name.rpartition(".")[2])  # reads it, and finds Hydra's plugins
    assert len(os.listdir("/proc/self/task")) == 1, "an import started a thread"
    gc.freeze()  # or a collection would copy all memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those that watch ended
    while True:
        asked, handed, *_ = socket.recv_fds(requests, 1 << 20, 3)
        if not asked:
            os._exit(0)
        if not os.fork() and not _watched(handed[2]):
            requests.close()
            command, words, cwd, env, session, forked_workers = json.loads(asked)
            os.dup2(handed[0], 1)
            os.dup2(handed[1], 2)
            for number in handed:
                os.close(number)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(env)
            sys.path[:0] = [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
            if session:
                os.setsid()
            if forked_workers:
                _fork_workers()
            return command, words
        for number in handed:
            os.close(number)


def _fork_workers() -> None:
    """Of joblib."""
    from joblib.externals.loky.backend.context import set_start_method

    set_start_method("fork")
    warnings.filterwarnings("ignore", "`fork` start method should not be used")


def _watched(status: int) -> int:
    """Fork again: 0 in the new process; the other tells its number, how it ended and its largest memory, and is no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.closerange(0, status)
        os.write(status, f"{pid}\n".encode())
        _, code, usage = os.wait4(pid, 0)
        os.write(status, f"{os.waitstatus_to_exitcode(code)} {usage.ru_maxrss}\n".encode())
        os._exit(0)
    return pid


def _called(command: str, words: list[str]) -> int:
    """Run the command; returns its exit code."""
    script = command.endswith(".py")
    sys.argv = [command if script else f"fer-{command}", *words]
    try:
        if script:
            runpy.run_path(command, run_name="__main__")
        else:
            importlib.import_module(f"fer_transfer.cli.{command}").main()
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _code = _called(*_served(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
    threading._shutdown()  # what Python does at its end; what it does then, giving back all memory, takes a second here
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_code)
