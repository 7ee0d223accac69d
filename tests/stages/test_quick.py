"""Few faces of a split: the same for every plan and seed, limit all that is done with them, and are said beside every number."""

import csv
import functools
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_transfer.cli.report import report
from fer_transfer.cli.train import train
from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.document import read_document
from fer_transfer.settings import compose
from fer_transfer.stages.record import read_record
from fer_transfer.tracking.finals import finals_of
from fer_transfer.upkeep.contents import contents, open_store
from fer_transfer.upkeep.verifying import problems

CAVEAT = "quick: at most 16 faces a split, 1 epoch"


def run(tiny, *overrides):
    return train(compose("train", ["experiment=quick", *tiny, "recipe.epochs=1", *overrides]))


def make_report(tmp_path, *overrides):
    report(compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}", *overrides]))
    return tmp_path / "report"


def records(tmp_path):
    return [read_record(path) for path in sorted((tmp_path / "store" / "submissions").iterdir())]


@functools.cache
def opened(folder):
    return open_faces(folder)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-1, 6)), min_size=1, max_size=80), st.integers(7, 60))
def test_few_faces_are_spread_over_a_split_and_its_classes(faces_folder, content, at_most):
    splits, labels = (np.array(column) for column in zip(*content, strict=True))
    names, numbers = np.unique(splits, return_inverse=True)
    names = names.tolist()
    columns = {"split_names": tuple(names), "split_numbers": numbers, "labels": labels.astype(np.int8)}
    faces = replace(opened(faces_folder / "emotiw"), **columns)
    rows = faces.few(at_most).rows(names)
    assert (np.diff(rows) > 0).all()
    for split in names:
        whole, taken = np.flatnonzero(splits == split), rows[splits[rows] == split]
        assert len(taken) == min(at_most, len(whole)) and (faces.few(at_most).rows([split]) == taken).all()
        for label in range(-1, 7):
            share = (labels[whole] == label).sum() * len(taken) / len(whole)
            assert abs((labels[taken] == label).sum() - share) < 1
    assert (faces.few(None).rows(names) == faces.rows(names)).all()


def test_they_are_not_the_first_of_a_split(faces_folder):
    faces = open_faces(faces_folder / "fer2013")
    rows = faces.few(32).rows(["Training"])
    quarters = np.histogram(rows, 4, (0, 128))[0]
    assert quarters.min() >= 4 and faces.few(32).rows([]).tolist() == []


def test_every_plan_and_seed_is_trained_watched_and_scored_on_the_same_few(tiny, tmp_path, faces_folder, monkeypatch):
    used = []
    original = FacesDataModule.train_dataloader
    monkeypatch.setattr(FacesDataModule, "train_dataloader", lambda self: used.append(self) or original(self))
    for plan in ("fer28_emotiw", "fer32+emotiw"):
        for seed in (0, 1):
            run(tiny, f"plan={plan}", f"recipe.seed={seed}", "recipe.at_most=16")
    faces = open_faces(faces_folder / "fer2013")
    few = faces.few(16).rows(["Training"])
    few = few[faces.found[few]]
    for data in used:
        for _, rows, _ in (*data.train_set.parts, *data.selection_set.parts):
            assert 0 < len(rows) <= 32
        [of_fer] = [rows for of, rows, _ in data.train_set.parts if of.name == "fer2013"] or [few]
        assert set(of_fer[faces.splits[of_fer] == "Training"]) == set(few)
    ids = {}
    for record in records(tmp_path):
        for of in record.predictions:
            read = Predictions.read(tmp_path / "store" / of.file, of.sha256)
            ids.setdefault(of.split, set()).add(tuple(read.ids))
            told = read_document((tmp_path / "store" / of.file).with_suffix(".json"))
            assert len(read) == 16 and told["caveat"] == CAVEAT
    assert set(ids) == {"PublicTest", "PrivateTest", "Val", "Test"} and all(len(of) == 1 for of in ids.values())
    held = contents(open_store(tmp_path / "store"))
    assert not list(problems(held)) and all(finals_of(kept.folder) for kept in held.stages.values())


def test_every_file_of_a_report_says_it_and_no_claim_is_made_of_the_whole(tiny, tmp_path, capsys):
    for plan in ("fer28_emotiw", "emotiw"):
        run(tiny, f"plan={plan}", "recipe.at_most=16")
    out = make_report(tmp_path)
    for path in out.rglob("*.*"):
        if path.name not in ("missing.csv", ".written.json"):  # rows that never ran, digests: no number
            assert CAVEAT.encode() in path.read_bytes(), path
    with (out / "table.csv").open() as file:
        scored = [line for line in csv.DictReader(file) if line["status"] == "run"]
    assert scored and all(int(line["n"]) <= 16 and CAVEAT in line["caveats"] for line in scored)
    with (out / "claims.csv").open() as file:
        verdicts = {line["verdict"] for line in csv.DictReader(file) if line["p"]}
    assert verdicts == {"no verdict on a part of the split"}
    text = (out / "table.md").read_text()
    assert "‡ over n faces" in text and any(f"/{line['n']}" in text for line in scored)
    assert CAVEAT in " ".join(capsys.readouterr().out.split())


def test_a_part_of_the_challenges_split_is_no_submission(tiny, tmp_path, capsys):
    run(tiny, "plan=emotiw", "recipe.at_most=16")
    with pytest.raises(StoreError, match=r"all faces of emotiw/Test.*1 rows have 16 .*recipe.at_most=null"):
        make_report(tmp_path, "submission_zip=Team")
    assert not (tmp_path / "report").exists()
    run(tiny, "plan=emotiw", "recipe.at_most=30")  # Test has 20 faces
    out = make_report(tmp_path, "submission_zip=Team")
    [path] = (out / "zips").rglob("*.zip")
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 20 and b"quick: at most 30 faces a split" in archive.comment
    assert "1 rows have predictions of a part only" in " ".join(capsys.readouterr().out.split())


def test_whoever_starts_from_such_a_stage_inherits_the_caveat(tiny, tmp_path):
    finished = run(tiny, "plan=fer28_emotiw", "recipe.at_most=null", "++stages.fer.at_most=16")
    [record] = records(tmp_path)
    assert CAVEAT in record.lineage.caveats and record.notes == ()
    [val] = [of for of in record.predictions if of.split == "Val"]
    assert len(Predictions.read(tmp_path / "store" / val.file)) == 40
    weights = finished.jobs[-1].folder.weights
    run(tiny, "plan=fer28", "recipe.at_most=null", f"recipe.backbone.weights={weights}")
    assert all(CAVEAT in record.lineage.caveats for record in records(tmp_path))
    run(tiny, "plan=emotiw", "recipe.at_most=null")
    assert sum(CAVEAT in record.lineage.caveats for record in records(tmp_path)) == 2


def test_a_number_of_faces_that_cannot_be_is_refused(tiny):
    with pytest.raises(
        ConfigError, match="at_most of stage 'emotiw' to be null or at least one face for each of its 7 classes"
    ):
        run(tiny, "plan=emotiw", "recipe.at_most=6")
