"""Where a stage is while it trains: a folder of the one job that trains it, renamed into the store when it is finished.

Two jobs that train one stage, because a network file system's locks do nothing, have a folder each and never mix. The name of
a folder says whose it is (``KEY.PID.RANDOM.HOST``); a job that was stopped gives it up (``KEY.left.RANDOM``). The next one
takes over what is nobody's by renaming it, which one job alone can do, and starts from a copy of the checkpoint of one that
somebody may still be writing.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fer_transfer.stages.store import StageFolder, Store

_LEFT = "left"
_NAME = re.compile(r"[0-9a-f]{16}\.(left\.[0-9a-f]{8}|[0-9]+\.[0-9a-f]{8}\..*)")
_ours: set[Path] = set()  # of this process


@dataclass(frozen=True)
class Work:
    """The folder of a stage that is not finished.

    Attributes:
        folder: its files.
        owner: process that writes there, or None if it gave the folder up.
        host: of the owner.
    """

    folder: StageFolder
    owner: int | None
    host: str

    @property
    def is_living(self) -> bool | None:
        """Whether the owner is at work; None: it is, or was, on another host, and nobody can tell."""
        if self.owner is None:
            return False
        if self.host != _here():
            return None
        return self.folder.path in _ours if self.owner == os.getpid() else _runs(self.owner)


def unfinished(store: Store, key: str | None = None) -> list[Work]:
    """Folders of stages that are not finished, of one key or of all; those with a checkpoint first, the newest first."""
    found = [
        _work(path) for path in store.work.glob(f"{key or '*'}.*.*") if _NAME.fullmatch(path.name) and path.is_dir()
    ]
    of_before = [path for path in ([store.root / key] if key else store.root.glob("*")) if _is_left_open(path)]
    return sorted([*found, *(Work(StageFolder(path), None, "") for path in of_before)], key=_age)


@contextmanager
def working(store: Store, key: str) -> Iterator[StageFolder]:
    """A folder of one's own to train a stage in, with what an interrupted job left of it.

    It becomes the stage by ``commit``; otherwise it is given up, for whoever comes next.

    Raises:
        OSError: if the store cannot be written.
    """
    store.work.mkdir(exist_ok=True)
    own = store.work / f"{key}.{os.getpid()}.{secrets.token_hex(4)}.{_here()}"
    _ours.add(own)
    try:
        _take(store, key, own)
        yield StageFolder(own)
    finally:
        _ours.discard(own)
        with contextlib.suppress(
            OSError
        ):  # renamed into the store; or the disk is gone, and then it is its owner's who died
            own.rename(own.with_name(f"{key}.{_LEFT}.{secrets.token_hex(4)}"))


def commit(folder: StageFolder, final: StageFolder) -> None:
    """Rename a finished folder to where the store looks for it; that of a job that was faster stays.

    Raises:
        OSError: if it cannot be renamed.
    """
    try:
        folder.path.rename(final.path)
    except OSError:
        if not final.path.is_dir():
            raise
        if final.result() is not None:  # another job trained it meanwhile
            shutil.rmtree(folder.path)
            return
        final.set_aside()
        folder.path.rename(final.path)
    final.drop_leftovers()


def _take(store: Store, key: str, own: Path) -> None:
    """Make the folder: what is nobody's, or a new one that starts from the checkpoint of somebody else's."""
    others = unfinished(store, key)
    for work in others:
        if work.is_living is False:
            with contextlib.suppress(OSError):  # another job took it
                work.folder.path.rename(own)
                return
    own.mkdir()
    for work in others:
        with contextlib.suppress(OSError):  # it has been committed meanwhile
            for path in (work.folder.checkpoint, work.folder.metrics):  # in this order: metrics are the newer ones
                shutil.copyfile(path, own / path.name)
            return


def _is_left_open(path: Path) -> bool:
    """Whether a folder has the name of a stage but no result."""
    return bool(re.fullmatch(r"[0-9a-f]{16}", path.name)) and path.is_dir() and not (path / "result.json").exists()


def _work(path: Path) -> Work:
    _, owner, _, *host = path.name.split(".", 3)
    return Work(StageFolder(path), None if owner == _LEFT else int(owner), "".join(host))


def _age(work: Work) -> float:
    """For sorting; a clock that jumped costs work at most."""
    try:
        return -work.folder.checkpoint.stat().st_mtime
    except OSError:
        return 0.0


def _here() -> str:
    """This host, and the numbers of processes that count on it: containers may share the name of the host."""
    try:
        space = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:  # no Linux
        space = ""
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) + f"-{space}"


def _runs(pid: int) -> bool:
    if os.name == "nt":  # where os.kill ends the process, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
