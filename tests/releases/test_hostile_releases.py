"""Releases that are damaged or made to do harm: one message or one lost frame, soon and in little memory.

Through ``fer-prepare``, in a process whose memory and time are measured.
"""

import bz2
import gzip
import io
import os
import socket
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from starting import start

from fer_transfer.faces.opening import open_faces

MIB = 1 << 20


class Run(NamedTuple):
    code: int
    out: str
    error: str


def prepare(path: Path, *overrides: str, release: str = "frames", peak: int = 450) -> Run:
    """Prepare into ``faces`` beside the release, in so many MiB."""
    folder = path.parent
    options = ["pipeline=box", "pipeline.crop.size=32", "workers=1"] if release == "frames" else []
    words = [f"release={release}", f"release.path={path}", *options, f"out={folder / 'faces'}", *overrides]
    started = start("prepare", *words, cwd=folder, light=True)
    try:
        out, error = started.communicate(40)
    finally:
        started.kill()
    assert "Traceback" not in error, error
    assert started.peak < peak  # nothing to do takes about 130
    return Run(started.wait(), out, error)


def png(seed: int = 0) -> bytes:
    return cv2.imencode(".png", np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8))[1].tobytes()


def zeros(mib: int) -> list[bytes]:
    return [bytes(MIB)] * mib


def zip_of(path: Path, **pictures: bytes | int) -> Path:
    """A zip of pictures; a number stands for so many MiB of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for name, content in pictures.items():
            with file.open(f"{name}.png", "w", force_zip64=True) as member:
                for piece in zeros(content) if isinstance(content, int) else [content]:
                    member.write(piece)
    return path


def tar_of(path: Path, mode: str, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for info, content in members:
            info.size = info.size or len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def member(name: str, content: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def sparse(name: str, size: int) -> bytes:
    """The header of a member that is one hole (GNU's old form: a map and the true size behind the name's prefix)."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = tarfile.itn(size, 12, tarfile.GNU_FORMAT) + tarfile.itn(
        0, 12
    )  # the only part: nothing, at the end
    header[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_a_picture_too_large_in_a_zip_is_one_lost_frame(tmp_path: Path) -> None:
    done = prepare(zip_of(tmp_path / "a.zip", good=png(), bomb=100))
    assert done.code == 0, done.error
    assert "lost, unreadable: over 64 MiB: 1 (bomb.png)" in done.out
    assert open_faces(tmp_path / "faces").ids.tolist() == ["good.png", "bomb.png"]


def test_the_bound_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    for name, picture in (("good.png", png()), ("large.png", png() + bytes(MIB))):
        (tmp_path / "release" / name).write_bytes(picture)
    done = prepare(tmp_path / "release", "limits.picture_mib=1")
    assert done.code == 0 and "unreadable: over 1 MiB: 1 (large.png)" in done.out
    assert "over" not in prepare(tmp_path / "release").out  # other limits: prepared again
    wrong = prepare(tmp_path / "release", "limits.picture_mib=0")
    assert wrong.code == 1 and "Expected limits above 0, but got picture_mib=0" in wrong.error


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    pieces = {f"x{i}": 60 for i in range(5)}  # each alone would pass
    done = prepare(zip_of(tmp_path / "a.zip", good=png(), **pieces))
    assert done.code == 1 and "256 MiB in" in done.error and "member 'x4.png'" in done.error
    assert "limits.archive_ratio" in done.error


def test_a_sparse_member_is_refused_by_what_it_would_hold(tmp_path: Path) -> None:
    end = bytes(2 * tarfile.BLOCKSIZE)
    (tmp_path / "a.tar").write_bytes(sparse("bomb.png", 1 << 40) + end)
    done = prepare(tmp_path / "a.tar")
    assert done.code == 1 and "a.tar up to member 'bomb.png'" in done.error
    (tmp_path / "b.tar").write_bytes(sparse("small.png", 100 * MIB) + end)
    done = prepare(tmp_path / "b.tar")
    assert done.code == 1 and "none of 1 can be read: small.png (unreadable: over 64 MiB)" in done.error


def test_a_zip_packed_by_what_cannot_be_unpacked_in_parts(tmp_path: Path) -> None:
    """bzip2 packs 200 MiB of zeros into 150 bytes, and one block is unpacked at once, whatever size is stated."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("good.png", png())
        file.writestr("bomb.png", b"small", zipfile.ZIP_BZIP2)
    packer = bz2.BZ2Compressor()
    bomb = b"".join(packer.compress(piece) for piece in zeros(200)) + packer.flush()
    old = bz2.compress(b"small")
    data = (tmp_path / "a.zip").read_bytes()
    place = data.index(old)
    central = bytearray(data[place + len(old) :])
    at = central.index(b"bomb.png") - 46  # sizes in the central directory: packed, unpacked
    central[at + 20 : at + 24] = len(bomb).to_bytes(4, "little")
    end = central.rindex(b"PK\x05\x06")
    start = int.from_bytes(central[end + 16 : end + 20], "little") + len(bomb) - len(old)
    central[end + 16 : end + 20] = start.to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data[:place] + bomb + central)
    done = prepare(tmp_path / "a.zip", peak=250)
    assert done.code == 0 and "unreadable: damaged in the archive: 1 (bomb.png)" in done.out, done.error


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    """A long name of 600 MiB, which ``tarfile`` would read whole."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 600 * MIB
    packer = zlib.compressobj(1, wbits=31)
    pieces = [info.tobuf(tarfile.GNU_FORMAT), *zeros(600), tarfile.TarInfo("x.png").tobuf(), bytes(1024)]
    (tmp_path / "a.tar.gz").write_bytes(b"".join(packer.compress(piece) for piece in pieces) + packer.flush())
    done = prepare(tmp_path / "a.tar.gz")
    assert done.code == 1 and "a header of more than 4 MiB" in done.error


def test_members_without_end_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x.png").tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header * 5000))  # 2.5 MiB in 13 KiB; 20 MiB on a disk
    done = prepare(tmp_path / "a.tar.gz", "limits.archive_mib=16")
    assert done.code == 1 and "16 MiB in" in done.error and "a.tar.gz up to member 'x.png'" in done.error


@pytest.mark.parametrize("name", ["", ".", "./"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_without_a_name_are_passed_over(tmp_path: Path, kind: str, name: str) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr("good.png", png())
            file.writestr(zipfile.ZipInfo(name or "?"), b"x")
        if not name:  # no name but in the directory at the end: the writer refuses an empty one
            data = (tmp_path / "a.zip").read_bytes()
            at = data.rindex(b"PK\x01\x02")
            central = bytearray(data[at:]).replace(b"?", b"", 1)
            central[28:30] = b"\0\0"
            end = central.index(b"PK\x05\x06")
            size = int.from_bytes(central[end + 12 : end + 16], "little") - 1
            central[end + 12 : end + 16] = size.to_bytes(4, "little")
            (tmp_path / "a.zip").write_bytes(data[:at] + central)
    else:
        tar_of(tmp_path / "a.tar", "w", member("good.png", png()), member(name, b"x"))
    done = prepare(tmp_path / f"a.{kind}")
    assert done.code == 0, done.error
    assert open_faces(tmp_path / "faces").ids.tolist() == ["good.png"]
    told = f"passed over, no regular files: 1 ({name}, without a name)"
    assert told in done.out or (kind, name) == ("zip", "./")  # which is a folder there


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    (folder / "Happy").mkdir(parents=True)
    (folder / "good.png").write_bytes(png())
    (tmp_path / "elsewhere").write_bytes(png(1))
    (folder / "link.png").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "Happy" / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "sock.png"))
    done = prepare(folder)
    assert done.code == 0, done.error
    faces = open_faces(tmp_path / "faces")
    assert faces.ids.tolist() == ["gone.png", "good.png", "link.png"]
    assert faces.manifest["report"]["passed over"] == {
        "Happy/pipe.png": "a FIFO", "zero.png": "a device", "sock.png": "a socket",
    }  # fmt: skip
    assert "passed over, no regular files: 3 (" in done.out and "Happy/pipe.png, a FIFO" in done.out


def test_only_regular_members_are_read(tmp_path: Path) -> None:
    members = [member("good.png", png())]
    for name, kind in (("pipe.png", tarfile.FIFOTYPE), ("zero.png", tarfile.CHRTYPE), ("link.png", tarfile.SYMTYPE)):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "good.png"
        members.append((info, b""))
    done = prepare(tar_of(tmp_path / "a.tar", "w", *members))
    assert "passed over, no regular files: 3 (pipe.png, a FIFO; zero.png, a device; link.png, a link)" in done.out


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "fer2013.csv"])
def test_a_release_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    release = "fer2013" if name.endswith(".csv") else "frames"
    os.mkfifo(tmp_path / name)
    done = prepare(tmp_path / name, release=release)
    assert done.code == 1 and "it is a FIFO, no regular file" in done.error
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    done = prepare(tmp_path / name, release=release)
    assert done.code == 1 and "it is a device, no regular file" in done.error


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_names_that_are_not_utf8_are_escaped(tmp_path: Path, kind: str) -> None:
    names = [b"Val/Happy/caf\xe9_000000001_00000001.png", b"Val/Happy/new\nline.png", "Val/Happy/Zoë.png".encode()]
    if kind == "folder":
        path = tmp_path / "release"
        (path / "Val" / "Happy").mkdir(parents=True)
        for i, name in enumerate(names):
            (path / os.fsdecode(name)).write_bytes(png(i) if i else b"")
    else:
        members = [member(os.fsdecode(name), png(i) if i else b"") for i, name in enumerate(names)]
        path = tar_of(tmp_path / "a.tar", "w", *members)
    done = prepare(path)
    assert done.code == 0, done.error
    escaped = ["Val/Happy/Zoë.png", "Val/Happy/caf\\xe9_000000001_00000001.png", "Val/Happy/new\\nline.png"]
    faces = open_faces(tmp_path / "faces")
    assert sorted(faces.ids.tolist()) == escaped
    assert f"lost, unreadable: empty: 1 ({escaped[1]})" in done.out
    rows = (tmp_path / "faces" / "frames.csv").read_text("utf-8").splitlines()
    assert len(rows) == 4 and sorted(row.split(",")[1] for row in rows[1:]) == escaped


def test_fer2013_is_bounded_too(tmp_path: Path) -> None:
    head = b"emotion,pixels,Usage\n"
    rows = [head, *(piece.replace(b"\0", b"\n") for piece in zeros(40))]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("fer2013.csv", b"".join(rows))
    done = prepare(tmp_path / "a.zip", "limits.csv_mib=20", release="fer2013")
    assert done.code == 1 and "at most 20 MiB in" in done.error and "a.zip: fer2013.csv" in done.error
    done = prepare(tmp_path / "a.zip", release="fer2013")
    assert done.code == 1 and "only a header" in done.error
    (tmp_path / "fer2013.csv").write_bytes(head)
    with (tmp_path / "votes.csv").open("wb") as votes:
        votes.truncate(1 << 40)
    pixels = " ".join(["7"] * 2304)
    faces = [f"0,{pixels},{usage}" for usage in ("Training", "PublicTest", "PrivateTest")]
    (tmp_path / "fer2013.csv").write_text(head.decode() + "\n".join(faces))
    overrides = f"release.ferplus={tmp_path / 'votes.csv'}"
    done = prepare(tmp_path / "fer2013.csv", overrides, release="fer2013")
    assert done.code == 1 and "at most 16 MiB in" in done.error and "votes.csv" in done.error
