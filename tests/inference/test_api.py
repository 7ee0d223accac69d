"""What ``import fer_transfer`` shows: rows by name, models of them, pictures in, expressions out."""

import importlib
import inspect
import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import cv2
import numpy as np
import pandas
import polars
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trained import FER_ROW, ROW, Trained

import fer_transfer
from fer_transfer.cli.demo import pipeline_at_hand
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import Detections
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError, ReleaseError, StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.document import read_document, write_document
from fer_transfer.inference.cutting import cutting_of
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.stages.record import read_record


def stored(trained: Trained, seed: str, split: str = "Val", row: str = ROW) -> Predictions:
    record = next(record for record in fer_transfer.open_store(trained.store).row(row).records if record.seed == seed)
    (scored,) = [of for of in record.predictions if (of.split, record.faces[of.faces].release) == (split, "emotiw")]
    return Predictions.read(trained.store / scored.file, scored.sha256)


def by_file(predicted) -> dict[str, np.ndarray]:
    return {face.picture.rpartition("/")[2]: face.probabilities for face in predicted}


@pytest.fixture(scope="module")
def store(trained):
    return fer_transfer.open_store(trained.store)


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, fer_transfer; heavy = {'torch', 'cv2', 'numpy', 'hydra', 'omegaconf', 'pytorch_lightning', 'PIL'}; "
        "print(sorted(heavy & set(sys.modules)), dir(fer_transfer) == sorted(fer_transfer.__all__))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[] True\n"


def test_every_public_name_is_there_and_says_what_it_is():
    for name in fer_transfer.__all__:
        assert getattr(fer_transfer, name) is not None
        assert name == "__version__" or name == "EXPRESSIONS" or getattr(fer_transfer, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'opens_store'"):
        fer_transfer.opens_store  # noqa: B018


def test_timm_is_not_told_of_wandb_and_others_are(monkeypatch):
    asks = sys.modules.get("timm.utils.summary") or importlib.import_module("timm.utils.summary")
    assert "import wandb" in inspect.getsource(asks) and "except ImportError" in inspect.getsource(asks)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    assert find_spec("wandb") is not None
    monkeypatch.setattr(asks.__spec__, "_initializing", True, raising=False)  # as while it is imported
    with pytest.raises(ImportError, match="goes without wandb"):
        find_spec("wandb")


def test_torchmetrics_is_not_told_of_matplotlib_in_a_command_and_others_are(monkeypatch):
    import torchmetrics

    importlib.import_module("fer_transfer.cli")
    assert version("matplotlib") and find_spec("matplotlib.pyplot") is not None
    monkeypatch.setattr(torchmetrics.__spec__, "_initializing", True, raising=False)  # as while it is imported
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    with pytest.raises(ModuleNotFoundError, match="goes without matplotlib"):
        find_spec("matplotlib")
    with pytest.raises(PackageNotFoundError):
        version("matplotlib")
    assert version("numpy") and find_spec("numpy") is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_the_frames_of_the_release_get_the_predictions_of_the_store(store, trained, threads):
    model = store.load(ROW, seeds=0, calibrated=False)
    predicted = model.predict(trained.release / "Val", faces="one", threads=threads)
    expected = stored(trained, "0")
    assert len(predicted) == len(expected) == 14
    got = by_file(predicted)
    np.testing.assert_allclose([got[name] for name in expected.ids], expected.probabilities, atol=1e-5)
    found = {face.picture.rpartition("/")[2]: face.found for face in predicted}
    assert [found[name] for name in expected.ids] == expected.found.tolist()
    assert 0 < expected.found.sum() < 14  # what stands in for a lost face is compared as well
    assert sorted(face.label for face in predicted) == sorted(expected.labels)


def test_seeds_are_averaged(store, trained):
    model = store.load(ROW, calibrated=False)
    expected = (stored(trained, "0").probabilities + stored(trained, "1").probabilities) / 2
    got = by_file(model.predict(trained.release / "Val", faces="one"))
    np.testing.assert_allclose([got[name] for name in stored(trained, "0").ids], expected, atol=1e-5)
    one = stored(trained, "0")
    right, count = int((expected.argmax(axis=1) == one.labels)[one.found].sum()), int(one.found.sum())
    (score,) = [score for score in model.about.scores if score.split == "emotiw/Val"]
    assert (score.correct, score.count) == (right, count)
    assert "mean of 2 networks (seeds 0, 1)" in model.about.lines()[0]
    assert f"({right}/{count} found faces" in "\n".join(model.about.lines())
    assert "CAVEATS: emotiw: synthetic" in "\n".join(model.about.lines())


def test_faces_that_are_cut_already_are_not_searched(store, trained):
    faces = open_faces(trained.faces / "emotiw")
    model = store.load(ROW, seeds=[0], calibrated=False)
    rows = faces.rows(["Val"])
    np.testing.assert_allclose(
        model.predict(np.asarray(faces.pixels[rows])).probabilities, stored(trained, "0").probabilities, atol=1e-5
    )
    assert model.features(np.asarray(faces.pixels[rows[:3]])).shape == (3, 96)


def test_ten_crops_are_an_option(store, trained):
    centre, ten = (store.load(ROW, seeds=0, evaluation=by) for by in ("centre", "ten_crops"))
    pixels = np.asarray(open_faces(trained.faces / "emotiw").pixels[:4])
    views = [centre.model.network(view) for view in centre.model.transform.ten_crops((torch.from_numpy(pixels),))]
    mean = np.mean([view.softmax(dim=1).detach().numpy() for view in views], axis=0)
    np.testing.assert_allclose(ten.probabilities(pixels), mean, atol=1e-5)
    assert not ten.about.scores and ten.about.temperature is None  # the store has none of ten crops
    assert "accuracy: not known" in "\n".join(ten.about.lines())
    assert "note: not calibrated: the store has no predictions made so" in ten.about.lines()


def test_a_linear_probe_takes_five_lines(trained):
    photographs, store = trained.release / "Val", trained.store
    # what a user of scikit-learn writes
    model = fer_transfer.open_store(store).load("emotiw/test_resnet")
    features = model.features(photographs)
    labels = [face.label for face in model.predict(photographs, faces="one")]
    probe = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels)
    assert probe.score(features, labels) > 0.9 and features.dtype == np.float32 and features.shape == (14, 192)


def test_a_row_trained_on_cut_faces_is_fed_as_it_was_scored(store, trained):
    model = store.load(FER_ROW, calibrated=False)
    assert "it was scored on; it was trained on faces as they were released" in model.about.cutting
    got = by_file(model.predict(trained.release / "Val", faces="one"))
    expected = stored(trained, "0", row=FER_ROW)
    np.testing.assert_allclose([got[name] for name in expected.ids], expected.probabilities, atol=1e-5)


@pytest.mark.usefixtures("mesh_model")
def test_a_record_of_before_the_pipeline_was_kept_is_said_to_be_assumed(store, trained, tmp_path):
    record = store.row(ROW).records[0]
    assert cutting_of([record]).settings == open_faces(trained.faces / "emotiw").pipeline
    content = read_document(trained.store / "submissions" / f"{record.identity}.json")
    for of in content["faces"].values():
        del of["pipeline"]
    write_document(tmp_path / f"{record.identity}.json", {k: v for k, v in content.items() if k != "sha256"})
    assert cutting_of([read_record(tmp_path / f"{record.identity}.json")]).said.startswith(
        "assumed: cut by pipeline=aligned"
    )


def test_a_stage_is_loaded_by_its_key(store, trained):
    key = store.row(ROW).records[0].lineage.stages[-1].key
    model = store.load(key[:8], calibrated=False)
    assert "cut as the emotiw faces" in model.about.cutting
    pixels = np.asarray(open_faces(trained.faces / "emotiw").pixels[:4])
    np.testing.assert_array_equal(
        model.probabilities(pixels), store.load(ROW, seeds=0, calibrated=False).probabilities(pixels)
    )


def test_several_rows_are_one_ensemble(store, trained):
    model = store.load(ROW, FER_ROW, calibrated=False, weights=[3, 1])
    pixels = np.asarray(open_faces(trained.faces / "emotiw").pixels[:4])
    each = [store.load(name, calibrated=False).probabilities(pixels) for name in (ROW, FER_ROW)]
    np.testing.assert_allclose(model.probabilities(pixels), 0.75 * each[0] + 0.25 * each[1])
    assert [round(weight, 3) for weight in model.about.weights] == [0.375, 0.375, 0.25]
    assert "note: not calibrated: the networks share no selection split" in store.load(ROW, FER_ROW).about.lines()


class Other:
    """A model of another label set."""

    name, labels = "valence", ("Low", "High")

    def probabilities(self, faces):
        return np.full((len(faces), 2), 0.5)


def test_label_sets_are_not_mixed(store):
    with pytest.raises(ConfigError, match="valence has Low, High"):
        fer_transfer.Ensemble([store.load(ROW, seeds=0).model, Other()])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("emotiv/test_resnet", "Did you mean 'emotiw/test_resnet'"),
        ("sub3", "Rows there: emotiw/test_resnet, fer28/test_resnet"),
        ("emotiw/test_resnet/7", "There is no finished row"),
    ],
)
def test_a_row_that_was_not_run_is_answered_with_the_nearest(store, name, message):
    with pytest.raises(StoreError, match=message):
        store.load(name)


def test_a_list_of_rows_is_told_how_to_be_given(store):
    with pytest.raises(ConfigError, match=r"each an argument of its own: load\('a', 'b'\), but got \['emotiw"):
        store.load(["emotiw/test_resnet", ROW])


def test_seeds_that_were_not_run_are_named(store):
    assert store.load("emotiw/test_resnet/1").about.members[0].seed == "1"
    with pytest.raises(StoreError, match="that were run, 0, 1, or all, but got 5"):
        store.load(ROW, seeds=[0, 5])


def test_the_table_of_a_store_is_a_data_frame(store):
    frame = store.frame("pandas")
    lines = frame[(frame.row == ROW) & (frame.split == "emotiw/Val")]
    assert lines.faces.tolist() == [13] and lines.seeds.tolist() == [2] and "synthetic" in lines.caveats.iloc[0]
    with pytest.raises(ConfigError, match="pandas or polars"):
        store.frame("arrow")


def test_what_a_row_said_of_each_face_is_a_data_frame(store, trained):
    frame = store.row(ROW).predictions("emotiw/Val", "pandas")
    seeds = [stored(trained, seed).only_found() for seed in ("0", "1")]
    mean = (seeds[0].probabilities + seeds[1].probabilities) / 2
    np.testing.assert_allclose(frame[list(EXPRESSIONS)].to_numpy(), mean)
    assert frame["face"].tolist() == seeds[0].ids.tolist()
    assert frame["label"].tolist() == [EXPRESSIONS[label] for label in seeds[0].labels]
    assert frame["expression"].tolist() == [EXPRESSIONS[said] for said in mean.argmax(axis=1)]
    assert store.row(ROW).predictions("emotiw/Test", "pandas")["label"].isna().all()
    with pytest.raises(StoreError, match=r"one of .*emotiw/Val.*, but got 'emotiw/Vale'"):
        store.row(ROW).predictions("emotiw/Vale")


@pytest.mark.usefixtures("mesh_model")
def test_faces_are_made_from_python(trained, capfd):
    words = ["release=emotiw", f"release.path={trained.release}", f"out={trained.faces / 'emotiw'}"]
    assert fer_transfer.prepare(words) == trained.faces / "emotiw"  # are there
    assert "already holds these faces" in "".join(capfd.readouterr())
    assert fer_transfer.face_pipeline().settings() == open_faces(trained.faces / "emotiw").pipeline


def test_polars_reads_what_pandas_reads(store, trained):
    pictures = store.load(ROW).predict(trained.release / "Val")  # some without a face, all of a labelled folder
    for made in (store.frame, pictures.frame):
        ours, theirs = made("polars"), made("pandas")
        assert isinstance(ours, polars.DataFrame) and len(ours) > 5
        pandas.testing.assert_frame_equal(pandas.DataFrame(ours.to_dict(as_series=False)), theirs)


def test_what_is_not_installed_is_said(monkeypatch, store):
    monkeypatch.setattr("fer_transfer.inference.frames.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        store.frame()


def test_a_face_says_where_it_is_and_csv_and_json_agree(store, trained, tmp_path):
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    predicted = store.load(ROW).predict(path)
    (face,) = predicted
    assert face.pixels.shape == (256, 256)
    if not pipeline_at_hand():  # the row's frames were aligned: the mesh is there
        assert face.landmarks.shape == (468, 2) and face.fit > 0.3
        x, y, width, height = face.box
        assert ((face.eyes > [x, y]) & (face.eyes < [x + width, y + height])).all()
    predicted.to_csv(tmp_path / "faces.csv")
    content = json.loads(predicted.to_json())
    (line,) = pandas.read_csv(tmp_path / "faces.csv").to_dict("records")
    told = content["pictures"][0]["faces"][0]
    assert line["expression"] == told["expression"] == face.expression
    assert [line[label] for label in EXPRESSIONS] == pytest.approx(face.probabilities.tolist(), abs=1e-7)
    assert list(told["probabilities"].values()) == face.probabilities.tolist()
    assert predicted.frame("pandas").iloc[0].picture == path.name


def test_names_of_files_are_no_formulas(store, trained, tmp_path):
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    (tmp_path / "=cmd|' C'!A0.png").write_bytes(path.read_bytes())
    text = store.load(ROW, seeds=0).predict(tmp_path).to_csv()
    assert text.splitlines()[1].startswith("'=cmd|")


def test_pictures_without_a_face_are_told(store, tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((80, 80, 3), 128, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    model = store.load(ROW, seeds=0)
    predicted = model.predict(tmp_path)
    assert len(predicted) == 0 and predicted.probabilities.shape == (0, 7)
    assert [picture.reason.partition(":")[0] for picture in predicted.pictures] == ["unreadable", "no face found"]
    assert [line.split(",")[4] for line in predicted.to_csv().splitlines()[1:]] == ["0", "0"]
    assert len(model.predict(tmp_path, faces="one")) == 2  # a stand-in each, and said so
    assert model.features(tmp_path / "wall.png").shape == (1, 96)


class Grid:
    """A detector of boxes in rows, a thousand of them."""

    def detect(self, frame):
        across, down = np.meshgrid(np.arange(40), np.arange(25))
        boxes = np.stack([across.ravel() * 16, down.ravel() * 16, *np.full((2, 1000), 16)], axis=1).astype(np.float32)
        return Detections(boxes, np.full(1000, 0.5, np.float32))

    def settings(self):
        return {"detector": {"name": "grid"}}


def test_a_thousand_faces_are_a_thousand_rows(store):
    frame = np.random.default_rng(0).integers(0, 255, (400, 640, 3), dtype=np.uint8)
    model = store.load(ROW, seeds=0, pipeline=FacePipeline(Grid(), None, BoxCrop(32), choose="largest"))
    predicted = model.predict(frame)
    assert len(predicted) == 1000 and np.allclose(predicted.probabilities.sum(axis=1), 1)
    assert predicted[0].box.tolist() == [0, 0, 16, 16] and predicted[999].number == 999


def test_arrays_are_rgb(store, trained):
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    frame = cv2.imread(str(path))
    model = store.load(ROW, seeds=0)
    expected = model.predict(path).probabilities
    np.testing.assert_allclose(model.predict(frame[..., ::-1]).probabilities, expected)
    np.testing.assert_allclose(
        model.predict([frame[..., ::-1]] * 2).probabilities, np.repeat(expected, 2, axis=0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.jpg", "there is nothing"),
        ([np.zeros((4, 4, 3))], r"number 0 is float64 \[4, 4, 3\]"),
        (np.zeros((4, 4), np.uint8), "number 0 is"),
    ],
)
def test_what_is_no_picture_is_said(store, given, message):
    with pytest.raises(ReleaseError, match=message):
        store.load(ROW, seeds=0).predict(given)


def test_a_directory_of_texts_is_said(store, tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match="but it is empty"):
        store.load(ROW, seeds=0).predict(tmp_path / "empty")
    with pytest.raises(ReleaseError, match=r"none of its 4 files is one \(first: a.txt, b.txt, c.txt\)"):
        store.load(ROW, seeds=0).predict(tmp_path)


def test_plans_are_composed_and_run_from_python(trained):
    plan = fer_transfer.compose_plan(["plan=fer28_emotiw", "recipe.epochs=3"])
    assert [(stage.name, stage.recipe.epochs) for stage in plan.stages] == [("fer", 3), ("emotiw", 3)]
    row = fer_transfer.train(["plan=emotiw", *trained.overrides])  # is in the store
    assert (row.name, row.seeds) == (ROW, ("0", "1"))
    with pytest.raises(ConfigError, match=r"Did you mean 'recipe\.epochs'"):
        fer_transfer.compose_plan(["+recipe.epoch=3"])
    with pytest.raises(ConfigError, match="a whole plan"):
        fer_transfer.train(["stage=emotiw"])


def test_there_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="no such folder"):
        fer_transfer.open_store(tmp_path / "store")


STUDY = """\
name: mine
title: Mine
reported: [{split: emotiw/Val, over: found, heading: Val}]
grid: {plan: [emotiw, fer28]}
ensembles:
  both: {rows: [emotiw, fer28/test_resnet]}
  none: {rows: [emotiw, sub9]}
  fit: {rows: [emotiw, fer28], weights: fitted}
"""


@pytest.fixture(scope="module")
def with_ensembles(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "mine.yaml"
    path.write_text(STUDY)
    return fer_transfer.open_store(trained.store, study=path)


def test_an_ensemble_of_the_study_is_a_row(with_ensembles, trained):
    row, model = with_ensembles.row("both"), with_ensembles.load("both", calibrated=False)
    assert row.seeds == ("0",) and row in with_ensembles.rows() and row.weights == (0.5, 0.5)
    expected = (stored(trained, "0").probabilities + stored(trained, "0", row=FER_ROW).probabilities) / 2
    pixels = np.asarray(open_faces(trained.faces / "emotiw").pixels[open_faces(trained.faces / "emotiw").rows(["Val"])])
    np.testing.assert_allclose(model.probabilities(pixels), expected, atol=1e-5)
    one = stored(trained, "0")
    right = int((expected.argmax(axis=1) == one.labels)[one.found].sum())
    (score,) = [score for score in row.scores if score.split == "emotiw/Val"]
    assert score.correct == right and score in model.about.scores
    told = "both: ensemble of emotiw/test_resnet + fer28/test_resnet (without seed 1, which not all have): mean of"
    assert told in "\n".join(model.about.lines()) and model.about.to_json()["ensembles"][0].startswith(told)
    frame = with_ensembles.frame("pandas")
    assert frame[(frame.row == "both") & (frame.split == "emotiw/Val")].correct.tolist() == [right]


def test_an_ensemble_counts_in_another_as_its_weights_say(with_ensembles):
    model = with_ensembles.load("both", FER_ROW, weights=[1, 1], calibrated=False)
    assert [round(weight, 3) for weight in model.about.weights] == [0.25, 0.25, 0.5]


def test_an_ensemble_that_cannot_be_made_is_an_error_of_who_asks_for_it(with_ensembles, trained):
    with pytest.raises(StoreError, match="Ensemble 'none': There is no finished row 'sub9'"):
        with_ensembles.load("none")
    with pytest.raises(
        StoreError, match="one selection split that all of its rows have predictions of, but got emotiw"
    ):
        with_ensembles.row("fit")
    assert len([text for text in with_ensembles.problems if text.startswith("Ensemble")]) == 2
    with pytest.raises(StoreError, match="Did you mean 'both'"):
        with_ensembles.row("bot")
    with pytest.raises(ConfigError, match=r"no study 'ng2051'\. Did you mean 'ng2015'"):
        fer_transfer.open_store(trained.store, study="ng2051")
    assert len(fer_transfer.open_store(trained.store, study="ng2015").rows()) == 2


def test_rows_that_know_the_same_pictures_from_other_crops_make_an_ensemble(trained, tmp_path):
    """From a release prepared twice to the score; on pictures, which one pipeline cuts, it is refused."""
    words = ["release=emotiw", f"release.path={trained.release}", *pipeline_at_hand(), "pipeline.crop.stretch=false"]
    fer_transfer.prepare([*words, f"out={tmp_path / 'other'}", "workers=1"])
    shutil.copytree(trained.store, tmp_path / "store")
    own = [f"runtime.store={tmp_path / 'store'}", f"runtime.faces.emotiw={tmp_path / 'other'}"]
    fer_transfer.train(["plan=emotiw", "plan.name=other", *trained.overrides, *own])
    study = tmp_path / "mine.yaml"
    study.write_text(STUDY.replace("fer28/test_resnet]", "other]"))
    store = fer_transfer.open_store(tmp_path / "store", study=study)
    row = store.row("both")
    said = [
        Predictions.read(store.path / of.file, of.sha256)
        for record in row.records
        for of in record.predictions
        if of.split == "Val"
    ]
    mean = sum(of.probabilities for of in said) / 2
    (score,) = [score for score in row.scores if score.split == "emotiw/Val"]
    assert len(said) == 2 and not np.array_equal(*(of.probabilities for of in said))
    assert score.correct == int((mean.argmax(axis=1) == said[0].labels)[said[0].found].sum())
    assert "emotiw from 2 preparations" in row.ensemble
    with pytest.raises(
        ConfigError, match="Expected rows whose faces were cut alike, but emotiw/test_resnet and other/"
    ):
        store.load("both")
