"""Damaged faces are named before anything is trained, and preparing again mends them."""

import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from test_faces import TinyRelease

from fer_transfer.cli.train import train
from fer_transfer.errors import FacesError
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.prepare import prepare
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files import checked
from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import read_document, write_document
from fer_transfer.settings import compose


def zero_pixels(folder: Path) -> None:
    pixels = np.load(folder / "pixels.npy", mmap_mode="r+")
    pixels[:200] = 0
    pixels.flush()


def change_index(column: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        index = np.load(folder / "index.npy")
        index[column][3] = value
        np.save(folder / "index.npy", index)

    return change


def change_columns(column: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        columns = np.load(folder / "columns.npy")
        columns[column][3] = value
        np.save(folder / "columns.npy", columns)

    return change


def change_manifest(**changed: Any) -> Callable[[Path], None]:
    """By hand, in an editor: the digest stays as it was."""

    def change(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))

    return change


def forget(key: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "manifest.json").read_text())
        del content[key]
        (folder / "manifest.json").write_text(json.dumps(content))

    return change


def manifest_is_a_folder(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()


def an_array_of(name: str, make: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, make(np.load(folder / name)))


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "zeroed through a memory map": ("pixels.npy", zero_pixels),
    "float pixels": ("pixels.npy", an_array_of("pixels.npy", lambda pixels: pixels.astype(np.float32))),
    "no pixels": ("pixels.npy", lambda folder: os.truncate(folder / "pixels.npy", 0)),
    "half a header": ("pixels.npy", lambda folder: os.truncate(folder / "pixels.npy", 60)),
    "a missing file": ("pixels.npy", lambda folder: (folder / "pixels.npy").unlink()),
    "another label": ("index.npy", change_index("label", 1)),
    "label 9": ("index.npy", change_index("label", 9)),
    "another split": ("index.npy", change_index("split", "Val")),
    "an id twice": ("index.npy", change_index("id", "f0")),
    "no index": ("index.npy", lambda folder: os.truncate(folder / "index.npy", 0)),
    "columns of others": ("columns.npy", change_columns("label", 1)),
    "no columns": ("columns.npy", lambda folder: (folder / "columns.npy").unlink()),
    "short votes": ("votes.npy", an_array_of("votes.npy", lambda votes: votes[:-1])),
    "no votes": ("votes.npy", lambda folder: (folder / "votes.npy").unlink()),
    "a caveat deleted": ("manifest.json", change_manifest(caveats=[])),
    "another name": ("manifest.json", change_manifest(name="fer2013")),
    "no count": ("manifest.json", forget("count")),
    "no digest": ("manifest.json", forget("digest")),
    "no digest of its own": ("manifest.json", forget("sha256")),
    "no format": ("manifest.json", forget("format")),
    "a folder": ("manifest.json", manifest_is_a_folder),
    "no JSON": ("manifest.json", lambda folder: (folder / "manifest.json").write_text("{")),
    "a list": ("manifest.json", lambda folder: (folder / "manifest.json").write_text("[]")),
}


@pytest.fixture
def release(tmp_path: Path) -> TinyRelease:
    (tmp_path / "release").mkdir()
    return TinyRelease(tmp_path / "release")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_before_anything_is_trained_and_preparing_again_mends_it(
    release: TinyRelease, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "_RACY", 10**7)
    quiet = Console(file=io.StringIO())
    prepare(release, tmp_path / "emotiw", quiet)
    time.sleep(0.05)
    whole = open_faces(tmp_path / "emotiw")
    assert (tmp_path / "emotiw" / ".checked.json").exists()
    name, make = DAMAGES[damage]
    make(tmp_path / "emotiw")
    faces = [f"runtime.faces.emotiw={tmp_path / 'emotiw'}", "~runtime.faces.fer2013"]
    tiny = ["backbone=timm", "recipe.backbone.name=test_resnet", "plan=emotiw", f"runtime.store={tmp_path / 'store'}"]
    with pytest.raises(FacesError, match=r"[Pp]repare (them )?again.*same fer-prepare command") as error:
        train(compose("train", [*tiny, *faces]))
    assert str(tmp_path / "emotiw" / name) in str(error.value)
    assert not list((tmp_path / "store").glob("*/"))
    again = prepare(TinyRelease(release.sources[0]), tmp_path / "emotiw", quiet)
    assert again.digest == whole.digest and open_faces(tmp_path / "emotiw").caveats == ["synthetic"]


def test_faces_of_an_older_format_are_refused_by_name_and_made_again(release: TinyRelease, tmp_path: Path) -> None:
    """Format 1 had no digest of each file, and none of the manifest."""
    quiet = Console(file=io.StringIO())
    prepare(release, tmp_path / "tiny", quiet)
    path = tmp_path / "tiny" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    forget("files")(tmp_path / "tiny"), forget("sha256")(tmp_path / "tiny")
    with pytest.raises(FacesError, match=r"faces of format 2 in .*tiny, but got 1: another version.*Prepare again"):
        open_faces(tmp_path / "tiny")
    again = TinyRelease(release.sources[0])
    prepare(again, tmp_path / "tiny", quiet)
    assert again.scans == 1 and len(open_faces(tmp_path / "tiny")) == 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": 3}, "format 2.*but got 3"),
        ({"count": "6"}, "count in"),
        ({"count": 7}, r"uint8 pixels \(7, 4, 5\), but got uint8 \(6, 4, 5\)"),
        ({"files": {"../x": "0"}}, "digests of pixels"),
        ({"files": {"pixels.npy": 1, "index.npy": 2}}, "digests of pixels"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(
    release: TinyRelease, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    prepare(release, tmp_path / "tiny", Console(file=io.StringIO()))
    path = tmp_path / "tiny" / "manifest.json"
    write_document(path, read_document(path) | changed)
    with pytest.raises(FacesError, match=message):
        open_faces(tmp_path / "tiny")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", 9, r"labels -1\.\.6, but 1 faces have others, first f3"),
        ("duplicate_of", 4, "duplicate_of to name a row before"),
        ("subject_of", -1, "subject_of to name a row before"),
        ("split", 2, "numbers of 2 splits"),
    ],
)
def test_columns_that_cannot_be_are_named_though_their_digest_fits(
    release: TinyRelease, tmp_path: Path, column: str, value: int, message: str
) -> None:
    folder = tmp_path / "tiny"
    prepare(release, folder, Console(file=io.StringIO()))
    change_columns(column, value)(folder)
    manifest = read_document(folder / "manifest.json")
    manifest["files"]["columns.npy"] = file_digest([folder / "columns.npy"])
    write_document(folder / "manifest.json", manifest)
    with pytest.raises(FacesError, match=message):
        open_faces(folder)


def test_faces_of_before_columns_were_kept_are_read_as_they_are(release: TinyRelease, tmp_path: Path) -> None:
    """Their subjects are not known, nor is it known that there are none."""
    prepare(release, tmp_path / "tiny", Console(file=io.StringIO()))
    now = open_faces(tmp_path / "tiny")
    manifest = read_document(tmp_path / "tiny" / "manifest.json")
    del manifest["files"]["columns.npy"], manifest["splits"], manifest["subjects"]
    write_document(tmp_path / "tiny" / "manifest.json", manifest)
    (tmp_path / "tiny" / "columns.npy").unlink()
    before = open_faces(tmp_path / "tiny")
    assert before.subject_of is None and now.subject_of is not None
    assert (before.digest, before.split_names) == (now.digest, now.split_names) == (now.digest, ("Train", "Test"))
    for name in ("ids", "splits", "labels", "found", "duplicate_of"):
        assert np.array_equal(getattr(before, name), getattr(now, name)), name


def test_nothing_is_read_again_unless_a_file_changed(
    release: TinyRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny"
    prepare(release, folder, Console(file=io.StringIO()))
    later, read = time.time_ns() + 10 * 10**9, []
    original = checked.file_digest
    monkeypatch.setattr(checked, "file_digest", lambda paths: read.extend(paths) or original(paths))
    monkeypatch.setattr(checked.time, "time_ns", lambda: later)  # the files are old enough for their times to tell
    open_faces(folder)
    assert sorted(path.name for path in read) == ["columns.npy", "index.npy", "pixels.npy", "votes.npy"]
    read.clear()
    open_faces(folder)
    assert read == []
    os.utime(folder / "votes.npy")
    open_faces(folder)
    assert [path.name for path in read] == ["votes.npy"]
    (folder / ".checked.json").write_text((folder / ".checked.json").read_text().replace("votes.npy", "index.npy"))
    open_faces(folder)
    assert len(read) == 5, "a damaged note of what was read is as none"


def test_files_that_were_exchanged_are_read_again_whatever_times_they_carry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As archives that keep whole seconds unpack them: the same size, the same time."""
    for name in "ab":
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (10**9, 10**9))
    monkeypatch.setattr(checked, "_RACY", 10**7)
    time.sleep(0.05)
    first = {name: checked.checked_digest(tmp_path / name) for name in "ab"}
    assert sorted(read_document(tmp_path / ".checked.json")) == ["a", "b"]
    for source, target in (("a", "c"), ("b", "a"), ("c", "b")):
        shutil.move(tmp_path / source, tmp_path / target)
    assert {name: checked.checked_digest(tmp_path / name) for name in "ab"} == {"a": first["b"], "b": first["a"]}


def test_a_folder_that_cannot_be_written_to_is_read(
    release: TinyRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(release, tmp_path / "tiny", Console(file=io.StringIO()))

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checked, "write_document", refused)
    monkeypatch.setattr(checked, "_RACY", -(10**12))
    assert len(open_faces(tmp_path / "tiny")) == 6 and not (tmp_path / "tiny" / ".checked.json").exists()


def test_the_writer_refuses_what_could_not_be_opened(tmp_path: Path) -> None:
    picture, votes = np.zeros((2, 2), np.uint8), np.zeros(10, np.uint8)
    with (
        pytest.raises(FacesError, match=r"label of -1\.\.6 for a, but got 9"),
        FacesWriter(tmp_path / "t", "t", (2, 2), 1) as writer,
    ):
        writer.add(picture, "a", "Train", 9)
    with pytest.raises(FacesError, match="votes of all faces"), FacesWriter(tmp_path / "t", "t", (2, 2), 2) as writer:
        writer.add(picture, "a", "Train", 0, votes=votes)
        writer.add(picture, "b", "Train", 0)
    assert not list(tmp_path.iterdir())
