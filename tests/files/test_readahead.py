"""What is asked for of a disk is what will be read."""

from pathlib import Path

import numpy as np
import pytest

from fer_transfer.files import readahead
from fer_transfer.files.readahead import will_need


@pytest.fixture
def pixels(tmp_path: Path) -> np.memmap:
    np.save(tmp_path / "pixels.npy", np.random.default_rng(0).integers(0, 256, (50, 40, 40), np.uint8))
    loaded: np.memmap = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    return loaded


def test_the_bytes_asked_for_are_those_of_the_rows(pixels: np.memmap, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(readahead.os, "posix_fadvise", lambda file, start, count, what: asked.append((start, count)))
    rows = np.array([9, 3, 4, 30, 5, 4])
    will_need(pixels, rows)
    whole = Path(str(pixels.filename)).read_bytes()
    found = b"".join(whole[start : start + count] for start, count in asked)
    assert found == pixels[np.unique(rows)].tobytes() and len(asked) == 3


def test_an_array_in_memory_and_no_rows_need_nothing() -> None:
    will_need(np.zeros((3, 2, 2), np.uint8), np.array([1]))


def test_what_is_no_more_is_no_error(pixels: np.memmap) -> None:
    Path(str(pixels.filename)).unlink()
    will_need(pixels, np.array([1]))
    will_need(pixels, np.array([], np.int64))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells of its memory maps in /proc/self/smaps")
def test_of_rows_in_any_order_no_more_is_read_than_they_take(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((64, 4096), np.uint8))
    array = np.load(tmp_path / "array.npy", mmap_mode="r")

    def flags():
        map_of = Path("/proc/self/smaps").read_text().partition(str(tmp_path / "array.npy"))[2]
        return map_of.partition("VmFlags:")[2].splitlines()[0].split()

    assert "rr" not in flags()  # random reads
    will_need(array, np.array([7, 3]))
    assert "rr" in flags()
