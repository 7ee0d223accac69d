"""A claim that cannot be compared gives its reason, in the file and in the terminal."""

import csv
from pathlib import Path

import fake_store
import numpy as np
import pytest
from fake_store import add_row
from statsmodels.stats.multitest import multipletests

from fer_transfer.cli.report import report
from fer_transfer.config import plain
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.claims import compared, findings
from fer_transfer.reports.results import load_groups
from fer_transfer.settings import compose
from fer_transfer.study import Reported, study_from

VAL = Reported("emotiw/Val", "found", "Val")
PLANS = {"emotiw": 0.35, "fer28": 0.36, "fer32": 0.46, "fer32+emotiw": 0.5, "fer28_emotiw": 0.8, "fer32_emotiw": 0.5}


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


def paper_like(store, seeds):
    for seed in range(seeds):
        for plan, accuracy in PLANS.items():
            add_row(store, plan, accuracy, seed)


def reported(store, *overrides):
    """The lines of claims.csv."""
    report(compose("report", [f"store={store}", f"out={store / 'report'}", "published=false", *overrides]))
    return list(csv.DictReader((store / "report" / "claims.csv").open()))


def rows_of(store: Path, backbone="mobilenetv2_100"):
    groups, _ = load_groups(store)
    [group] = [group for group in groups if group.backbone == backbone]
    return group


def test_p_is_corrected_over_the_claims_of_the_study(tmp_path):
    paper_like(tmp_path, 3)
    claims = reported(tmp_path)
    assert len(claims) == 7 and {line["comparisons"] for line in claims} == {"7"}
    theirs = multipletests([float(line["p"]) for line in claims], method="holm")[1]
    assert [float(line["p_holm"]) for line in claims] == pytest.approx(theirs.tolist(), rel=1e-4)
    for line in claims:
        points = [float(value) for value in line["points"].split()]
        assert (float(line["mean"]), float(line["sd"])) == pytest.approx(
            (np.mean(points), np.std(points, ddof=1)), abs=1e-3
        )
        for of in ("", "bootstrap_", "over_seeds_"):
            assert float(line[f"{of}low"]) <= float(line["mean"]) <= float(line[f"{of}high"])
        assert (line["verdict"] == "shown") == (float(line["p_holm"]) < 0.05 and float(line["mean"]) > 0)
    assert {"shown", "cannot be told"} <= {line["verdict"] for line in claims}


def test_p_is_corrected_over_all_networks_of_the_study(tmp_path, capsys):
    for seed in range(3):
        for plan, accuracy in {"emotiw": 0.4, "fer28": 0.5}.items():
            add_row(tmp_path, plan, accuracy, seed)
            add_row(tmp_path, plan, accuracy + 0.02, seed, backbone="bvlc_alexnet")
    run_both(tmp_path, backbone="vgg_cnn_m_2048")
    claims = [line for line in reported(tmp_path, "details=true") if line["p"]]
    assert {(line["backbone"], line["comparisons"]) for line in claims} == {
        ("bvlc_alexnet", "2"), ("mobilenetv2_100", "2"), ("vgg_cnn_m_2048", "3"),
    }  # fmt: skip
    several = [line for line in claims if len(line["seeds"].split()) == 3]
    theirs = multipletests([float(line["p"]) for line in several], method="holm")[1]
    assert [float(line["p_holm"]) for line in several] == pytest.approx(theirs.tolist(), rel=1e-4)
    said = "2 comparisons over several seeds; those of one seed, over all 3"
    out = " ".join(capsys.readouterr().out.split())
    assert f"over the study's claims (Holm, {said})" in out and f"in all tables of this report (Holm, {said})" in out
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"in all tables of this report (Holm, {said})" in page.replace("&#39;", "'")


def test_with_one_seed_nothing_shows_and_it_is_said_what_p_rests_on(tmp_path, capsys):
    paper_like(tmp_path, 1)
    claims = reported(tmp_path)
    assert {line["verdict"] for line in claims} == {"cannot be told"}
    assert {line["rests_on"] for line in claims} == {"images only: another seed may turn it"}
    assert {line["needed"] for line in claims} == {"more seeds would tell: three at least"}
    assert all(line["p"] == line["p_mcnemar"] and line["sd"] == line["over_seeds_low"] == "" for line in claims)
    assert {line["networks_differ"] for line in claims} == {"yes", "no"}
    out = capsys.readouterr().out
    assert (
        out.count("§") == 1 + [line["networks_differ"] for line in claims].count("yes")
        and "another seed may turn" in out
    )


def test_each_pair_is_one_line_of_eighty_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    paper_like(tmp_path, 3)
    reported(tmp_path)
    out = capsys.readouterr().out
    table = out[out.index("The claims of") :].splitlines()
    for plans in study_from(plain(compose("report").study)).claims:
        for better, worse in plans.pairs:
            [line] = [line for line in table if f" {better} > {worse} " in line]
            assert len(line) <= 80 and line.rstrip().endswith(("shown", "cannot be told"))


def test_the_margin_is_a_setting_of_the_study(tmp_path):
    for seed in range(4):
        run_both(tmp_path, seed, seed)
    config = compose("report").study
    config.claims = [{"says": "It helps", "pairs": [["fer28", "emotiw"]]}]
    group = rows_of(tmp_path)
    [narrow] = findings([group], study_from(plain(config)), 0.95)[group]
    config.margin = 30.0
    [wide] = findings([group], study_from(plain(config)), 0.95)[group]
    assert (narrow.verdict, wide.verdict) == ("cannot be told", "not shown")
    assert "would tell (3.0 points)" in narrow.needed and narrow.equivalence == ""
    assert wide.equivalence == "the two are within 30 points" and wide.needed == ""


def test_any_two_rows_are_compared(tmp_path):
    for seed in range(3):
        add_row(tmp_path, "emotiw", 0.3, seed)
        add_row(tmp_path, "fer28", 0.6, seed, backbone="bvlc_alexnet")
    ours, others = rows_of(tmp_path).of("emotiw"), rows_of(tmp_path, "bvlc_alexnet").of("fer28")
    found = compared(others, ours, VAL)
    assert found.verdict == "shown" and found.seeds == ("0", "1", "2") and found.faces == 429
    assert (
        compared(ours, others, VAL).equivalence == "emotiw is the better one"
        or compared(ours, others, VAL).judged.reverse
    )
    assert found.p == found.adjusted == compared(ours, others, VAL).p


def test_rows_that_cannot_be_compared_say_why(tmp_path, monkeypatch):
    run_both(tmp_path)
    monkeypatch.setitem(fake_store.SPLITS, "emotiw/Val", 100)
    other = {"emotiw": "d" * 64, "fer2013": "f" * 64}
    add_row(tmp_path, "emotiw", 0.5, backbone="bvlc_alexnet", digests=other)
    ours = rows_of(tmp_path).of("emotiw")
    assert compared(ours, rows_of(tmp_path, "bvlc_alexnet").of("emotiw"), VAL).verdict == "not the same labelled faces"
    assert compared(ours, ours, Reported("emotiw/Test", "all", "Test")).verdict == "labels withheld"
    assert compared(ours, (), VAL).verdict.endswith("not run") and not compared(ours, (), VAL).run
    assert "trained on emotiw/Train" in compared(ours, ours, Reported("emotiw/Train", "all", "Train")).verdict
    same = compared(ours, ours, VAL)
    assert same.p == 1.0 and same.verdict == "cannot be told" and same.points == (0.0,)


def test_a_class_that_never_occurs_changes_nothing(tmp_path, monkeypatch):
    whole = fake_store.make_predictions

    def without_disgust(*arguments, **options):
        of = whole(*arguments, **options)
        of.labels[of.labels == EXPRESSIONS.index("Disgust")] = EXPRESSIONS.index("Fear")
        return of

    monkeypatch.setattr(fake_store, "make_predictions", without_disgust)
    paper_like(tmp_path, 2)
    assert {line["rests_on"] for line in reported(tmp_path)} == {"images and seeds"}
