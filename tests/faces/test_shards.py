"""Frames in shards: the same bytes as in one go, whatever is killed, and no shard of anything else is joined."""

import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from test_faces import TinyRelease

from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import FacesError
from fer_transfer.faces.prepare import prepare, prepare_shard
from fer_transfer.faces.shards import Shard
from fer_transfer.files.journal import Journal
from fer_transfer.releases.frames import FramesRelease

COUNT = 11


class Deadly(ViolaJones):
    """Kills the process that reads frames at its n-th, where a file says so; counts the frames."""

    def detect(self, frame: "np.ndarray") -> "object":  # type: ignore[override]
        place = Path(os.environ["DEADLY"])
        place.with_name("reads").open("a").write("x")
        if place.exists():
            left = int(place.read_text()) - 1
            place.write_text(str(left))
            if not left:
                place.unlink()
                os.kill(os.getppid(), signal.SIGKILL)
        return super().detect(frame)


def frames_of(folder: Path, size: int = 16) -> FramesRelease:
    return FramesRelease(str(folder), FacePipeline(Deadly(), None, BoxCrop(size)))


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "frames"
    for i in range(COUNT):
        picture = np.random.default_rng(i % 9).integers(0, 256, (60, 80, 3), np.uint8)  # two stand there twice
        (folder / ("Train" if i < 6 else "Val")).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / ("Train" if i < 6 else "Val") / f"{i:02}.png"), picture)
    monkeypatch.setenv("DEADLY", str(tmp_path / "deadly"))
    # 0: frames are read here, no process is started.
    monkeypatch.setattr("fer_transfer.faces.prepare._processes", lambda of: 0 if of == "auto" else int(of))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".checked.json"}


def shard(frames: Path, out: Path, number: int, of: int = 4, size: int = 16, workers: int = 0) -> None:
    prepare_shard(frames_of(frames, size), out, Shard(number, of), quiet(), workers)


def whole(frames: Path, out: Path, size: int = 16, workers: int = 0) -> dict[str, bytes]:
    return content(prepare(frames_of(frames, size), out, quiet(), workers, replace=True).folder)


def reads(tmp_path: Path) -> int:
    """Frames that were searched since the last call."""
    path = tmp_path / "reads"
    count = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def in_a_process(frames: Path, out: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The whole, or the shard NUMBER OF, with a process that reads the frames."""
    code = (
        "import sys\nfrom pathlib import Path\nimport test_shards as t\n"
        "frames, out, *words = sys.argv[1:]\n"
        "made = Path(frames), Path(out)\n"
        "t.shard(*made, *map(int, words), workers=1) if words else t.whole(*made, workers=1)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code, str(frames), str(out), *words]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)


def test_shards_in_any_order_give_the_bytes_of_one_process(frames: Path, tmp_path: Path) -> None:
    one = whole(frames, tmp_path / "one")
    assert {"pixels.npy", "index.npy", "manifest.json", "frames.csv", "sheet.jpg"} <= one.keys()
    assert whole(frames, tmp_path / "two", workers=2) == one
    reads(tmp_path)
    for number in (3, 1, 2, 3):
        shard(frames, tmp_path / "parts", number, 3)
    assert reads(tmp_path) == COUNT  # the third was not done again
    assert whole(frames, tmp_path / "parts") == one
    reads(tmp_path)
    shard(frames, tmp_path / "parts", 5, 16)  # of faces that are there
    assert not reads(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "one", "parts", "two"]


def test_more_shards_than_frames(frames: Path, tmp_path: Path) -> None:
    for number in (1, 3):  # the first has none
        shard(frames / "Train", tmp_path / "out", number, 13)
    with pytest.raises(FacesError, match=r"5 are missing: 5/13 \(not there\), 7/13"):
        whole(frames / "Train", tmp_path / "out")


@pytest.mark.parametrize("words", [(), pytest.param(("2", "2"), marks=pytest.mark.long)])
def test_a_kill_costs_the_frames_in_hand(frames: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    one = whole(frames, tmp_path / "one")
    searched = 6 if words else reads(tmp_path)  # the sheet searches its pictures again
    if words:
        shard(frames, tmp_path / "out", 1, 2)
    reads(tmp_path)
    for after in (3, 2) if words else (4,):
        (tmp_path / "deadly").write_text(str(after))
        killed = in_a_process(frames, tmp_path / "out", *words)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "out").exists()
    done = in_a_process(frames, tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    assert reads(tmp_path) <= searched + 2 * 2
    assert whole(frames, tmp_path / "out") == one
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "reads") == ["frames", "one", "out"]


def test_a_process_killed_before_the_last_name_has_made_the_faces(frames: Path, tmp_path: Path) -> None:
    one = whole(frames, tmp_path / "one")
    code = (
        "import os, sys\nfrom pathlib import Path\nimport test_shards as t\nfrom fer_transfer.faces.aside import Aside\n"
        "Aside.publish = lambda self: os.kill(os.getpid(), 9)\nt.whole(Path(sys.argv[1]), Path(sys.argv[2]), workers=1)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code, str(frames), str(tmp_path / "out")]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, timeout=60).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    reads(tmp_path)
    assert whole(frames, tmp_path / "out") == one and not reads(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "one", "out"]


def test_a_joining_that_is_cut_short_goes_on(frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = whole(frames, tmp_path / "one")
    for number in (1, 2, 3):
        shard(frames, tmp_path / "out", number, 3)
    put = Journal.put

    def stopped(journal: Journal, name: str, record: bytes) -> None:
        if len(journal) == 6:
            raise KeyboardInterrupt
        put(journal, name, record)

    monkeypatch.setattr(Journal, "put", stopped)
    with pytest.raises(KeyboardInterrupt):
        whole(frames, tmp_path / "out")
    monkeypatch.setattr(Journal, "put", put)
    there = {path.name for path in (tmp_path / ".out.parts").glob("*.npy")}
    assert there == {"1-of-1.npy", "2-of-3.npy", "3-of-3.npy"}  # what was joined is gone
    assert whole(frames, tmp_path / "out") == one


def test_what_is_missing_is_named_with_the_command(frames: Path, tmp_path: Path) -> None:
    shard(frames, tmp_path / "out", 2)
    (tmp_path / "deadly").write_text("3")
    assert in_a_process(frames, tmp_path / "out", "4", "4").returncode == -signal.SIGKILL
    with pytest.raises(FacesError) as missing:
        prepare(frames_of(frames), tmp_path / "out", quiet(), again="fer-prepare release=frames")
    for words in ("all 4 shards", "3 are missing: 1/4 (not there), 3/4 (not there), 4/4 (", " of 3 frames)",
                  "fer-prepare release=frames shard=1/4"):  # fmt: skip
        assert words in str(missing.value)
    with pytest.raises(FacesError, match=r"shards of 8 in .*those there are of 4 \(2/4, 4/4\)"):
        shard(frames, tmp_path / "out", 1, 8)


def test_shards_of_other_settings_or_of_a_changed_release_are_not_joined(frames: Path, tmp_path: Path) -> None:
    shard(frames, tmp_path / "out", 1, 2)
    shard(frames, tmp_path / "out", 2, 2, size=24)
    with pytest.raises(FacesError, match=r"1 are missing: 2/2 \(made with other settings: size\)"):
        whole(frames, tmp_path / "out")
    os.utime(frames / "Val" / "10.png", (0, 2_000_000_000))
    shard(frames, tmp_path / "out", 2, 2)
    with pytest.raises(FacesError, match=r"1 are missing: 1/2 \(made from the release before it changed\)"):
        whole(frames, tmp_path / "out")
    shard(frames, tmp_path / "out", 1, 2)
    assert whole(frames, tmp_path / "out") == whole(frames, tmp_path / "one")


def test_a_damaged_shard_is_named_and_mended(frames: Path, tmp_path: Path) -> None:
    one = whole(frames, tmp_path / "one")
    for number in (1, 2):
        shard(frames, tmp_path / "out", number, 2)
    with (tmp_path / ".out.parts" / "2-of-2.npy").open("r+b") as file:
        file.seek(128 + 16 * 16 + 7)
        file.write(b"wrong")
    with pytest.raises(FacesError, match=r"1 are missing: 2/2 \(1 of 6 frames\)"):
        whole(frames, tmp_path / "out")
    shard(frames, tmp_path / "out", 2, 2)
    assert whole(frames, tmp_path / "out") == one


def test_a_full_disk_keeps_what_is_done(frames: Path, tmp_path: Path) -> None:
    one = whole(frames, tmp_path / "one", 64)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    reads(tmp_path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 + 4 * 64 * 64 + 5, hard))  # four crops and a piece of one
        with pytest.raises(FacesError, match=r"Cannot keep what is done .*Free space"):
            shard(frames, tmp_path / "out", 1, 1, 64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    reads(tmp_path)
    shard(frames, tmp_path / "out", 1, 1, 64)
    assert reads(tmp_path) == COUNT - 4
    assert whole(frames, tmp_path / "out", 64) == one


def test_one_shard_has_one_process(frames: Path, tmp_path: Path) -> None:
    shard(frames, tmp_path / "out", 1, 2)
    peeked = tmp_path / ".out.parts" / "2-of-2"
    with Journal(peeked, {}, (6, 16, 16)), pytest.raises(FacesError, match="Another fer-prepare is at work"):
        shard(frames, tmp_path / "out", 2, 2)


def test_where_locks_do_nothing_no_wrong_bytes_are_published(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = whole(frames, tmp_path / "one")
    add = Journal.add

    def another_cuts(journal: Journal, records: Sequence[bytes]) -> None:
        for record in records:
            add(journal, [record])
            if len(journal) == 5:  # a second process that read less, and was killed
                os.truncate(journal.array, 128 + 2 * 16 * 16)

    monkeypatch.setattr(Journal, "add", another_cuts)
    with pytest.raises(FacesError, match=r"but 3 are others, first Train/02\.png, .*Repeat the command"):
        whole(frames, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Journal, "add", add)
    assert whole(frames, tmp_path / "out") == one


def test_a_release_without_frames_is_read_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    release, console = TinyRelease(tmp_path / "release"), quiet()
    prepare_shard(release, tmp_path / "out", Shard(1, 2), console)
    assert "nothing to do for shard 1/2" in console.file.getvalue() and not release.scans  # type: ignore[attr-defined]
    assert len(prepare(release, tmp_path / "out", quiet())) == 6
