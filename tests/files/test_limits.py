"""What is read is bounded by what is stated and by what comes; damage of any kind is one exception."""

import gzip
import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fer_transfer.config import plain
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.archive import Archive, Member, open_file, read_text
from fer_transfer.files.limits import LIMITS, Limits, TooMuchError
from fer_transfer.settings import compose

MIB = 1 << 20


def test_the_command_begins_with_these_limits():
    assert Limits(**{k: v for k, v in plain(compose("prepare").limits).items() if k != "_target_"}) == LIMITS


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_above_zero(value):
    with pytest.raises(ConfigError, match="csv_mib="):
        Limits(csv_mib=value)


def test_an_archive_may_unpack_to_a_share_of_its_size():
    limits = Limits(archive_mib=1000, archive_ratio=10)
    assert [limits.unpacked(size * MIB) for size in (0, 1, 30, 200)] == [256 * MIB, 256 * MIB, 300 * MIB, 1000 * MIB]


class Endless(io.RawIOBase):
    """A stream that goes on whatever was stated."""

    given = 0

    def read(self, size=-1):
        self.given += size
        return bytes(size)


def test_what_comes_counts_whatever_was_stated():
    stream = Endless()
    with pytest.raises(TooMuchError, match=r"at most 2 MiB in here.*raise a\.setting") as caught:
        Member(stream, "here", 7, 2, "a.setting").read()
    assert caught.value.reason == "over 2 MiB" and stream.given <= 3 * MIB
    with pytest.raises(TooMuchError):
        Member(Endless(), "here", 3 * MIB, 2, "a.setting")


def test_a_file_may_be_as_large_as_its_kind(tmp_path: Path):
    limits = Limits(picture_mib=2, text_mib=1, csv_mib=3)
    for name, mib in (("1", 1), ("2", 2), ("3", 3), ("4", 4)):
        (tmp_path / name).write_bytes(bytes(mib * MIB))
    assert len(read_text(tmp_path / "1", limits)) == MIB and open_file(tmp_path / "3", limits).size == 3 * MIB
    with Archive(tmp_path, limits) as archive:
        assert list(archive.names) == ["1", "2", "3", "4"]
        assert len(archive.read("2")) == 2 * MIB and len(archive.open("3").read()) == 3 * MIB
        for read, size in ((archive.read, "3"), (archive.open, "4")):
            with pytest.raises(TooMuchError, match=rf": {size}, but it holds more"):
                read(size)
    for read, size in ((read_text, "2"), (open_file, "4")):
        with pytest.raises(TooMuchError):
            read(tmp_path / size, limits)


def make(path: Path) -> bytes:
    pictures = {f"Train/Happy/{i}.png": np.random.default_rng(i).bytes(700) + bytes(900) for i in range(4)}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in pictures.items():
                file.writestr(name, data)
        return path.read_bytes()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in pictures.items():
            info = tarfile.TarInfo(f"{name}{'é' * 120}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_any_damage_to_an_archive_is_one_exception(tmp_path: Path, name: str):
    path, rng = tmp_path / name, np.random.default_rng(0)
    whole, outcomes = make(tmp_path / name.removesuffix(".gz")), Counter()
    for _ in range(400):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=rng.integers(1, 6)).tolist():
            if name != "a.zip" and rng.random() < 0.7:  # headers are few among the pictures
                place = place // 2560 * 2560 + place % 512 if place % 2 else place % 1536
            data[min(place, len(data) - 1)] = int(rng.integers(256))
        path.write_bytes(gzip.compress(bytes(data), 1) if name.endswith("gz") else bytes(data))
        try:
            with Archive(path) as archive:
                outcomes["read"] += sum(map(len, map(archive.read, archive.names))) > 0
        except ReleaseError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 20 and outcomes["read"], outcomes
