"""What wandb is told: a run a stage, a run a row, read back from the offline files."""

import json
import subprocess
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score
from tiny import overrides
from wandb_files import HAS_READER, Written, logged_records, read_all, records

from fer_transfer.cli.train import train
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.settings import compose
from fer_transfer.stages.metrics import read_metrics
from fer_transfer.tracking.sending import SENT, how_to_send, id_of

NOTE = "<script>alert(1)</script>"
OPTIONS = ["logger=wandb", "logger.head_start=0", f"note='{NOTE}'"]


@pytest.fixture(scope="module")
def store(faces_folder, tmp_path_factory):
    """Of two rows: fer28, and fer28_emotiw, which takes its first stage from the store; a temporary folder of its own."""
    root = tmp_path_factory.mktemp("w")
    (root / "t").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(root / "t"))
        patch.setenv("WANDB_X_STATS_SAMPLING_INTERVAL", "0.2")
        for plan in ("fer28", "fer28_emotiw"):
            train(compose("train", [*overrides(faces_folder, root / "store"), f"plan={plan}", *OPTIONS]))
    return root / "store"


@pytest.fixture(scope="module")
def runs(store) -> dict[str, Written]:
    return read_all(store)


@pytest.fixture(scope="module")
def stages(runs) -> dict[str, Written]:
    return {run.config["stage"]: run for run in runs.values() if run.run.job_type == "stage"}


@pytest.fixture(scope="module")
def rows(runs) -> dict[str, Written]:
    return {run.config["plan"]: run for run in runs.values() if run.run.job_type == "row"}


def test_each_stage_and_each_row_is_one_finished_run(store, runs, stages, rows):
    keys = {path.parent.name for path in store.glob("*/result.json")}
    assert {run.run.run_id for run in stages.values()} == keys and len(keys) == 2
    assert set(rows) == {"fer28", "fer28_emotiw"} and len(runs) == 4
    assert [run.exit_code for run in runs.values()] == [0, 0, 0, 0]


def test_what_names_a_run(stages, rows):
    run = stages["emotiw"].run
    assert run.display_name == "fer28_emotiw/emotiw test_resnet seed 0"
    assert run.run_group == rows["fer28_emotiw"].run.run_group != rows["fer28"].run.run_group
    assert {"fer28_emotiw", "test_resnet", "seed 0", "emotiw", "synthetic", "no pre-training"} <= set(run.tags)
    assert rows["fer28_emotiw"].run.display_name == "fer28_emotiw, test_resnet, seed 0"
    assert "synthetic" in rows["fer28"].run.tags and "SYNTHETIC FACES" in rows["fer28"].run.notes


def test_configuration_is_recipe_faces_and_plan(store, faces_folder, stages):
    run = stages["emotiw"]
    recipe = json.loads((store / run.run.run_id / "recipe.json").read_text())
    assert run.config["recipe"] == {key: recipe[key] for key in run.config["recipe"]}
    assert run.config["recipe"]["optimizer"]["lr"] == 0.02 and run.config["plan"] == "fer28_emotiw"
    assert run.config["faces"]["emotiw"]["digest"] == open_faces(faces_folder / "emotiw").digest
    assert run.config["faces"]["emotiw"]["trained_on"] == ["Train"]
    assert run.config["faces"]["emotiw"]["caveats"] == ["synthetic"]


def test_history_is_metrics_csv(store, stages):
    for run in stages.values():
        told = [row for row in run.history if "train/loss" in row]
        kept = read_metrics(store / run.run.run_id / "metrics.csv")
        assert [row["epoch"] for row in told] == [0, 1]
        for name in ("train_loss", "train_accuracy", "selection_loss", "selection_accuracy", "selection_macro_recall"):
            assert [row[name.replace("_", "/", 1)] for row in told] == [float(row[name]) for row in kept]
        assert all(row["lr"] > 0 and row["faces_per_second"] > 0 for row in told)


@pytest.mark.parametrize("split", ["Val", "Test"])
def test_final_numbers_are_scikit_learns(store, stages, split):
    run = stages["emotiw"]
    [path] = (store / run.run.run_id / "predictions").glob(f"emotiw.{split}.*.csv")
    predictions = Predictions.read(path)
    if split == "Test":  # no labels: no numbers
        assert not any("emotiw/Test" in key for key in [*run.summary, *run.history[-1]])
        return
    labels, predicted = predictions.labels, predictions.predicted
    assert run.summary["emotiw/Val/accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert run.summary["emotiw/Val/macro_recall"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    last = run.summary["selection/macro_recall"]  # of the last epoch, which is kept
    assert last == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-5)
    found = predictions.found
    assert run.summary["emotiw/Val/accuracy_found"] == pytest.approx(accuracy_score(labels[found], predicted[found]))
    expected = dict(zip(EXPRESSIONS, recall_score(labels, predicted, average=None, labels=range(7)), strict=True))
    recalls = {row["expression"]: row["recall"] for row in run.table("recall/emotiw/Val_table")}
    assert recalls == pytest.approx({name: expected[name] for name in recalls})
    assert {EXPRESSIONS[label] for label in set(labels.tolist())} == set(recalls)
    matrix = confusion_matrix(labels, predicted, labels=range(7))
    for row in run.table("confusion/emotiw/Val_table"):
        place = EXPRESSIONS.index(row["Actual"]), EXPRESSIONS.index(row["Predicted"])
        assert row["nPredictions"] == matrix[place]


def test_predictions_are_a_line_a_face_the_most_surely_wrong_first(store, stages):
    run = stages["emotiw"]
    [path] = (store / run.run.run_id / "predictions").glob("emotiw.Val.*.csv")
    predictions, table = Predictions.read(path), run.table("predictions/emotiw/Val")
    assert sorted(row["face"] for row in table) == sorted(predictions.ids.tolist())
    by_id = {row["face"]: row for row in table}
    for i, name in enumerate(predictions.ids.tolist()):
        assert by_id[name]["label"] == EXPRESSIONS[predictions.labels[i]]
        assert by_id[name]["p Fear"] == pytest.approx(predictions.probabilities[i, EXPRESSIONS.index("Fear")], abs=1e-4)
    wrong = [not row["right"] for row in table]
    assert wrong == sorted(wrong, reverse=True) and any(wrong)


def test_lineage_goes_from_stage_to_stage_to_row(store, stages, rows):
    [(name, made)] = stages["fer"].logged.items()
    [(used, artifact)] = stages["emotiw"].used.items()
    assert (name, made.digest) == (used, artifact.digest), "the same artifact, so that wandb draws one graph"
    [(last, artifact)] = rows["fer28_emotiw"].used.items()
    assert (last, artifact.digest) == next((n, a.digest) for n, a in stages["emotiw"].logged.items())
    assert next(iter(rows["fer28"].used)) == name
    [entry] = made.manifest.contents
    assert Path(entry.local_path) == store / stages["fer"].run.run_id / "weights.safetensors"
    assert not stages["fer"].used, "it started from nothing"


def test_a_row_has_published_and_own_numbers_and_its_stages(store, stages, rows):
    row = rows["fer28_emotiw"]
    assert row.config["stages"] == {"0": {name: stages[name].run.run_id for name in ("fer", "emotiw")}}
    share = stages["emotiw"].summary["emotiw/Val/accuracy_found"]
    assert row.summary["Val (found)/ours"] == pytest.approx(100 * share)
    assert row.summary["Val (found)/low"] < 100 * share < row.summary["Val (found)/high"]
    assert row.summary["Test/ours"] == "withheld"
    assert row.summary["seeds"] == 1 and "Val (found)/published" not in row.summary, "not a network of the paper's"


def test_the_printed_command_sends_parents_first_and_nothing_twice(store, runs, tmp_path, monkeypatch):
    """In the order in which bash runs it, whatever is used was made before."""
    told = tmp_path / "bin" / "wandb"
    told.parent.mkdir()
    told.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "sent"}\n')
    told.chmod(0o755)
    monkeypatch.setenv("PATH", str(told.parent), prepend=":")
    [line] = how_to_send({"kind": "wandb", "folder": str(store)})
    command = line.partition("parents first: ")[2]
    subprocess.run(["bash", "-c", command], check=True)
    sent = [line.split() for line in (tmp_path / "sent").read_text().splitlines()]
    made: set[str] = set()
    by_folder = {run.folder.name: run for run in runs.values()}
    for word, path in sent:
        run = by_folder.pop(Path(path).name)
        assert word == "sync" and set(run.used) <= made
        made |= set(run.logged)
    assert not by_folder
    first = store / sent[0][1]
    mark = first / f"run-{id_of(first)}.wandb{SENT}"
    mark.touch()
    try:
        subprocess.run(["bash", "-c", command], check=True)
    finally:
        mark.unlink()
    assert (tmp_path / "sent").read_text().splitlines()[len(sent) :] == [" ".join(of) for of in sent[1:]]


@pytest.mark.skipif(not HAS_READER, reason="this wandb has no reader in Python: from 0.30")
def test_what_is_read_without_wandb_is_what_it_reads(store):
    for path in (store / "wandb").glob("*/*.wandb"):
        assert list(logged_records(path)) == list(records(path))
