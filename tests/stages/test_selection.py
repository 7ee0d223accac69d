"""A share of what is trained on to select on, through fer-train: never trained on, in the key, said wherever numbers stand."""

import csv
import re
import shutil

import numpy as np
import pytest
from test_ranks import STAGE, check_equal, finished, torchrun
from tiny import tiny_faces

from fer_transfer.cli.report import report
from fer_transfer.cli.train import train
from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files.document import read_document, write_document
from fer_transfer.settings import compose
from fer_transfer.stages.calibrated import kept_temperature
from fer_transfer.stages.record import read_record

SHARE = ["recipe.selection.share=0.25", "recipe.keep=best", "recipe.epochs=1"]
FER, EMOTIW = "Training~0.25~0", "Train~0.25~0"


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *SHARE, *overrides]))


def record_of(tmp_path):
    [path] = (tmp_path / "store" / "submissions").iterdir()
    return read_record(path)


@pytest.fixture
def fed(monkeypatch):
    """What each stage is given, as (digest, row), to train on and to select on."""
    stages = []
    original = FacesDataModule.train_dataloader

    def noted(self):
        sets = (self.train_set, self.selection_set)
        stages.append([{(f.digest, r) for f, rows, _ in of.parts for r in rows.tolist()} for of in sets])
        return original(self)

    monkeypatch.setattr(FacesDataModule, "train_dataloader", noted)
    return stages


@pytest.mark.parametrize("plan", ["fer32+emotiw", "fer28_emotiw"])
def test_what_is_held_out_is_never_trained_on_and_is_all_that_is_selected_on(tiny, fed, plan, faces_folder):
    run(tiny, f"plan={plan}", "recipe.labelling.train_on_lost=true")
    trained, selected = (set.union(*of) for of in zip(*fed, strict=True))
    splits = {"fer2013": ["Training", *(["PublicTest"] if "32" in plan else [])], "emotiw": ["Train"]}
    faces = [open_faces(faces_folder / name) for name in splits]
    whole = {(of.digest, row) for of in faces for row in of.rows(splits[of.name]).tolist()}
    assert not trained & selected and trained | selected == whole
    assert abs(len(selected) / len(whole) - 0.25) < 0.05


def test_weights_of_an_ensemble_are_fitted_on_the_share(tiny, tmp_path, capsys):
    for plan in ("emotiw", "fer28_emotiw"):
        run(tiny, f"plan={plan}")
    config = compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}", "details=true"])
    config.study.ensembles = {"both": {"rows": ["emotiw", "fer28_emotiw"], "weights": "fitted"}}
    report(config)
    with (tmp_path / "report" / "table.csv").open() as file:
        lines = {line["split"]: line for line in csv.DictReader(file) if line["plan"] == "both"}
    where = r"fitted on the (\d+) found faces of emotiw/(Train~\S+), .* \(seed 0: ([\d.]+), "
    said = re.search(where, lines["emotiw/Val"]["ensemble"])
    records = sorted(map(read_record, (tmp_path / "store" / "submissions").iterdir()), key=lambda record: record.plan)
    held = [
        Predictions.read(tmp_path / "store" / of.file, of.sha256).only_found()
        for record in records
        for of in record.predictions
        if of.split == said[2] and of.split.startswith(EMOTIW)
    ]
    own = [of.probabilities[np.arange(len(of)), of.labels] for of in held]
    grid = np.linspace(0, 1, 1001)  # every weight to three digits, one after the other
    best = grid[np.argmax([np.log(w * own[0] + (1 - w) * own[1]).sum() for w in grid])]
    assert (int(said[1]), float(said[3])) == (len(own[0]), pytest.approx(best, abs=0.006))
    assert lines["emotiw/Val"]["status"] == "run", "the reported split was not looked at"
    capsys.readouterr()


def test_the_shares_faces_are_scored_calibrate_and_are_said(tiny, tmp_path, capsys):
    finished = run(tiny, "plan=fer28")
    record = record_of(tmp_path)
    [used] = finished.jobs[-1].own.faces
    assert used.selected_on == (FER,) and used.trained_on == ("Training",)
    scored = {of.split: of for of in record.predictions if of.faces == used.digest}
    assert list(scored) == ["PublicTest", "PrivateTest", FER], "no reported split was selected on"
    held = Predictions.read(tmp_path / "store" / scored[FER].file, scored[FER].sha256)
    faces = open_faces(tiny_folder(tiny))
    assert held.ids.tolist() == faces.ids[faces.rows([FER])].tolist()
    temperature = kept_temperature(tmp_path / "store", record, used.digest, FER)
    assert temperature is not None and temperature.count == int(held.found.sum())
    assert "found faces of 25 % of fer2013/Training, seed 0, the selection split" in temperature.line()
    assert record.lineage.selected_on(used.prepared, FER) and not record.lineage.selected_on(
        used.prepared, "PublicTest"
    )
    assert not record.trained_on(used.digest, FER) and record.trained_on(used.digest, "Training")
    report(compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}", "details=true"]))
    assert "25 % of fer2013/Training, seed 0" in (tmp_path / "report" / "table.md").read_text()
    assert "Training less 25 % of Training, seed 0" in (tmp_path / "report" / "report.html").read_text()
    capsys.readouterr()


def test_subjects_stay_together_and_the_lineage_says_so(tiny, tmp_path, fed, command):
    with FacesWriter(tmp_path / "movies", "emotiw", (64, 64), 124) as writer:
        for i, face in enumerate(tiny_faces("emotiw")):
            writer.add(face.pixels, face.id, face.split, face.label, face.found, subject=f"movie {i // 5}")
    run(tiny, "plan=emotiw", f"runtime.faces.emotiw={tmp_path / 'movies'}")
    [[trained, selected]] = fed
    movies = [{row // 5 for _, row in of} for of in (trained, selected)]
    assert len(movies[1]) > 1 and not movies[0] & movies[1]
    [stage] = [path.parent.name for path in (tmp_path / "store").glob("*/result.json")]
    _, told, _ = command("store", "show", stage, f"store={tmp_path / 'store'}")
    assert "selected on 25 % of emotiw/Train, by subject, seed 0" in told


def tiny_folder(tiny):
    return next(word.partition("=")[2] for word in tiny if word.startswith("runtime.faces.fer2013="))


def test_the_share_and_its_seed_are_in_the_key_and_none_leaves_it_as_it_was(tiny):
    keys = {}
    for words in (
        (),
        ("recipe.selection.share=0",),
        ("recipe.selection.seed=1", "recipe.selection.share=0"),
        ("recipe.selection.seed=1",),
    ):
        keys[words] = run(tiny, "plan=emotiw", *words).jobs[-1].own
    tenth, none, also_none, other = keys.values()
    assert none.key == also_none.key and len({tenth.key, none.key, other.key}) == 3
    assert "selection" not in none.recipe and tenth.recipe["selection"] == {"share": 0.25, "seed": 0}
    assert [of.selected_on for of in none.faces] == [("Val",)]


def test_seeds_of_a_row_are_selected_on_the_same_faces(tiny, fed):
    for seed in (0, 1):
        run(tiny, "plan=emotiw", f"recipe.seed={seed}")
    assert fed[0] == fed[1]


def test_faces_that_a_stage_before_was_trained_on_are_no_selection(tiny, tmp_path):
    first = run(tiny, "plan=emotiw", "recipe.selection.share=0")
    weights = shutil.copy(first.jobs[-1].folder.weights, tmp_path / "w.safetensors")
    with pytest.raises(
        ConfigError, match=r"selected on 25 % of emotiw/Train, seed 0, but a stage before it was trained"
    ):
        run(tiny, "plan=emotiw", f"recipe.backbone.weights={weights}")
    held = run(tiny, "plan=emotiw", "recipe.seed=3")
    weights = shutil.copy(held.jobs[-1].folder.weights, tmp_path / "v.safetensors")
    assert run(tiny, "plan=emotiw", f"recipe.backbone.weights={weights}").trained == 1, (
        "the same share, held out before too"
    )


def test_faces_of_which_nobody_kept_whose_they_are(tiny, tmp_path, faces_folder):
    older = shutil.copytree(faces_folder / "emotiw", tmp_path / "older")
    manifest = read_document(older / "manifest.json")
    del manifest["files"]["columns.npy"], manifest["splits"], manifest["subjects"]
    write_document(older / "manifest.json", manifest)
    (older / "columns.npy").unlink()
    words = ["plan=emotiw", f"runtime.faces.emotiw={older}"]
    with pytest.raises(FacesError, match=r"older fer_transfer prepared them.*replace=true"):
        run(tiny, *words)
    assert run(tiny, *words, "recipe.selection.share=0").trained == 1


def test_shares_that_are_none(tiny):
    with pytest.raises(ConfigError, match=r"recipe\.selection\.share to be 0, or 0\.001 to 0\.9, but got 1"):
        run(tiny, "plan=emotiw", "recipe.selection.share=1")


@pytest.mark.cluster
def test_two_processes_hold_out_what_one_does(tiny, tmp_path):
    words = [*STAGE, "recipe.selection.share=0.25", "recipe.epochs=1"]
    with torchrun(2, tmp_path, *tiny, *words, f"runtime.store={tmp_path / 'two'}") as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    one = train(compose("train", [*tiny, *words, f"runtime.store={tmp_path / 'one'}"])).jobs[-1].folder
    check_equal(finished(tmp_path / "two"), one.path)
