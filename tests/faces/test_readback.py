"""Pixels that are read back while more are added: the file's own digest, and whatever is otherwise there is seen."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fer_transfer.faces.readback import Readback, fingerprints_of, first_same
from fer_transfer.files.fingerprint import fingerprints

SHAPE = (40, 5, 7)
PIXELS = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "pixels.npy", PIXELS)
    return tmp_path / "pixels.npy"


def expected() -> np.ndarray:
    return fingerprints(PIXELS.reshape(len(PIXELS), -1))


def test_a_file_that_grows_has_the_digest_that_it_has_at_last(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_transfer.files.entries._BLOCK", 3 * 35)
    content = file.read_bytes()
    file.write_bytes(content[: 128 + 10 * 35])
    reading = Readback(file, SHAPE)
    reading.until(10)
    with file.open("ab") as rest:
        rest.write(content[128 + 10 * 35 :])
    for count in (11, 30, 40):
        reading.until(count)
    assert reading.end().hexdigest() == hashlib.sha256(content).hexdigest()
    assert np.array_equal(reading.fingerprints, expected())


def test_other_pixels_and_missing_ones_have_other_fingerprints(file: Path) -> None:
    content = file.read_bytes()
    for place in (128, 128 + 17 * 35 + 34, len(content) - 1):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert np.flatnonzero(fingerprints_of(file, SHAPE) != expected()).tolist() == [(place - 128) // 35]
    file.write_bytes(content[: 128 + 38 * 35 + 1])
    assert np.flatnonzero(fingerprints_of(file, SHAPE) != expected()).tolist() == [38, 39]
    file.write_bytes(content[:10] + b"x" + content[11:])
    assert not fingerprints_of(file, SHAPE).any(), "behind another header nothing is an entry"


def test_every_bit_of_every_pixel_counts() -> None:
    """A sum of products of 64 bits modulo 2**64 would miss the upper bits of one word in 256."""
    picture = np.random.default_rng(1).integers(0, 256, 64 * 64, np.uint8)
    for bit in (1, 128):
        changed = np.repeat(picture[None], len(picture), axis=0)
        changed[np.arange(len(picture)), np.arange(len(picture))] ^= np.uint8(bit)
        assert not (fingerprints(changed) == fingerprints(picture[None])).any()


def test_equal_fingerprints_of_unequal_pictures_are_no_duplicates(tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[[9, 20]] = pixels[4]
    np.save(tmp_path / "pixels.npy", pixels)
    found = fingerprints(pixels.reshape(len(pixels), -1))
    found[30] = found[4]  # as by an accident of one in many
    rows = np.arange(40)
    rows[[9, 20]] = 4
    assert first_same(tmp_path / "pixels.npy", SHAPE, found).tolist() == rows.tolist()
