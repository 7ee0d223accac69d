"""fer-predict through its command: folders, videos, a camera that is not there, and what is written."""

import csv
import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from rich.console import Console
from trained import FER_ROW, ROW

import fer_transfer
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.document import read_document, write_document
from fer_transfer.inference import predicting
from fer_transfer.inference.asked import Asked
from fer_transfer.inference.video import video  # before a video is opened: FFmpeg is told to be quiet then
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.signals import Stopped


@pytest.fixture
def predict(trained, command):
    """Call fer-predict on the store: (exit code, stdout, stderr)."""
    return lambda *words: command("predict", f"store={trained.store}", *words)


@pytest.fixture(scope="module")
def film(trained, tmp_path_factory):
    """Twenty frames, five each of four faces, at ten a second."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (240, 192))
    for frame in sorted((trained.release / "Val").rglob("*.png"))[:4]:
        for _ in range(5):
            writer.write(cv2.imread(str(frame)))
    writer.release()
    return path


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_labelled_folder_is_scored_and_gets_the_stores_predictions(predict, trained, tmp_path):
    out = tmp_path / "out"
    code, stdout, stderr = predict(
        f"row={ROW}", "seeds=0", "calibrated=false", f"input={trained.release / 'Val'}", f"out={out}"
    )
    assert code == 0, stderr
    record = fer_transfer.open_store(trained.store).row(ROW).records[0]
    (scored,) = [of for of in record.predictions if of.split == "Val"]
    expected = Predictions.read(trained.store / scored.file, scored.sha256)
    got = Predictions.read(out / "predictions.csv")
    order = [[name.rpartition("/")[2] for name in got.ids].index(name) for name in expected.ids]
    np.testing.assert_allclose(got.probabilities[order], expected.probabilities, atol=1e-5)
    assert got.labels[order].tolist() == expected.labels.tolist()
    assert got.found[order].tolist() == expected.found.tolist()

    right, found = got.predicted == got.labels, got.found
    k, n = int(right[found].sum()), int(found.sum())
    assert f"{n} found faces: accuracy {100 * k / n:.1f} % ({k}/{n}, Wilson 95 %" in stdout
    assert f"all 14 labelled pictures: accuracy {100 * right.mean():.1f} %" in stdout
    assert "CAVEATS: emotiw: synthetic" in stdout and f"Written to {out}" in stdout
    assert json.loads((out / "scores.json").read_text())["scores"][0]["accuracy"]["correct"] == k
    matrix = np.array([[int(row[name]) for name in EXPRESSIONS] for row in rows(out / "confusion.csv")])
    assert matrix.sum() == n and np.trace(matrix) == k
    assert len(list((out / "pictures").rglob("*.jpg"))) == 14
    assert "CAVEATS: emotiw: synthetic" in (out / "about.txt").read_text()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".out")] == []


def test_the_drawing_is_on_the_face_and_says_what_it_is_worth(predict, trained, tmp_path):
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    assert predict(f"row={ROW}", f"input={path}", f"out={tmp_path / 'out'}")[0] == 0
    drawn = cv2.imread(str(tmp_path / "out/pictures" / f"{path.name}.jpg")).astype(int)
    changed = np.abs(drawn - cv2.imread(str(path))).max(axis=2) > 60
    (face,) = rows(tmp_path / "out/faces.csv")
    x, y, width, height = (round(float(face[key])) for key in ("x", "y", "width", "height"))
    assert changed[y, x : x + width].mean() > 0.8 and changed[y : y + height, x].mean() > 0.8
    assert changed[-14:, :60].any()  # the caveat
    assert predict(f"row={ROW}", f"input={path}", "annotate=false", f"out={tmp_path / 'bare'}")[0] == 0
    assert sorted(entry.name for entry in (tmp_path / "bare").iterdir()) == ["about.txt", "faces.csv", "faces.json"]


def test_what_spoke_for_an_expression_is_drawn_beside_the_face(predict, trained, tmp_path):
    out = tmp_path / "out"
    code, _, stderr = predict(f"row={ROW}", f"input={trained.release / 'Val'}", f"out={out}", "saliency=grad_cam")
    assert code == 0, stderr
    names = {path.relative_to(out / "saliency").as_posix() for path in (out / "saliency").rglob("*.jpg")}
    assert names == {f"{row['picture']}.{row['face']}.jpg" for row in rows(out / "faces.csv")} and len(names) == 14
    face, heat = np.split(cv2.imread(str(out / "saliency" / min(names))).astype(int)[:256], 2, axis=1)
    assert (
        np.ptp(face, axis=2).max() < 12 < 100 < np.ptp(heat, axis=2).max()
    )  # grey, and coloured where something spoke
    assert (out / "pictures").is_dir()


def test_csv_and_json_are_printed_alone(predict, trained):
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    code, stdout, _ = predict(f"row={ROW}", f"input={path}", "format=json")
    content = json.loads(stdout)
    assert code == 0 and content["model"]["members"][1]["seed"] == "1" and content["labels"] == list(EXPRESSIONS)
    code, stdout, stderr = predict(f"row={ROW}", f"input={path}", "format=csv")
    (line,) = csv.DictReader(stdout.splitlines())
    assert code == 0 and line["expression"] == content["pictures"][0]["faces"][0]["expression"]
    assert "CAVEATS: emotiw: synthetic" in stderr


def test_a_video_is_followed_smoothed_and_written(predict, film, tmp_path):
    plain = predict(f"row={ROW}", f"input={film}", f"out={tmp_path / 'plain'}")
    code, stdout, stderr = predict(
        f"row={ROW}", f"input={film}", "smooth=exponential", "smooth_seconds=0.2", f"out={tmp_path / 'smooth'}"
    )
    assert (plain[0], code) == (0, 0), stderr
    said = "probabilities are smoothed over time: exponential mean, time constant 0.2 s"
    assert said in stdout and said not in plain[1] and said in (tmp_path / "smooth/about.txt").read_text()
    assert said in json.loads((tmp_path / "smooth/faces.json").read_text())["notes"]
    before, after = rows(tmp_path / "plain/faces.csv"), rows(tmp_path / "smooth/faces.csv")
    assert [row["track"] for row in before] == [row["track"] for row in after] != []
    times = [float(row["time"]) for row in before]
    assert times == sorted(times) and times[-1] == pytest.approx(1.9, abs=0.05)
    expected, last = {}, {}
    for now, smooth in zip(before, after, strict=True):  # by the definition, face by face
        value, track, time = float(now["Happy"]), now["track"], float(now["time"])
        kept = np.exp(-(time - last[track]) / 0.2) if track in last else 0.0
        expected[track] = kept * expected.get(track, 0.0) + (1 - kept) * value
        last[track] = time
        assert float(smooth["Happy"]) == pytest.approx(expected[track], abs=1e-6)
    capture = cv2.VideoCapture(str(tmp_path / "smooth/film.mp4"))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (20, 10)


def test_a_video_that_ends_early_is_answered_as_far_as_it_goes(predict, film, tmp_path):
    data = film.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) * 6 // 10])
    code, stdout, stderr = predict(f"row={ROW}", f"input={tmp_path / 'cut.avi'}")
    assert code == 0 and "cut.avi ended early: " in stdout and "of the 20 frames" in stdout
    assert [line for line in stderr.splitlines() if "looking at" not in line] == []  # OpenCV's own words are not shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["row=emotiv/test_resnet", "input=."], "Did you mean 'emotiw/test_resnet'"),
        (["input=pictures"], "Expected row=NAME, but got none"),
        ([f"row={ROW}"], "but got neither"),
        ([f"row={ROW}", "input=pictures", "camera=0"], "but got input and camera"),
        ([f"row={ROW}", "input=nowhere"], "there is nothing"),
        ([f"row={ROW}", "input=texts"], "none of its 2 files is one"),
        ([f"row={ROW}", "input=broken.mp4"], "neither a picture nor a video"),
        ([f"row={ROW}", "input=broken.png"], "none of 1 can be read: broken.png (unreadable: "),
        ([f"row={ROW}", "camera=99"], "Expected a camera with number 99, but none opens"),
        ([f"row={ROW}", "camera=front"], "camera to be a number"),
        ([f"row={ROW}", "input=pictures", "out=texts"], "Expected a new folder for out"),
        ([f"row={ROW}", "input=pictures", "out=texts", "replace=true"], "is none that fer-predict wrote"),
        ([f"row={ROW}", "input=pictures", "smooth=window"], "Expected a video or a camera for smooth=window"),
        ([f"row={ROW}", "input=pictures", "smooth=gauss"], "none, exponential, window"),
        ([f"row={ROW}", "input=pictures", "faces=two"], "auto, all or one"),
        (
            [f"row={ROW}", "input=pictures", "saliency=lime", "out=new"],
            "grad_cam, occlusion, but got 'lime'. The same command",
        ),
        ([f"row={ROW}", "input=pictures", "saliency=true"], "Give out=FOLDER"),
        ([f"row={ROW}", "input=pictures", "format=xml"], "table, csv or json"),
        ([f"row={ROW}", "input=pictures", "seeds=[7]"], "that were run, 0, 1, or all"),
        ([f"row={ROW}", "input=pictures", "threds=2"], "Did you mean 'threads'"),
    ],
)
def test_what_cannot_be_is_one_line(predict, elsewhere, words, message):
    for name, content in {
        "texts/a.txt": b"x",
        "texts/b.txt": b"y",
        "broken.mp4": b"\0" * 999,
        "broken.png": b"\x89PNG",
    }.items():
        (elsewhere / name).parent.mkdir(exist_ok=True)
        (elsewhere / name).write_bytes(content)
    (elsewhere / "pictures").mkdir()
    cv2.imwrite(str(elsewhere / "pictures/wall.png"), np.full((80, 80, 3), 128, np.uint8))
    code, _, stderr = predict(*words)
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(errors) == 1 and message in errors[0] and "Traceback" not in stderr
    assert sorted(entry.name for entry in elsewhere.iterdir()) == ["broken.mp4", "broken.png", "pictures", "texts"]


def test_rows_are_averaged_and_pipelines_replaced(predict, trained):
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    code, stdout, stderr = predict(f"row=[{ROW},{FER_ROW}]", f"input={path}", "pipeline=box", "ten_crops=true")
    assert code == 0, stderr
    assert "mean of 3 networks (seeds 0, 1), ten crops" in stdout and "faces: by the pipeline that was given" in stdout


@pytest.mark.usefixtures("mesh_model")
def test_a_store_of_before_the_pipeline_was_kept_is_answered_and_told(trained, command, tmp_path):
    store = shutil.copytree(trained.store, tmp_path / "store")
    for path in (store / "submissions").glob("*.json"):
        content = read_document(path)
        for of in content["faces"].values():
            of.pop("pipeline", None)
        write_document(path, content)
    picture = next((trained.release / "Val").rglob("*.png"))
    code, stdout, stderr = command("predict", f"store={store}", f"row={ROW}", f"input={picture}")
    assert code == 0, stderr
    assert "assumed: cut by pipeline=aligned" in stdout + stderr


def test_a_camera_that_is_stopped_keeps_what_it_saw(trained, film, tmp_path, monkeypatch):
    source = video(film)
    source.kind, frames = "camera", source.pictures

    def stopped():
        for number, picture in enumerate(frames()):
            if number == 7:
                raise Stopped(2)
            yield picture

    source.pictures = stopped
    model = fer_transfer.open_store(trained.store).load(ROW, seeds=0)
    predicted = predicting.predict_into(model, source, Asked(out=str(tmp_path / "out")), Console(stderr=True))
    assert len(predicted.pictures) in (6, 7)  # one may still be searched
    assert (tmp_path / "out/camera.mp4").stat().st_size > 0 and len(rows(tmp_path / "out/faces.csv")) == len(
        predicted.pictures
    )


def test_help_fits_a_screen_and_waits_for_nothing_heavy(tmp_path):
    code = (
        "import sys; from fer_transfer.cli.predict import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'timm', 'cv2', 'numpy', 'hydra'} & set(sys.modules), 'slow'"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n  fer-predict ") == 5 and len(done.stdout.splitlines()) <= 40


def test_an_ensemble_of_a_study_goes_by_its_name(predict, trained, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text(
        "name: mine\ntitle: Mine\nreported: [{split: emotiw/Val, heading: Val}]\n"
        f"ensembles: {{both: {{rows: [{ROW}, {FER_ROW}]}}}}\n"
    )
    path = sorted((trained.release / "Val").rglob("*.png"))[0]
    words = ("study=mine", f"input={path}", "calibrated=false", "--config-dir", str(tmp_path))
    code, stdout, stderr = predict("row=both", "format=json", *words)
    assert code == 0, stderr
    content = json.loads(stdout)
    assert content["model"]["ensembles"][0].startswith(f"both: ensemble of {ROW} + {FER_ROW}")
    assert [member["seed"] for member in content["model"]["members"]] == ["0", "0"]
    code, stdout, stderr = predict("row=bth", *words)
    assert code == 1 and stderr.count("\n") == 1 and "Did you mean 'both'?" in stderr


def test_a_row_trained_on_the_landmarkers_faces(trained, shared_weights, command, monkeypatch, tmp_path):
    """Only the model that its faces were found with finds faces for it."""
    model = shared_weights / "face_landmarker_v2_with_blendshapes.task"
    faces, store = tmp_path / "faces", tmp_path / "store"
    given = "pipeline=mediapipe", f"pipeline.landmarker.model={model}"
    monkeypatch.setattr("fer_transfer.faces.prepare._processes", lambda workers: 0)  # none but this one
    fer_transfer.prepare(["release=emotiw", f"release.path={trained.release}", f"out={faces}", *given])
    words = [word for word in trained.overrides if not word.startswith(("runtime.store=", "runtime.faces.emotiw="))]
    fer_transfer.train(["plan=emotiw", *words, f"runtime.store={store}", f"runtime.faces.emotiw={faces}"])
    look = (
        f"store={store}",
        "row=emotiw/test_resnet",
        f"input={next((trained.release / 'Val').rglob('*.png'))}",
        "format=csv",
    )
    code, out, errors = command("predict", *look, f"detector_model={model}")
    assert code == 0 and ".png" in out, errors
    code, _, errors = command("predict", *look)
    assert code == 1 and "detector_model=FILE" in errors and "b261925d4aad" in errors
