"""One damaged file keeps nothing else out of a report, which says what is missing and what to do."""

import os

import pytest
from fake_store import DIGESTS, add_row, add_trained

from fer_transfer.config import plain
from fer_transfer.errors import StoreError
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.stages.store import Store
from fer_transfer.stages.work import working
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))


def told(report, kind):
    return [one for one in report.missing if one.kind == kind]


def test_a_whole_store_lacks_only_what_never_ran(tmp_path):
    add_trained(tmp_path, "fer28_emotiw", backbone="bvlc_alexnet")
    report = load_report(tmp_path, STUDY, 0.95)
    assert len(report.rows) == 1 and len(report.stages) == 2 and len(report.published) == 13
    assert len(report.missing) == len(told(report, "not run")) == 2 * 6 - 1
    assert not any(one.what == "fer28_emotiw, bvlc_alexnet" for one in report.missing)
    assert "fer-train study=ng2015 backbone=bvlc_alexnet plan=emotiw" in report.missing[0].why


@pytest.mark.parametrize("damage", ["result.json", "metrics.csv", "no result.json", "no metrics.csv", "no "])
def test_damaged_stages_of_finished_rows_are_told_and_their_scores_stand(tmp_path, damage):
    store = tmp_path / "store"
    for plan in ("fer28", "emotiw"):
        add_trained(store, plan)
    [key] = [one.key for one in load_report(store, STUDY, 0.95).stages.values() if one.own.name == "fer28"]
    path = store / key / damage.removeprefix("no ")
    if damage.startswith("no "):
        path.rename(tmp_path / "gone")
    else:
        path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    report = load_report(store, STUDY, 0.95)
    assert [one.own.name for one in report.stages.values()] == ["emotiw"]
    [one] = [one for one in told(report, "damaged") if one.what == f"stage fer28 ({key[:8]})"]
    assert str(store / key) in one.why and ("fer-train trains it" in one.why or "repair=true" in one.why)
    scored = {row.plan for row in report.rows if "emotiw/Val" in row.predictions}
    assert scored == ({"emotiw"} if damage == "no " else {"emotiw", "fer28"})


def test_stages_that_failed_or_are_not_finished_are_told(tmp_path):
    add_trained(tmp_path, "emotiw")
    store = Store(tmp_path)
    store.fail("0" * 16, "fer", "the loss became nan\nin epoch 3")
    with working(store, "0" * 16), working(store, "1" * 16):
        [failed], [trained] = (told(load_report(tmp_path, STUDY, 0.95), kind) for kind in ("failed", "unfinished"))
    [stopped] = told(load_report(tmp_path, STUDY, 0.95), "unfinished")
    assert failed.what == "stage fer (00000000)" and "nan in epoch 3" in failed.why and "retry=true" in failed.why
    assert trained.what == "stage 11111111" and "trains it now" in trained.why and "was stopped" in stopped.why


def test_a_failure_of_a_stage_that_was_trained_since_is_no_news(tmp_path):
    add_trained(tmp_path, "emotiw")
    [key] = load_report(tmp_path, STUDY, 0.95).stages
    Store(tmp_path).fail(key, "emotiw", "out of memory")
    assert not told(load_report(tmp_path, STUDY, 0.95), "failed")


@pytest.mark.parametrize("what", ["", "0" * 16, "submissions"])
def test_a_store_with_no_finished_row_is_reported_as_such(tmp_path, what):
    Store(tmp_path / "store")
    (tmp_path / "store" / what).mkdir(exist_ok=True)
    report = load_report(tmp_path / "store", STUDY, 0.95)
    assert report.rows == () and report.groups == () and len(told(report, "not run")) == 12


def test_no_store_is_an_error_and_makes_none(tmp_path):
    for name in ("nowhere", "file", "other"):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / "notes.txt").write_text("x")
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match=r"Expected a store in .*store=FOLDER"):
            load_report(tmp_path / name, STUDY, 0.95)
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]


def test_a_row_with_one_damaged_seed_is_scored_over_the_others(tmp_path):
    from fer_transfer.reports.scores import score

    paths = [add_row(tmp_path, "emotiw", 0.4, seed) for seed in (0, 1, 2)]
    paths[1].write_text("{")
    report = load_report(tmp_path, STUDY, 0.95)
    assert score(report.groups[0].of("emotiw"), "emotiw/Val", "all").seeds == ("0", "2")
    assert str(paths[1]) in " ".join(one.why for one in told(report, "damaged"))


def test_rows_of_other_data_sets_are_left_out_where_there_are_others(tmp_path):
    elsewhere = {"splits": ("rafdb/Test",), "digests": {"rafdb": "a" * 64, **DIGESTS}}
    add_row(tmp_path, "rafdb", 0.5, **elsewhere)
    assert [row.plan for row in load_report(tmp_path, STUDY, 0.95).rows] == ["rafdb"], "rather than an empty page"
    add_row(tmp_path, "rafdb", 0.5, seed=1, **elsewhere)
    add_row(tmp_path, "emotiw", 0.5)
    add_row(tmp_path, "own", 0.5, splits=("rafdb/Test", "emotiw/Val"), digests=elsewhere["digests"])
    report = load_report(tmp_path, STUDY, 0.95)
    assert sorted(row.plan for row in report.rows) == ["emotiw", "own"]
    [one] = told(report, "elsewhere")
    assert one.what == "rafdb (2 rows)" and "scored on rafdb, of which study ng2015 reports nothing" in one.why
