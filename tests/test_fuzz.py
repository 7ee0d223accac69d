"""The short form of ``tests/fuzz.py``, and the inputs that once went wrong."""

import mmap

import fuzz
import pytest

from fer_transfer.errors import WeightsError


@pytest.mark.parametrize("seed", range(2))
def test_damaged_inputs_are_read_or_refused(seed):
    wrong = fuzz.fuzz(200, seed)
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize("path", sorted(fuzz.KEPT.iterdir()) if fuzz.KEPT.is_dir() else [], ids=lambda path: path.name)
def test_inputs_that_once_went_wrong(path, tmp_path):
    kind = path.name.partition("-")[0]
    assert fuzz.verdict(kind, path.read_bytes(), tmp_path) == ""


def test_every_kind_reads_its_own_samples(tmp_path, monkeypatch):
    """Else everything would be refused, and nothing found."""
    for kind in fuzz.KINDS.keys() - {"override", "plan", "study"}:
        samples, ending, read, _ = fuzz.KINDS[kind]
        for number, sample in enumerate(samples()):
            (path := tmp_path / f"{number}{ending}").write_bytes(sample)
            read(path)


def test_what_goes_wrong_is_noticed(tmp_path, monkeypatch):
    def reading(action):
        monkeypatch.setitem(fuzz.KINDS, "picture", (fuzz.pictures, ".bin", action, 1))
        return fuzz.verdict("picture", b"x", tmp_path)

    def refuse(path):
        raise WeightsError("no")

    def hang(path):
        while True:
            pass

    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    assert reading(refuse) == "" and reading(lambda path: None) == ""
    assert "ZeroDivisionError" in reading(lambda path: 1 / 0)
    assert "0.2 s" in reading(hang)
    monkeypatch.setattr(fuzz, "SECONDS", 60)
    monkeypatch.setattr(fuzz, "MEBIBYTES", 200)
    assert "MiB" in reading(
        lambda path: mmap.mmap(-1, 400 << 20).write(bytes(400 << 20))
    )  # not of what malloc has kept
