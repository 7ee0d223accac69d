"""What a killed ``fer-prepare`` leaves beside its folder is removed by the next one, unless its process lives."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_faces import TinyRelease, leftovers, quiet

from fer_transfer.faces.aside import Aside
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.prepare import prepare

#: Writes half of some faces and waits.
_HALF = """
import sys, time
import numpy as np
from fer_transfer.faces.writer import FacesWriter
with FacesWriter(sys.argv[1], "t", (4, 5), 9) as writer:
    writer.add(np.zeros((4, 5), np.uint8), "a", "Train", 0)
    print(writer.aside, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def release(tmp_path: Path) -> TinyRelease:
    (tmp_path / "release").mkdir()
    return TinyRelease(tmp_path / "release")


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(
    release: TinyRelease, tmp_path: Path
) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", _HALF, str(tmp_path / name)], stdout=subprocess.PIPE, text=True)
        for name in ("out", "out", "other")
    ]
    try:
        asides = [Path(process.stdout.readline().strip()) for process in started if process.stdout]
        assert all((aside / "pixels.npy").exists() for aside in asides)
        started[0].send_signal(signal.SIGKILL)
        started[2].send_signal(signal.SIGKILL)
        for number in (0, 2):
            started[number].wait()
        (tmp_path / ".out-deadbeef").mkdir()  # somebody else's
        prepare(release, tmp_path / "out", quiet())
        assert [aside.exists() for aside in asides] == [False, True, True]
        prepare(TinyRelease(release.sources[0]), tmp_path / "out", quiet())  # nothing to do, but this
        assert asides[1].exists() and (tmp_path / ".out-deadbeef").exists()
        prepare(TinyRelease(release.sources[0]), tmp_path / "other", quiet())
    finally:
        for process in started:
            process.kill()
            process.wait()
    prepare(TinyRelease(release.sources[0]), tmp_path / "out", quiet())
    assert leftovers(tmp_path) == [".out-deadbeef", "other", "out"]


def test_a_process_killed_between_two_names_loses_neither(release: TinyRelease, tmp_path: Path) -> None:
    whole = prepare(release, tmp_path / "out", quiet())
    (tmp_path / "out").rename(tmp_path / ".out-01234567-old")
    (tmp_path / ".out-01234567").mkdir()
    (tmp_path / ".out-01234567.lock").touch()
    again = TinyRelease(release.sources[0])
    assert prepare(again, tmp_path / "out", quiet()).digest == whole.digest and again.scans == 0
    assert leftovers(tmp_path) == ["out"]


def test_faces_that_cannot_be_published_leave_the_older_ones(
    release: TinyRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = prepare(release, tmp_path / "out", quiet()).digest
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if target == tmp_path / "out" and not path.name.endswith("-old"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(Exception, match="Input/output error"):
        prepare(TinyRelease(release.sources[0], choice=1), tmp_path / "out", quiet(), replace=True)
    monkeypatch.undo()
    assert open_faces(tmp_path / "out").digest == digest and leftovers(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_made_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def full(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if path.name.startswith(".out-"):
            raise OSError(28, "No space left on device")
        mkdir(path, mode, parents, exist_ok)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="No space"):
        Aside(tmp_path / "out")
    assert not list(tmp_path.iterdir())
