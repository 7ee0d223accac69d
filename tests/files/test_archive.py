"""Folders and archives: the same content whichever way it is packed, and nothing from outside."""

import inspect
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive, open_file, pretender

CONTENT = {"Train/Angry/a.png": b"aaa" * 50, "Train/Happy/b.png": b"b", "Val/Angry/c.png": b""}


def make_folder(folder: Path) -> Path:
    for name, data in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / ".DS_Store").write_bytes(b"litter")
    return folder


def make_zip(path: Path, content: dict[str, bytes] = CONTENT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def make_tar(path: Path, content: dict[str, bytes] = CONTENT) -> Path:
    with tarfile.open(path, "w:" + path.suffix.lstrip(".").replace("tar", "").replace("tgz", "gz")) as file:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["folder", "a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.tar.bz2"])
def test_every_packing_holds_the_same(tmp_path: Path, name: str) -> None:
    make = {"folder": make_folder, "a.zip": make_zip}.get(name, make_tar)
    with Archive(make(tmp_path / name)) as archive:
        assert sorted(archive.names) == sorted(CONTENT)
        assert {name: archive.read(name) for name in reversed(archive.names)} == CONTENT
        assert archive.size(archive.names) == sum(map(len, CONTENT.values()))
        assert archive.first("c.png") == "Val/Angry/c.png" and archive.first("d.png") is None


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside.csv", "a/../../outside.csv", "..\\outside.csv", "C:/x.csv"]
)
@pytest.mark.parametrize("packing", ["a.zip", "a.tar.gz"])
def test_members_that_leave_are_refused(tmp_path: Path, name: str, packing: str) -> None:
    make = make_zip if packing == "a.zip" else make_tar
    path = make(tmp_path / packing, {"Train/Angry/a.png": b"a", name: b"x"})
    with Archive(path) as archive, pytest.raises(ReleaseError, match="outside the archive") as caught:
        _ = archive.names
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret"])
def test_links_that_leave_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("Train/link.png")
        info.type, info.linkname = kind, target
        file.addfile(info)
    with Archive(tmp_path / "a.tar") as archive, pytest.raises(ReleaseError, match=r"Train/link\.png"):
        _ = archive.names


def test_links_in_zips_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    with Archive(tmp_path / "a.zip") as archive, pytest.raises(ReleaseError, match="a link"):
        _ = archive.names


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.8])
def test_a_truncated_archive_is_an_error(tmp_path: Path, name: str, keep: float) -> None:
    content = {f"Train/Angry/{i}.png": os.urandom(3000) for i in range(5)}
    path = (make_zip if name == "a.zip" else make_tar)(tmp_path / name, content)
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(ReleaseError, match=r"a\.(zip|tar)"), Archive(path) as archive:
        assert {name: archive.read(name) for name in archive.names} == content


@pytest.mark.parametrize("text", ["version https://git-lfs.github.com/spec/v1\noid sha256:0", "<!DOCTYPE html><html>"])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_pointer_or_page_is_called_that(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ReleaseError, match=r"git-lfs pointer|web page"):
        Archive(tmp_path / name)


def test_an_encrypted_member_is_an_error(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1  # the flag "encrypted" of the first member
    (tmp_path / "a.zip").write_bytes(data)
    with Archive(tmp_path / "a.zip") as archive, pytest.raises(ReleaseError, match="encrypted"):
        archive.read(archive.names[0])


def test_missing_files_and_other_names(tmp_path: Path) -> None:
    (tmp_path / "a.rar").write_bytes(b"x")
    for path in (tmp_path / "none.zip", tmp_path / "none", tmp_path / "a.rar"):
        with pytest.raises(ReleaseError, match=str(path)):
            Archive(path)
    with pytest.raises(ReleaseError, match="No such file"):
        open_file(tmp_path / "none.csv")


def test_a_link_upwards_is_not_walked_for_ever(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "release")
    (folder / "Train" / "loop").symlink_to(folder)
    with Archive(folder) as archive:
        assert sorted(archive.names) == sorted(CONTENT)


def test_folders_may_be_nested_deeper_than_python_may_call(tmp_path: Path) -> None:
    depth = 400
    (tmp_path / ("a/" * depth)).mkdir(parents=True)
    (tmp_path / ("a/" * depth) / "x.png").write_bytes(b"")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 200)
    try:
        with Archive(tmp_path) as archive:
            assert list(archive.names) == ["a/" * depth + "x.png"] and len(archive.folders) == depth
    finally:
        sys.setrecursionlimit(before)


def test_pretender_lets_data_pass() -> None:
    assert pretender(b"emotion,pixels,Usage\n0,1 2 3") is None
    assert pretender(b"") == "an empty file"


def test_names_of_a_folder_come_as_if_all_were_sorted_together(tmp_path):
    names = ["a-b/1", "a.txt", "a/2", "a/b c/3", "a/b/4", "a/b.5", "ab/6", "B/7", "é/8", "a b/9", "z"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with Archive(tmp_path) as archive:
        assert list(archive.names) == sorted(names)
