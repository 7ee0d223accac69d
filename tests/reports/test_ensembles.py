"""Ensembles of a study in every outlet of fer-report, against a plain mean of the members' files."""

import csv
import hashlib
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import fake_store
import numpy as np
import pytest
from fake_store import DIGESTS, SYNTHETIC, add_row

from fer_transfer.cli.report import report
from fer_transfer.errors import ConfigError
from fer_transfer.evaluation.comparison import compare
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.files.document import write_document
from fer_transfer.inference.store import open_store
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.stages.record import read_record
from fer_transfer.study import study_from
from fer_transfer.tracking.rows import row_runs

PAIR = {"rows": ["fer28_emotiw", "fer32_emotiw"]}
STUDY = {
    "name": "own", "title": "Own", "challenge": "emotiw/Test", "protected": ["emotiw/Val"],
    "reported": [
        {"split": "emotiw/Val", "over": "found", "heading": "Val"},
        {"split": "fer2013/PublicTest", "heading": "Public"},
        {"split": "fer2013/PrivateTest", "heading": "Private"},
        {"split": "emotiw/Test", "heading": "Test"},
    ],
    "grid": {"plan": ["fer28", "fer28_emotiw", "fer32_emotiw"]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def unequal_probabilities(monkeypatch):
    """Predictions that are not equally sure of every face, so that no mean ends in a tie."""
    made = fake_store.make_predictions

    def varied(split, accuracy, seed, labelled=True):
        of = made(split, accuracy, seed, labelled)
        noise = np.random.default_rng(seed).uniform(0, 0.25, of.probabilities.shape)
        probabilities = of.probabilities + noise
        return Predictions(of.ids, of.labels, of.found, probabilities / probabilities.sum(axis=1, keepdims=True))

    monkeypatch.setattr(fake_store, "make_predictions", varied)


def ran(tmp_path: Path, *words: str, **study) -> dict[str, list[dict[str, str]]]:
    """Run fer-report; the lines of table.csv by plan, and of claims.csv and missing.csv."""
    config = compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}", *words])
    config.study = STUDY | study
    report(config)
    files = {name: list(csv.DictReader((tmp_path / "report" / f"{name}.csv").open())) for name in ("claims", "missing")}
    for line in csv.DictReader((tmp_path / "report" / "table.csv").open()):
        files.setdefault(line["plan"], []).append(line)
    return files


def whole(path: Path, split: str = "emotiw/Val") -> Predictions:
    """What the row of a record says of a split."""
    record, store = read_record(path), path.parent.parent
    (of,) = [of for of in record.predictions if f"{record.faces[of.faces].release}/{of.split}" == split]
    return Predictions.read(store / of.file, of.sha256)


def said(path: Path, split: str = "emotiw/Val") -> Predictions:
    """What it says of the found faces."""
    return whole(path, split).only_found()


def mean(*paths: Path, split: str = "emotiw/Val") -> Predictions:
    each = [said(path, split) for path in paths]
    first = each[0]
    return Predictions(first.ids, first.labels, first.found, sum(of.probabilities for of in each) / len(each))


def of_split(lines, split):
    return next(line for line in lines if line["split"] == split)


def add(tmp_path, plan, accuracy=0.5, seed=0, **changed):
    return add_row(tmp_path / "store", plan, accuracy, seed, **changed)


def test_it_is_a_row_of_its_own_in_every_outlet(tmp_path, capsys):
    members = [[add(tmp_path, plan, 0.5, seed) for plan in PAIR["rows"]] for seed in range(2)]
    add(tmp_path, "fer28_emotiw", 0.5, 2)  # of one member alone
    files = ran(
        tmp_path, "submission_zip=Team", "details=true",
        ensembles={"both": PAIR}, claims=[{"says": "Two help", "pairs": [["both", "fer32_emotiw"]]}],
    )  # fmt: skip
    expected = [mean(*paths) for paths in members]
    right = [int((of.predicted == of.labels).sum()) for of in expected]
    line = of_split(files["both"], "emotiw/Val")
    assert (line["seeds"], line["k"], line["n"]) == ("0 1", f"{right[0]} {right[1]}", "429")
    assert float(line["percent"]) == pytest.approx(100 * np.mean(right) / 429, abs=1e-4)
    low, high = wilson_interval(np.mean(right), 429, 0.95)
    assert [float(line[end]) for end in ("low", "high")] == pytest.approx([100 * low, 100 * high], abs=1e-4)
    made_of = (
        "ensemble of fer28_emotiw/mobilenetv2_100 + fer32_emotiw/mobilenetv2_100 (without seed 2, which not all have)"
    )
    assert line["ensemble"] == f"{made_of}: mean of their probabilities, seed by seed" and SYNTHETIC in line["caveats"]
    assert of_split(files["fer28_emotiw"], "emotiw/Val")["ensemble"] == ""

    claim = next(claim for claim in files["claims"] if claim["better"] == "both")
    against = compare(expected, [said(paths[1]) for paths in members])
    assert float(claim["mean"]) == pytest.approx(100 * against.by_seed.mean(), abs=1e-4) and claim["seeds"] == "0 1"
    assert (int(claim["only_better"]), int(claim["only_worse"])) == against.only_one
    assert [float(claim[f"bootstrap_{end}"]) for end in ("low", "high")] == pytest.approx(
        [100 * end for end in against.bootstrap(0.95)], abs=1e-4
    )
    out = " ".join(capsys.readouterr().out.split())
    assert "both (ensemble)" in out and f"both: {made_of}: mean of" in out and "both > fer32_emotiw" in out
    folder = tmp_path / "report"
    for name in ("table.md", "table.tex", "confusion.tex", "report.html"):
        text = (folder / name).read_text().replace(r"\_", "_")
        assert "both" in text and "ensemble of fer28_emotiw" in text, name
    recalls = [row for row in csv.DictReader((folder / "per_class.csv").open()) if row["plan"] == "both"]
    fear = next(row for row in recalls if (row["seed"], row["split"], row["truth"]) == ("1", "emotiw/Val", "Fear"))
    is_fear = expected[1].labels == EXPRESSIONS.index("Fear")
    assert int(fear["k"]) == int((expected[1].predicted == expected[1].labels)[is_fear].sum())
    assert len(list((folder / "confusion").glob("both_*"))) == 2

    (zip_path,) = folder.glob("zips/both_*seed0/Team.zip")
    with zipfile.ZipFile(zip_path) as archive:
        words = {name.removesuffix(".txt"): archive.read(name).decode() for name in archive.namelist()}
        assert made_of in archive.comment.decode() and SYNTHETIC in archive.comment.decode()
    test = mean(*members[0], split="emotiw/Test")
    assert words == {id.removesuffix(".png"): EXPRESSIONS[of] for id, of in zip(test.ids, test.predicted, strict=True)}


def test_the_page_compares_it_and_draws_its_matrix_but_no_curve_and_no_stage(tmp_path):
    for plan in PAIR["rows"]:
        add(tmp_path, plan)
    ran(tmp_path, ensembles={"both": PAIR})
    text = (tmp_path / "report" / "report.html").read_text()
    sections = dict(re.findall(r'<section id="(\w+)"(.*?)</section>', text, re.DOTALL))
    named = {name for name, section in sections.items() if "both (ensemble)" in section}
    assert {"rows", "confusion", "recall", "calibration", "compare", "surest"} <= named
    assert not {"curves", "effects", "stages"} & named and "2 run with 2 seeds in all, and 1 ensemble;" in text


def test_of_rows_in_several_tables_it_has_a_table_that_claims_can_compare(tmp_path, capsys):
    resnet = {"backbone": "resnet18", "row_id": "r" * 64}
    paths = [add(tmp_path, "fer28", 0.4), add(tmp_path, "fer28", 0.5, **resnet), add(tmp_path, "fer28_emotiw", 0.5)]
    pairs = [["both", "fer28/resnet18"], ["both", "fer28"], ["fer28_emotiw", "fer28"]]
    files = ran(
        tmp_path,
        ensembles={"both": {"rows": ["fer28/mobilenetv2_100", "fer28/resnet18"]}},
        claims=[{"says": "It helps", "pairs": pairs}],
    )
    line = of_split(files["both"], "emotiw/Val")
    expected = mean(*paths[:2])
    assert (line["backbone"], int(line["k"])) == ("ensembles", int((expected.predicted == expected.labels).sum()))
    assert "Ensembles across tables" in capsys.readouterr().out
    claims = {(claim["backbone"], claim["better"], claim["worse"]): claim for claim in files["claims"]}
    assert set(claims) == {
        ("ensembles", "both", "fer28/resnet18"), ("ensembles", "both", "fer28"),
        ("mobilenetv2_100", "fer28_emotiw", "fer28"), ("resnet18", "fer28_emotiw", "fer28"),
    }  # fmt: skip
    against = compare([expected], [said(paths[1])])
    told = claims["ensembles", "both", "fer28/resnet18"]
    assert (int(told["only_better"]), int(told["only_worse"])) == against.only_one
    assert claims["ensembles", "both", "fer28"]["verdict"].endswith("is the name of several rows (say PLAN/BACKBONE)")


FITTED = PAIR | {"rows": ["fer28/mobilenetv2_100", "fer28/resnet18"], "weights": "fitted"}


def add_selected_on_public(tmp_path):
    return [
        add(tmp_path, "fer28", 0.4, splits=(*fake_store.SPLITS,)),
        add(tmp_path, "fer28", 0.6, backbone="resnet18", row_id="r" * 64),
    ]


def test_fitted_weights_are_those_of_the_selection_split_which_then_has_no_score(tmp_path, capsys):
    paths = add_selected_on_public(tmp_path)
    files = ran(tmp_path, ensembles={"both": FITTED}, claims=[{"says": "x", "pairs": [["both", "fer28/resnet18"]]}])
    line = of_split(files["both"], "emotiw/Val")
    told = re.search(
        r"fitted on the 300 found faces of fer2013/PublicTest.*\(seed 0: ([\d.]+), ([\d.]+)\)", line["ensemble"]
    )
    own = [
        of.probabilities[np.arange(len(of)), of.labels] for of in (said(path, "fer2013/PublicTest") for path in paths)
    ]
    grid = np.linspace(0, 1, 1001)  # every weight to three digits, one after the other
    best = grid[np.argmax([np.log(w * own[0] + (1 - w) * own[1]).sum() for w in grid])]
    assert float(told[1]) == pytest.approx(best, abs=0.006) and 0.02 < best < 0.5
    val = [said(path) for path in paths]
    right = (best * val[0].probabilities + (1 - best) * val[1].probabilities).argmax(axis=1) == val[0].labels
    assert int(line["k"]) == pytest.approx(int(right.sum()), abs=1)
    assert of_split(files["both"], "fer2013/PublicTest")["status"] == "fitted on"
    assert not any(row["plan"] == "both" and row["split"] == "fer2013/PublicTest" for row in per_class(tmp_path))
    assert "fitted on" in capsys.readouterr().out

    first_is_public = [STUDY["reported"][1], STUDY["reported"][0]]
    files = ran(
        tmp_path, reported=first_is_public, challenge=None, ensembles={"both": FITTED},
        claims=[{"says": "x", "pairs": [["both", "fer28/resnet18"]]}],
    )  # fmt: skip
    assert files["claims"][0]["verdict"] == "both fitted on fer2013/PublicTest"


def per_class(tmp_path):
    return csv.DictReader((tmp_path / "report" / "per_class.csv").open())


NOT_MADE = {
    "absent": (["fer28_emotiw", "fer23"], "mean", "member not run", "no finished row 'fer23' .* mean 'fer32'"),
    "guarded": (PAIR["rows"], "fitted", "not fitted", "fit its weights on emotiw/Val, which study 'own' protects"),
    "unlike": (["fer28", "fer28_emotiw"], "fitted", "not fitted", "fer2013/PublicTest; fer28_emotiw/.*: emotiw/Val"),
    "apart": (["fer28", "fer32"], "mean", "no common seed", "fer28/mobilenetv2_100: 0; fer32/mobilenetv2_100: 5"),
    "again": (["fer28", "fer28/mobilenetv2_100"], "mean", "a row twice", "names one row twice"),
}


def test_one_that_cannot_be_made_says_why_in_its_row(tmp_path, capsys):
    for plan in ("fer28", *PAIR["rows"]):
        add(tmp_path, plan)
    add(tmp_path, "fer32", seed=5)
    add(tmp_path, "emotiw")
    declared = {name: {"rows": rows, "weights": weights} for name, (rows, weights, _, _) in NOT_MADE.items()}
    claims = [{"says": "x", "pairs": [[name, "fer28"] for name in declared]}]
    files = ran(tmp_path, ensembles=declared | {"emotiw": PAIR}, claims=claims)
    out = capsys.readouterr().out
    for name, (_, _, word, why) in NOT_MADE.items():
        lines = [line for line in files[name] if line["ensemble"]]
        assert {line["status"] for line in lines} == {word} and lines[0]["percent"] == ""
        assert f"not made ({word})" in lines[0]["ensemble"]
        assert f"{name} (ensemble)" in out and re.search(rf"{name} \(ensemble\) +{word}", out)
        (told,) = [one for one in files["missing"] if (one["kind"], one["what"]) == ("ensemble", name)]
        assert re.search(why, told["why"]), told
    verdicts = {claim["better"]: claim["verdict"] for claim in files["claims"]}
    assert verdicts["absent"] == "absent member not run" and "ensemble, 6: absent: Ensemble 'absent'" in out
    assert next(one["why"] for one in files["missing"] if one["what"] == "emotiw").startswith(
        "Ensemble 'emotiw' has the name of a plan (emotiw/mobilenetv2_100)"
    )
    assert of_split(files["emotiw"], "emotiw/Val")["status"] == "run", "the others have their rows"


def test_other_faces_are_named(tmp_path):
    add(tmp_path, "fer28_emotiw", splits=("emotiw/Val",))
    add(tmp_path, "fer32_emotiw", splits=("emotiw/Val",), digests=DIGESTS | {"emotiw": "d" * 64})
    files = ran(tmp_path, ensembles={"both": PAIR})
    (told,) = [one for one in files["missing"] if one["kind"] == "ensemble"]
    assert files["both"][0]["status"] == "other faces"
    assert "fer28_emotiw/mobilenetv2_100: eeeeeeee; fer32_emotiw/mobilenetv2_100: dddddddd" in told["why"]


@pytest.fixture
def one_release(monkeypatch):
    """Faces of every digest are made from the same files of a release."""
    made = fake_store.prepared
    monkeypatch.setattr(fake_store, "prepared", lambda *given: replace(made(*given), origin=f"files of {given[0]}"))


@pytest.mark.usefixtures("one_release")
def test_of_the_same_pictures_cut_otherwise_it_is_made_by_those_whose_finder_found_them(tmp_path, monkeypatch, capsys):
    wide = add(tmp_path, "fer28_emotiw", 0.5)
    made = fake_store.make_predictions

    def other_finder(split, *given):
        of = made(split, *given)
        return replace(
            of, found=np.roll(of.found, 3)
        )  # faces 5 to 7 are found by this one, 12 to 14 by the other alone

    monkeypatch.setattr(fake_store, "make_predictions", other_finder)
    other = add(tmp_path, "fer32_emotiw", 0.5, digests=DIGESTS | {"emotiw": "d" * 64})
    claims = [{"says": "Two crops help", "pairs": [["both", "fer28_emotiw/mobilenetv2_100"]]}]
    files = ran(tmp_path, "submission_zip=Team", ensembles={"both": PAIR}, claims=claims)
    one, two = (whole(path) for path in (wide, other))
    mean = (one.probabilities + two.probabilities) / 2
    mean[5:8], mean[12:15] = two.probabilities[5:8], one.probabilities[12:15]
    found = one.found | two.found
    right = (mean.argmax(axis=1) == one.labels)[found].sum()
    line = of_split(files["both"], "emotiw/Val")
    assert (int(line["k"]), int(line["n"])) == (right, 432) and found.sum() == 432
    assert line["ensemble"].endswith("; emotiw from 2 preparations (eeeeeeee, dddddddd)")
    assert "Ensembles across tables" in capsys.readouterr().out
    assert files["claims"][0]["verdict"] == "not the same labelled faces"  # over found faces, and each found others
    assert not [one for one in files["missing"] if one["kind"] == "ensemble"]
    with zipfile.ZipFile(next((tmp_path / "report").glob("zips/both_*/Team.zip"))) as archive:
        assert len(archive.namelist()) == 372


def on(tmp_path, plan, *crops, **changed):
    """A row that was scored on several preparations of EmotiW, each a letter."""
    paths = [add(tmp_path, plan, digests=DIGESTS | {"emotiw": crop * 64}, **changed) for crop in crops]
    record = read_record(paths[0])
    for path in paths[1:]:
        record = record.joined(read_record(path))
        path.unlink()
    write_document(paths[0], record.to_json())
    return record


RESNET = {"backbone": "resnet18", "row_id": "r" * 64}


@pytest.mark.usefixtures("one_release")
@pytest.mark.parametrize(
    ("members", "crops"),
    [
        ([("fer28", "e"), ("fer32", "d")], "ed"),  # rows of FER-2013 alone, which stand beside any crop
        ([("fer32_emotiw", "e"), ("fer28", "d")], "ed"),
        ([("fer28", "de"), ("fer32_emotiw", "d")], "dd"),  # what all know comes before what they know otherwise
        ([("fer32_emotiw", "d"), ("fer28", "ed")], "dd"),
        ([("fer28", "e", RESNET), ("fer32_emotiw", "d")], "ed"),
    ],
)
def test_which_crop_a_row_counts_with(tmp_path, members, crops):
    records = [on(tmp_path, plan, *known, **dict(*changed)) for plan, known, *changed in members]
    names = [f"{record.plan}/{record.backbone}" for record in records]
    files = ran(tmp_path, ensembles={"both": {"rows": names}})
    scored = [
        next(of for of in record.predictions if (of.faces, of.split) == (crop * 64, "Val"))
        for record, crop in zip(records, crops, strict=True)
    ]
    read = [Predictions.read(tmp_path / "store" / of.file, of.sha256).only_found() for of in scored]
    right = ((read[0].probabilities + read[1].probabilities).argmax(axis=1) == read[0].labels).sum()
    lines = [line for line in files["both"] if (line["split"], line["status"]) == ("emotiw/Val", "run")]
    assert [int(line["k"]) for line in lines] == [right]
    assert ("2 preparations" in lines[0]["ensemble"]) == (crops == "ed")
    study = tmp_path / "own.yaml"
    study.write_text(json.dumps(STUDY | {"ensembles": {"both": {"rows": names}}}))
    row = open_store(tmp_path / "store", study=study).row("both")
    assert [score.correct for score in row.scores if score.split == "emotiw/Val"] == [right]


@pytest.mark.usefixtures("one_release")
def test_seeds_of_one_row_are_not_averaged_over_crops(tmp_path):
    on(tmp_path, "fer28", "e")
    on(tmp_path, "fer28", "d", seed=1)
    splits = [score.split for score in open_store(tmp_path / "store").row("fer28").scores]
    assert "fer2013/PrivateTest" in splits and "emotiw/Val" not in splits


@pytest.mark.usefixtures("one_release")
def test_other_files_of_another_release_do_not_keep_crops_apart(tmp_path):
    for number, (crop, other) in enumerate(
        ("ea", "db")
    ):  # each other row is scored on the same EmotiW, and on its own FER-2013
        of = {"backbone": ("alexnet", "resnet18")[number]}
        own = {"emotiw": crop * 64, "fer2013": other * 64}
        add(tmp_path, "emotiw", digests=own, splits=("emotiw/Val",), row_id=f"{number}" * 64, **of)
        add(tmp_path, "fer28_emotiw", digests=own | {"emotiw": "e" * 64}, row_id=f"{number + 2}" * 64, **of)
    files = ran(tmp_path, ensembles={"both": {"rows": ["emotiw/alexnet", "emotiw/resnet18"]}})
    assert of_split(files["both"], "emotiw/Val")["status"] == "run"


@pytest.mark.usefixtures("one_release")
def test_ensembles_of_the_same_crops_stand_in_one_table(tmp_path):
    for plan in ("fer28_emotiw", "fer32_emotiw"):
        add(tmp_path, plan)
        add(tmp_path, plan, digests=DIGESTS | {"emotiw": "d" * 64}, **RESNET | {"row_id": plan[3] * 64})
    rows = {
        "one": ["fer28_emotiw/mobilenetv2_100", "fer32_emotiw/resnet18"],
        "two": ["fer28_emotiw/resnet18", "fer32_emotiw/mobilenetv2_100"],
    }
    files = ran(
        tmp_path, ensembles={name: {"rows": of} for name, of in rows.items()},
        claims=[{"says": "x", "pairs": [["one", "two"]]}],
    )  # fmt: skip
    (claim,) = files["claims"]
    assert claim["backbone"] == "ensembles" and claim["mean"] and files["missing"][0]["kind"] != "ensemble"


@pytest.mark.usefixtures("one_release")
def test_claims_reach_ensembles_of_other_tables(tmp_path):
    """One of a table, one across tables, and one across tables with a row that knows fewer releases."""
    for plan in PAIR["rows"]:
        add(tmp_path, plan)
    add(tmp_path, "fer28", **RESNET)
    add(tmp_path, "emotiw", splits=("emotiw/Val",), digests={"emotiw": "d" * 64}, backbone="points", row_id="p" * 64)
    own = {"both": PAIR["rows"], "three": [*PAIR["rows"], "fer28"], "four": [*PAIR["rows"], "fer28", "emotiw/points"]}
    pairs = [["three", "both"], ["four", "three"]]
    files = ran(
        tmp_path, ensembles={name: {"rows": rows} for name, rows in own.items()}, claims=[{"says": "x", "pairs": pairs}]
    )
    told = [(claim["better"], claim["worse"], claim["mean"] != "") for claim in files["claims"]]
    assert told == [("three", "both", True), ("four", "three", True)]


def test_a_seed_is_scored_wherever_its_own_rows_were(tmp_path):
    add(tmp_path, "fer28", splits=("emotiw/Val",))
    add(tmp_path, "fer28", seed=1)
    for seed in range(2):
        add(tmp_path, "fer28", seed=seed, **RESNET)
    files = ran(tmp_path, ensembles={"both": {"rows": ["fer28/mobilenetv2_100", "fer28/resnet18"]}})
    assert (of_split(files["both"], "emotiw/Val")["seeds"], of_split(files["both"], "fer2013/PrivateTest")["seeds"]) == (
        "0 1", "1",
    )  # fmt: skip


@pytest.mark.usefixtures("one_release")
def test_a_table_that_does_not_show_what_rows_were_scored_on_together_does_not_hold_their_ensemble(tmp_path):
    on(tmp_path, "fer28", "d", "g")
    made, other = add(tmp_path, "fer28_emotiw"), add(tmp_path, "fer32", digests=DIGESTS | {"emotiw": "d" * 64})
    record = read_record(made).joined(read_record(other))  # made from e, scored on d too
    other.unlink()
    write_document(made, record.to_json())
    files = ran(tmp_path, ensembles={"both": {"rows": ["fer28", "fer28_emotiw"]}})
    line = of_split(files["both"], "emotiw/Val")
    assert (line["status"], line["backbone"], line["faces"]) == ("run", "ensembles", "dddddddd")


@pytest.mark.usefixtures("one_release")
def test_further_faces_of_a_split_do_not_move_an_ensemble_from_its_table(tmp_path):
    for plan in ("fer28_emotiw", "fer32"):
        paths = [
            add(tmp_path, plan),
            add(tmp_path, plan, digests=DIGESTS | {"fer2013": "g" * 64}, splits=("fer2013/PrivateTest",)),
        ]
        record = read_record(paths[0]).joined(read_record(paths[1]))
        paths[1].unlink()
        write_document(paths[0], record.to_json())
    files = ran(tmp_path, ensembles={"both": {"rows": ["fer28_emotiw", "fer32"]}})
    assert {line["backbone"] for line in files["both"]} == {"mobilenetv2_100"}
    assert of_split(files["both"], "fer2013/PrivateTest")["status"] == "run"


@pytest.mark.usefixtures("one_release")
def test_weights_of_several_crops_are_fitted_on_what_all_finders_found(tmp_path, monkeypatch):
    add(tmp_path, "fer28", 0.4)
    made = fake_store.make_predictions
    lost = np.arange(300) < 20
    monkeypatch.setattr(
        fake_store, "make_predictions", lambda *given: replace(of := made(*given), found=of.found & ~lost[: len(of)])
        if given[0] == "fer2013/PublicTest" else made(*given),
    )  # fmt: skip
    add(tmp_path, "fer28", 0.6, backbone="resnet18", row_id="r" * 64, digests=DIGESTS | {"fer2013": "d" * 64})
    files = ran(tmp_path, ensembles={"both": FITTED})
    line = of_split(files["both"], "fer2013/PrivateTest")
    assert "fitted on the 280 found faces of fer2013/PublicTest" in line["ensemble"] and line["status"] == "run"
    assert of_split(files["both"], "fer2013/PublicTest")["status"] == "fitted on"


def test_of_faces_that_some_rows_were_not_scored_on_it_has_no_number(tmp_path):
    add(tmp_path, "fer28_emotiw")
    add(tmp_path, "fer32_emotiw", splits=("emotiw/Val",))
    files = ran(tmp_path, ensembles={"both": PAIR})
    states = {line["split"]: line["status"] for line in files["both"]}
    assert states["emotiw/Val"] == "run" and states["emotiw/Test"] == "no predictions"


def test_of_parts_of_a_split_it_has_no_number_and_says_so(tmp_path, monkeypatch):
    add(tmp_path, "fer28_emotiw")
    monkeypatch.setitem(fake_store.SPLITS, "emotiw/Val", 100)
    add(tmp_path, "fer32_emotiw")
    files = ran(tmp_path, ensembles={"both": PAIR})
    assert of_split(files["both"], "emotiw/Val")["status"] == "no predictions"
    assert of_split(files["both"], "fer2013/PrivateTest")["status"] == "run"
    (told,) = [one for one in files["missing"] if one["kind"] == "ensemble"]
    assert told["why"].startswith("its rows were scored on other faces of emotiw/Val")


def test_it_inherits_training_data_and_optimism_of_every_member(tmp_path):
    add(tmp_path, "fer28", keep="best")
    add(tmp_path, "fer32_emotiw", notes=("a stand-in",))
    files = ran(tmp_path, ensembles={"both": {"rows": ["fer28", "fer32_emotiw"]}})
    assert of_split(files["both"], "fer2013/PublicTest")["status"] == "trained on"  # by fer32 alone
    study = study_from(STUDY | {"ensembles": {"both": {"rows": ["fer28", "fer32_emotiw"]}}})
    (row,) = [row for row in load_report(tmp_path / "store", study, 0.95).rows if row.plan == "both"]
    assert "a stand-in" in row.caveats and row.selected_on("fer2013/PublicTest")
    assert row.trained_on("emotiw/Train") and row.trained_on("fer2013/Training")


def test_names_of_its_members_are_escaped(tmp_path):
    hostile = "<script>alert(1)</script>"
    ids = {plan: hashlib.sha256(plan.encode()).hexdigest() for plan in PAIR["rows"]}
    for plan in PAIR["rows"]:
        add(tmp_path, plan, backbone=hostile, row_id=ids[plan])
    ran(tmp_path, ensembles={"both": PAIR})
    assert hostile not in (tmp_path / "report" / "report.html").read_text()
    assert hostile not in (tmp_path / "report" / "table.md").read_text()


def test_wandb_gets_a_run_of_it_that_uses_its_members_stages(tmp_path):
    paths = [add(tmp_path, plan) for plan in PAIR["rows"]]
    study = study_from(STUDY | {"ensembles": {"both": PAIR}})
    groups = load_report(tmp_path / "store", study, 0.95).groups
    (run,) = [run for run in row_runs(groups, [], study, 0.95) if run.config["plan"] == "both"]
    assert set(run.uses) == {str(read_record(path).stages[-1]["key"]) for path in paths}
    assert run.config["ensemble"].startswith("ensemble of fer28_emotiw") and isinstance(run.summary["Val/ours"], float)


@pytest.mark.parametrize(
    ("ensembles", "message"),
    [
        ({"fer28": PAIR}, "no plan's"),
        ({"a b": PAIR}, "letters and digits"),
        ({"one": {"rows": ["fer28"]}}, "two rows or more"),
        ({"one": {"rows": ["fer28", "fer28"]}}, "each once"),
        ({"one": PAIR, "two": {"rows": ["one", "fer28"]}}, "'one' is an ensemble: name its rows"),
        ({"one": PAIR | {"weights": "best"}}, "mean or fitted, but got 'best'"),
        ({"one": PAIR | {"wights": "mean"}}, "Did you mean 'weights'"),
    ],
)
def test_a_wrong_declaration_is_told(ensembles, message):
    with pytest.raises(ConfigError, match=message):
        study_from(STUDY | {"ensembles": ensembles})
