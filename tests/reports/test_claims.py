"""A claim that cannot be compared gives its reason, in the file and in the terminal."""

import csv

import fake_store
import pytest
from fake_store import add_row

from fer_transfer.cli.report import report
from fer_transfer.settings import compose


def claim_of(store, split, capsys):
    """The verdict of "fer28 beats emotiw" on a split, and what was printed."""
    config = compose("report", [f"store={store}", f"out={store / 'report'}"])
    config.study = {
        "name": "own", "title": "Own", "reported": [{"split": split, "heading": "First"}],
        "grid": {"plan": ["fer28", "emotiw"]}, "claims": [{"says": "It helps", "pairs": [["fer28", "emotiw"]]}],
    }  # fmt: skip
    report(config)
    [claim] = csv.DictReader((store / "report" / "claims.csv").open())
    assert claim["p"] == claim["points"] == claim["rests_on"] == ""
    return claim["verdict"], " ".join(capsys.readouterr().out.split())


def run_both(store, first=0, second=0, **changed):
    add_row(store, "fer28", 0.5, first, **changed)
    add_row(store, "emotiw", 0.5, second, **changed)


def only_one_has_it(store):
    add_row(store, "fer28", 0.5)
    add_row(store, "emotiw", 0.5, splits=("emotiw/Val",))


def one_face(store):
    for seed in range(3):
        run_both(store, seed, seed, splits=("emotiw/Few",))


REASONS = [
    ("emotiw/Val", lambda store: run_both(store, 0, 1), "no common seed"),
    ("emotiw/Train", run_both, "fer28 without predictions of emotiw/Train; emotiw trained on emotiw/Train"),
    ("emotiw/Test", run_both, "labels withheld"),
    ("fer2013/PublicTest", only_one_has_it, "emotiw without predictions of fer2013/PublicTest"),
    ("fer2013/other", run_both, "fer28 and emotiw without predictions of fer2013/other"),
    ("emotiw/Few", one_face, "too few faces (1)"),
]


@pytest.mark.parametrize(("split", "fill", "reason"), REASONS)
def test_a_claim_without_a_comparison_says_why(tmp_path, monkeypatch, capsys, split, fill, reason):
    monkeypatch.setitem(fake_store.SPLITS, "emotiw/Few", 1)
    fill(tmp_path)
    verdict, out = claim_of(tmp_path, split, capsys)
    assert verdict == reason
    assert "no verdict" in out and "1. It helps." in out and f"fer28 > emotiw: {reason}." in out


def test_a_plan_with_several_settings_of_its_own_is_said(tmp_path, capsys):
    run_both(tmp_path)
    add_row(tmp_path, "fer28", 0.5, 1, row_id="b" * 64)
    verdict, out = claim_of(tmp_path, "emotiw/Val", capsys)
    assert verdict == "fer28 run with several settings of its own" and "It helps" in out


def test_other_faces_are_said(tmp_path, monkeypatch, capsys):
    add_row(tmp_path, "fer28", 0.5)
    monkeypatch.setitem(fake_store.SPLITS, "emotiw/Val", 100)
    add_row(tmp_path, "emotiw", 0.5)
    verdict, out = claim_of(tmp_path, "emotiw/Val", capsys)
    assert verdict == "not the same labelled faces" and "It helps" in out


def test_a_claim_of_which_a_plan_was_not_run_needs_no_table(tmp_path, capsys):
    add_row(tmp_path, "fer28", 0.5)
    verdict, out = claim_of(tmp_path, "emotiw/Val", capsys)
    assert verdict == "emotiw not run" and "It helps" not in out
