"""A journal: whatever cuts it short or changes it costs records, and never gives a wrong one."""

import random
from pathlib import Path

import numpy as np
import pytest

from fer_transfer.errors import FacesError
from fer_transfer.files.journal import Journal, peek

SHAPE = (6, 4, 5)
PIXELS = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
NAMES = ["a", "b/ü", "c\nd\t", "\udcff", "e", "f"]  # the fourth as Python reads a name that is no UTF-8


def record(row: int) -> bytes:
    return b'{"row": %d}\n' % row + PIXELS[row].tobytes()


def fill(path: Path, until: int = 6) -> int:
    """Go on with a journal as a reader does; the number of records that it held soundly."""
    with Journal(path, {"a": 1}, SHAPE) as journal:
        kept = 0
        while kept < until and (found := journal.get(kept, NAMES[kept])) is not None:
            assert found == record(kept)
            kept += 1
        journal.cut(kept)
        for row in range(kept, until):
            journal.put(NAMES[row], record(row))
    return kept


def test_the_array_is_whole_once_all_records_are_there(tmp_path: Path) -> None:
    assert [fill(tmp_path / "j", 4), fill(tmp_path / "j"), fill(tmp_path / "j")] == [0, 4, 6]
    assert np.array_equal(np.load(tmp_path / "j.npy"), PIXELS)
    np.save(tmp_path / "same.npy", PIXELS)
    assert (tmp_path / "j.npy").read_bytes() == (tmp_path / "same.npy").read_bytes()
    assert peek(tmp_path / "j") == ({"a": 1}, 6) and peek(tmp_path / "none") == (None, 0)


def test_any_damage_costs_records_and_gives_no_wrong_one(tmp_path: Path) -> None:
    fill(tmp_path / "j")
    whole = {name: (tmp_path / name).read_bytes() for name in ("j.npy", "j.told")}
    draw, kept = random.Random(0), set()
    for turn in range(120):
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content)
        damaged = bytearray(whole[name := draw.choice(sorted(whole))])
        place = draw.randrange(len(damaged))
        damaged[place:] = (b"", bytes([damaged[place] ^ 1]) + damaged[place + 1 :], bytes(len(damaged) - place))[
            turn % 3
        ]
        (tmp_path / name).write_bytes(damaged)
        kept.add(fill(tmp_path / "j"))
        assert all((tmp_path / name).read_bytes() == content for name, content in whole.items())
    assert kept >= {0, 1, 2, 3, 4, 5}


def test_other_settings_or_another_size_begin_anew(tmp_path: Path) -> None:
    for settings, shape in (({"a": 2}, SHAPE), ({"a": 1}, (7, 4, 5)), ({"a": 1}, (6, 5, 4))):
        fill(tmp_path / "j")
        with Journal(tmp_path / "j", settings, shape) as journal:
            assert journal.get(0, "a") is None and len(journal) == 0
        assert not list(tmp_path.iterdir())  # nothing is in it


def test_another_process_at_work_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", {}, SHAPE) as journal:
        journal.put("a", record(0))
        with pytest.raises(FacesError, match="Another fer-prepare is at work"):
            Journal(tmp_path / "j", {}, SHAPE)
        assert journal.get(0, "a") == record(0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FacesError, match=r"file/j.*choose another folder"):
        Journal(tmp_path / "file" / "j", {}, SHAPE)
