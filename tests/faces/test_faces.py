"""Prepared faces: what is written is read back, failures leave nothing, work is not done twice."""

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from fer_transfer.config import build, plain
from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import FacesError, ReleaseError
from fer_transfer.faces import writer as writer_module
from fer_transfer.faces.duplicates import duplicate_lines
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.prepare import prepare
from fer_transfer.faces.source import Advance, Face
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files.digest import file_digest
from fer_transfer.settings import compose

PIXELS = np.random.default_rng(1).integers(0, 256, (6, 4, 5), np.uint8)


class TinyRelease:
    """Six faces of two splits; a failure can be asked for."""

    name, size = "tiny", (4, 5)

    def __init__(self, source: Path, fail_at: int | None = None, choice: int = 0) -> None:
        self.sources, self.fail_at, self.choice, self.scans = [source], fail_at, choice, 0
        self.count = 6

    def settings(self) -> dict[str, Any]:
        return {"choice": self.choice, "size": self.size}  # a tuple, which JSON turns into a list

    def scan(self, advance: Advance) -> int:
        self.scans += 1
        advance(1, 2)
        return self.count

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        for i in range(6):
            if i == self.fail_at:
                raise ReleaseError(f"picture {i} is bad")
            votes = np.arange(10, dtype=np.uint8) + i
            yield Face(PIXELS[i], f"f{i}", "Train" if i < 4 else "Test", i if i < 4 else -1, i != 1, votes)

    def caveats(self) -> list[str]:
        return ["synthetic"]

    def report(self) -> dict[str, Any]:
        return {"movies": 3}

    def summary(self) -> list[str]:
        return ["six tiny faces"]

    def write_extras(self, folder: Path) -> None:
        (folder / "sheet.jpg").write_text("extra")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "a.png").write_bytes(b"a")
    return tmp_path / "release"


def quiet() -> Console:
    return Console(file=io.StringIO())


def leftovers(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name != "release")


def test_what_is_prepared_is_read_back(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = prepare(TinyRelease(source), tmp_path / "faces" / "tiny", quiet())
    assert np.array_equal(faces.pixels, PIXELS) and isinstance(faces.pixels, np.memmap)
    assert faces.ids.tolist() == [f"f{i}" for i in range(6)] and faces.labels.tolist() == [0, 1, 2, 3, -1, -1]
    assert faces.rows(["Test"]).tolist() == [4, 5] and faces.found.tolist() == [True, False, True, True, True, True]
    assert faces.votes is not None and faces.votes[5].tolist() == list(range(5, 15))
    assert faces.name == "tiny" and faces.caveats == ["synthetic"] and faces.manifest["report"] == {"movies": 3}
    assert faces.manifest["counts"]["Test"]["unlabelled"] == 2 and faces.manifest["lost"]["Train"]["Disgust"] == 1
    names = ("pixels.npy", "index.npy", "votes.npy")
    assert faces.digest == file_digest(faces.folder / name for name in names)
    out = capsys.readouterr().out
    assert "six tiny faces" in out and "1 face is lost" in out and "caveat: synthetic" in out
    assert leftovers(tmp_path / "faces") == ["tiny"]


def test_nothing_is_prepared_twice(source: Path, tmp_path: Path) -> None:
    first, again, other = TinyRelease(source), TinyRelease(source), TinyRelease(source, choice=1)
    digest = prepare(first, tmp_path / "tiny", quiet()).digest
    console = quiet()
    assert prepare(again, tmp_path / "tiny", console).digest == digest and again.scans == 0
    assert "nothing to do" in console.file.getvalue()  # type: ignore[attr-defined]
    prepare(other, tmp_path / "tiny", quiet(), replace=True)
    assert other.scans == 1
    (source / "b.png").write_bytes(b"b")
    changed = TinyRelease(source, choice=1)
    prepare(changed, tmp_path / "tiny", quiet())
    assert changed.scans == 1
    os.truncate(tmp_path / "tiny" / "pixels.npy", 150)
    damaged = TinyRelease(source, choice=1)
    assert prepare(damaged, tmp_path / "tiny", quiet()).digest == digest and damaged.scans == 1


def test_faces_of_other_settings_are_not_replaced_unless_told(source: Path, tmp_path: Path) -> None:
    digest = prepare(TinyRelease(source), tmp_path / "tiny", quiet()).digest
    manifest = (tmp_path / "tiny" / "manifest.json").read_bytes()
    other = TinyRelease(source, choice=1)
    with pytest.raises(
        FacesError, match=r"differ in 1: choice 0 there, 1 asked\. Keep both: out=.*tiny_2, .*replace=true"
    ):
        prepare(other, tmp_path / "tiny", quiet())
    assert other.scans == 0 and (tmp_path / "tiny" / "manifest.json").read_bytes() == manifest
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.png").write_bytes(b"c")
    with pytest.raises(FacesError, match="differ in 1: sources"):  # another release, not the same one changed
        prepare(TinyRelease(tmp_path / "elsewhere"), tmp_path / "tiny", quiet())
    assert open_faces(tmp_path / "tiny").digest == digest
    prepare(other, tmp_path / "tiny", quiet(), replace=True)
    assert open_faces(tmp_path / "tiny").manifest["settings"]["choice"] == 1


def test_a_failure_leaves_nothing_or_the_older_faces(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="picture 3 is bad"):
        prepare(TinyRelease(source, fail_at=3), tmp_path / "tiny", quiet())
    assert leftovers(tmp_path) == []
    digest = prepare(TinyRelease(source), tmp_path / "tiny", quiet()).digest
    with pytest.raises(ReleaseError, match="picture 5 is bad"):
        prepare(TinyRelease(source, fail_at=5, choice=2), tmp_path / "tiny", quiet(), replace=True)
    assert leftovers(tmp_path) == ["tiny"] and open_faces(tmp_path / "tiny").digest == digest


def test_a_full_disk_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(FacesError, match=r"No space left on device.*Free space or choose another folder"):
        prepare(TinyRelease(source), tmp_path / "tiny", quiet())
    assert leftovers(tmp_path) == []


def test_a_disk_that_fills_while_pixels_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if len(data) == 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data) or 0

    monkeypatch.setattr(Path, "open", lambda path, mode: Full(path, mode))
    with pytest.raises(FacesError, match="No space left"), FacesWriter(tmp_path / "tiny", "tiny", (4, 5), 1) as writer:
        writer.add(PIXELS[0], "a", "Train", 0)
    assert leftovers(tmp_path) == []


def test_a_wrong_count_or_a_repeated_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FacesError, match="Expected 3 faces"), FacesWriter(tmp_path / "t", "t", (4, 5), 3) as writer:
        writer.add(PIXELS[0], "a", "Train", 0)
    with pytest.raises(FacesError, match="1 distinct"), FacesWriter(tmp_path / "t", "t", (4, 5), 2) as writer:
        writer.add(PIXELS[0], "a", "Train", 0)
        writer.add(PIXELS[1], "a", "Train", 0)
    assert leftovers(tmp_path) == []


def test_other_folders_are_not_replaced(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    prepare(TinyRelease(source), mine, quiet())  # an empty folder may be used
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(FacesError, match=r"1 other files \(chapter1\.tex\)"):
        prepare(TinyRelease(source), tmp_path / "thesis", quiet())
    with pytest.raises(FacesError, match="it is a file"):
        prepare(TinyRelease(source), tmp_path / "thesis" / "chapter1.tex", quiet())
    for inside in (source, source / "faces"):
        with pytest.raises(FacesError, match="outside the release"):
            prepare(TinyRelease(source), inside, quiet())
    with pytest.raises(ReleaseError, match="there is nothing"):
        prepare(TinyRelease(tmp_path / "none"), tmp_path / "new", quiet())
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "x" and not (tmp_path / "new").exists()


def test_progress_is_bars_in_a_terminal_and_two_lines_elsewhere(source: Path, tmp_path: Path) -> None:
    terminal, file = Console(file=io.StringIO(), force_terminal=True, width=120), quiet()
    prepare(TinyRelease(source), tmp_path / "a", terminal)
    prepare(TinyRelease(source), tmp_path / "b", file)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "100%" in shown and "preparing 6 faces" in shown
    assert file.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "reading tiny ...",
        "reading tiny: done",
        "preparing 6 faces ...",
        "preparing 6 faces: done",
    ]


def write(folder: Path, rows: list[tuple[int, str, int]]) -> Faces:
    """Faces from (picture, split, label); picture -1 is of one colour."""
    with FacesWriter(folder, "t", (4, 5), len(rows)) as writer:
        for i, (picture, split, label) in enumerate(rows):
            writer.add(np.full((4, 5), 9, np.uint8) if picture < 0 else PIXELS[picture], f"f{i}", split, label)
    return open_faces(folder)


def test_duplicates_are_counted(tmp_path: Path) -> None:
    rows = [(0, "Training", 1), (0, "Training", 2), (1, "Training", 3), (2, "PublicTest", 1), (1, "PublicTest", 3)]
    rows += [(1, "PublicTest", 3), (0, "PrivateTest", -1), (-1, "PrivateTest", 0), (2, "PrivateTest", -1)]
    found = write(tmp_path / "t", rows).manifest["duplicates"]
    assert found == {
        "faces": 9,
        "distinct": 4,
        "conflicting": 1,  # picture 0; a withheld label conflicts with none
        "repeated": {"Training": 1, "PublicTest": 1, "PrivateTest": 0},
        "also_in": {
            "Training": {},
            "PublicTest": {"Training": 2},
            "PrivateTest": {"Training": 1, "PublicTest": 1},
        },
        "constant": 1,
    }
    lines = duplicate_lines(found)
    assert (
        lines[0] == "exact duplicates: 4 distinct pictures of 9 (5 repeat another), 1 of them with conflicting labels"
    )
    assert "2 faces of PublicTest also stand in Training" in lines
    assert "1 face of PrivateTest also stands in PublicTest" in lines and len(lines) == 6
    clean = write(tmp_path / "u", [(0, "Train", 0), (1, "Val", 0)]).manifest["duplicates"]
    assert duplicate_lines(clean) == []


def test_folders_that_are_no_faces(tmp_path: Path) -> None:
    with pytest.raises(FacesError, match="fer-prepare"):
        open_faces(tmp_path)
    faces = write(tmp_path / "t", [(0, "Train", 0)])
    with pytest.raises(FacesError, match="holds Train"):
        faces.rows(["Val"])
    for name, content in (("manifest.json", "{"), ("manifest.json", '{"format": 99}'), ("pixels.npy", "x")):
        damaged = shutil.copytree(tmp_path / "t", tmp_path / "damaged", dirs_exist_ok=True)
        (damaged / name).write_text(content)
        with pytest.raises(FacesError, match=r"[Pp]repare"):
            open_faces(damaged)


def test_a_disk_that_is_really_full_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file sizes fails as a full disk does: at a flush, and again when the file is closed."""
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from fer_transfer.errors import FacesError\n"
        "from fer_transfer.faces.writer import FacesWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        "    with FacesWriter(sys.argv[1], 't', (48, 48), 100) as writer:\n"
        "        for i in range(100):\n"
        "            writer.add(np.full((48, 48), i, np.uint8), str(i), 'Train', 0)\n"
        "except FacesError as error:\n"
        "    print('FacesError:', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "t")], capture_output=True, text=True)
    assert "FacesError: Cannot write faces" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_index_is_written_in_parts_as_numpy_writes_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are part of the digest of the faces, which keys of finished stages rest on."""
    monkeypatch.setattr(writer_module, "_PART", 4)
    ids = [f"{'x' * i}\u00e9{i}.png" for i in range(10)]
    with FacesWriter(tmp_path / "t", "t", (4, 5), 10) as writer:
        for i in range(10):
            writer.add(
                PIXELS[i % 6], ids[i], "Val" if i == 3 else "Train", i % 7, i != 2, subject="ab"[i % 2] if i > 4 else ""
            )
    whole = np.array(
        [(ids[i], "Val" if i == 3 else "Train", i % 7, i != 2, i % 6) for i in range(10)],
        [("id", "U15"), ("split", "U5"), ("label", "i1"), ("found", "?"), ("duplicate_of", "i4")],
    )
    np.save(tmp_path / "whole.npy", whole)
    assert (tmp_path / "t" / "index.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    faces = open_faces(tmp_path / "t")
    assert faces.digest == file_digest([tmp_path / "t" / "pixels.npy", tmp_path / "whole.npy"])
    assert isinstance(faces.ids, np.memmap) and faces.ids.tolist() == ids and faces.split_names == ("Train", "Val")
    assert faces.subject_of is not None and faces.subject_of.tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 6, 5]
    assert faces.manifest["subjects"] == 2


def test_frames_of_a_movie_are_of_one_subject(tmp_path: Path) -> None:
    for name in (
        "Train/Happy/Airheads_000000001_00000001.png",
        "Train/Happy/b.png",
        "Val/Sad/Airheads_000000002_00000001.png",
    ):
        (tmp_path / "frames" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "frames" / name), np.zeros((4, 4), np.uint8))
    config = plain(compose("prepare", ["release=frames", f"release.path={tmp_path / 'frames'}", "pipeline=box"]))
    config["release"]["aligned_size"] = [4, 4]
    faces = prepare(build("release", config["release"]), tmp_path / "faces", quiet(), workers=1)
    by_id = dict(zip(faces.ids.tolist(), faces.subject_of.tolist(), strict=True))  # type: ignore[union-attr]
    movie = [row for id, row in by_id.items() if "Airheads" in id]
    assert len(set(movie)) == 1 and len(set(by_id.values())) == 2 and faces.manifest["subjects"] == 1
