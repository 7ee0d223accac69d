"""What wandb is told: a run a stage, a run a row, read back from the offline files."""

import json
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score
from tiny import overrides
from wandb.sync import get_runs
from wandb_files import Written, read_all

from fer_transfer.cli.train import train
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.settings import compose
from fer_transfer.stages.metrics import read_metrics

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


def test_wandb_sends_parents_first(store, runs, monkeypatch):
    """In the order of wandb's own command, whatever is used was made before."""
    monkeypatch.chdir(store)
    order = [read.path for read in get_runs()]
    assert len(order) == len(runs)
    made: set[str] = set()
    by_folder = {run.folder.name: run for run in runs.values()}
    for path in order:
        run = by_folder[Path(path).name]
        assert set(run.used) <= made
        made |= set(run.logged)


def test_nothing_is_left_elsewhere(store):
    left = [path.name for path in (store.parent / "t").iterdir()]
    assert not [name for name in left if "wandb" in name or "fer_transfer" in name]
    names = {path.name for path in (store / "wandb").iterdir()}
    assert all(name.startswith("offline-run-") or name == "staged" for name in names)


def test_pictures_stand_where_a_release_may_be_shown(stages, faces_folder):
    assert not open_faces(faces_folder / "fer2013").may_be_shown
    assert "picture" not in stages["fer"].table("predictions/fer2013/PublicTest")[0]


def test_hostile_notes_stay_text(stages):
    assert NOTE in stages["fer"].config["caveats"] and NOTE in stages["fer"].run.tags


def test_system_metrics_are_those_of_the_training(stages):
    [row, *_] = [row for run in stages.values() for row in run.stats]
    assert row["proc.memory.rssMB"] > 100 and "cpu" in row
    assert stages["fer"].summary["seconds"] > 0 and stages["fer"].summary["device"]
