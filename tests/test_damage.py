"""A few of the damages of ``damage.py``, and that it notices what must not be."""

import random

import damage
import pytest
from damage import CRASH, DIFFERENT, NAMED, NOT_MENDED

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files import checked
from fer_transfer.stages import store

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checked, "_RACY", checked._RACY)  # which building changes
        yield damage.build(tmp_path_factory.mktemp("damage"), damage.PLANS[:2])


def test_damage_is_named_or_changes_no_number(whole):
    found = damage.run(whole, 2 * len(damage.KINDS), seed=0)
    assert not damage.bad(found), "\n".join(map(str, damage.bad(found)))
    assert sum(one.outcome == NAMED for one in found) > 5, damage.table(found)


def to(name, act):
    """A kind of damage: to the first file whose path ends so."""

    def kind(rng, path, files):
        if not str(path).endswith(name):
            return False
        act(path)
        return True

    return kind


def test_numbers_that_differ_are_noticed(whole, monkeypatch):
    read = Predictions.read.__func__
    monkeypatch.setattr(Predictions, "read", classmethod(lambda cls, path, sha256=None: read(cls, path)))

    def all_are_happy(rng, path, files):
        for file in (file for file in files if file.match("emotiw.Val.*.csv")):
            file.write_text(file.read_text().replace(",Sad,1", ",Happy,1").replace(",Angry,1", ",Happy,1"))
        return True

    monkeypatch.setitem(damage.KINDS, "sabotage", all_are_happy)
    found = damage.damage(whole, "sabotage", random.Random(0))
    assert found.outcome == DIFFERENT, found.told


def test_tracebacks_are_noticed(whole, monkeypatch):
    monkeypatch.setattr(store, "read_document", lambda path: {}["key"])
    monkeypatch.setitem(damage.KINDS, "sabotage", to("result.json", lambda path: None))
    assert damage.damage(whole, "sabotage", random.Random(0)).outcome == CRASH


def test_what_is_not_mended_is_noticed(whole, monkeypatch):
    monkeypatch.setattr(store.StageFolder, "set_aside", lambda folder: folder.path)
    monkeypatch.setitem(damage.KINDS, "sabotage", to("weights.safetensors", lambda path: path.write_bytes(b"")))
    assert damage.damage(whole, "sabotage", random.Random(0)).outcome == NOT_MENDED
