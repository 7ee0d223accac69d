"""Expression from geometry: rows trained on what a landmarker tells of faces, of generated numbers, and ensembles with them."""

from itertools import count

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny import SPLITS, tiny_faces

import fer_transfer
from fer_transfer.backbones.face_geometry import blendshapes, frontal_points
from fer_transfer.config import plain
from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.geometry import POINTS, as_numbers, geometry_of
from fer_transfer.detection.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE, Landmarks
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError
from fer_transfer.export.network import networks_of
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.reports.report import load_report
from fer_transfer.reports.tables import plans_table
from fer_transfer.settings import compose
from fer_transfer.study import study_from

_DECAY = 0.02
_SHAPE = np.random.default_rng(7).normal(size=(POINTS, 3))


def _turned(rng, points):
    """Points as a camera sees them (y down, z away), in pixels, after a turn, and the pose that says which."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    pose = np.eye(4)
    pose[:3, :3] = turn
    return rng.uniform(50, 200) * (points @ turn.T) * (1, -1, -1) + rng.uniform(100, 300, 3), pose


def _geometry(rng, label):
    """Of a face whose movements and shape tell its label a little."""
    shapes = np.clip(rng.uniform(0, 0.5, 52) + 0.3 * (np.arange(52) % 7 == label), 0, 1)
    moved = _SHAPE + 0.3 * (np.arange(POINTS) % 7 == label)[:, None] + rng.normal(scale=0.2, size=_SHAPE.shape)
    points, pose = _turned(rng, moved)
    return geometry_of(points, shapes, pose)


def _write(folder, seed):
    """The tiny EmotiW faces, with geometry of those that are found."""
    rng = np.random.default_rng(seed)
    with FacesWriter(folder, "emotiw", (64, 64), sum(SPLITS["emotiw"].values())) as writer:
        writer.caveats = ["synthetic"]
        for face in tiny_faces("emotiw"):
            known = _geometry(rng, face.label) if face.found else None
            writer.add(face.pixels, face.id, face.split, face.label, face.found, geometry=known)


class Finder:
    """Finds one face in every frame, and tells of it the geometry of the next of some faces."""

    def __init__(self, geometry):
        self.geometry, self.next = geometry, count()
        self.points = np.zeros((POINTS, 2), np.float32)
        for places, point in ((RIGHT_EYE, (20, 30)), (LEFT_EYE, (44, 30)), (MOUTH, (32, 48))):
            self.points[list(places)] = point

    def find(self, frame):
        known = None if self.geometry is None else self.geometry[next(self.next)]
        return [Landmarks(self.points, 1.0, known)]

    def fit(self, frame, box):
        raise AssertionError("no detector before it")

    def settings(self):
        return {"landmarker": {"name": "drawn"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with faces and a store: two rows on geometry, one on pixels."""
    folder = tmp_path_factory.mktemp("geometry")
    _write(folder / "faces", 1)
    fer_transfer.train(_words(folder, "backbone=face_blendshapes"))
    fer_transfer.train(_words(folder, "backbone=face_points"))
    fer_transfer.train(_pixels(folder))
    return folder


def _where(folder):
    return [
        "plan=emotiw",
        f"runtime.store={folder / 'store'}",
        "runtime.progress=none",
        f"++runtime.faces={{emotiw: {folder / 'faces'}}}",
    ]


def _words(folder, *words):
    return [*_where(folder), "experiment=geometry", f"recipe.optimizer.weight_decay={_DECAY}", *words]


def _pixels(folder):
    small = ["recipe.backbone.name=test_resnet", "recipe.augment.resize=36", "recipe.augment.crop=32"]
    return [*_where(folder), "backbone=timm", *small, "recipe.epochs=1", "recipe.batch_size=32"]


def _features(name, faces, rows):
    numbers = torch.from_numpy(as_numbers(faces.geometry)[rows])
    return {"face_blendshapes": blendshapes, "face_points": frontal_points}[name](numbers).numpy()


@pytest.mark.parametrize("name", ["face_blendshapes", "face_points"])
def test_it_is_logistic_regression(made, name):
    faces = open_faces(made / "faces")
    train, val = (rows[faces.found[rows]] for rows in (faces.rows(["Train"]), faces.rows(["Val"])))
    assert not faces.found[faces.rows(["Train"])].all()  # of which nothing is known, and nothing is learnt
    scaler = StandardScaler().fit(_features(name, faces, train))
    by = LogisticRegression(C=1 / (len(train) * _DECAY), max_iter=5000, tol=1e-8)
    by.fit(scaler.transform(_features(name, faces, train)), faces.labels[train])
    expected = np.zeros((len(val), 7))
    seen = scaler.transform(_features(name, faces, val)) * np.sqrt(
        1 - 1 / len(train)
    )  # torch's deviation is over n - 1
    expected[:, by.classes_] = by.predict_proba(seen)

    row = fer_transfer.open_store(made / "store").row(f"emotiw/{name}")
    said = row.predictions("emotiw/Val", "pandas")
    got = said[list(faces.classes)].to_numpy()
    np.testing.assert_allclose(got, expected, atol=2e-3)
    right = int((expected.argmax(axis=1) == faces.labels[val]).sum())
    (score,) = [score for score in row.scores if score.split == "emotiw/Val"]
    assert (score.correct, score.count) == (right, len(val)) and right > len(val) / 2


def test_points_do_not_depend_on_the_pose():
    rng = np.random.default_rng(3)
    many = [_turned(rng, _SHAPE) for _ in range(4)]
    numbers = as_numbers(np.stack([geometry_of(points, np.zeros(52), pose) for points, pose in many]))
    seen = frontal_points(torch.from_numpy(numbers)).reshape(4, POINTS, 3).numpy()
    centred = _SHAPE - _SHAPE.mean(axis=0)
    expected = centred / np.sqrt((centred**2).sum(axis=1).mean())
    np.testing.assert_allclose(seen, np.broadcast_to(expected, seen.shape), atol=1e-3)


def test_it_is_a_row_like_any(made, command):
    row = fer_transfer.open_store(made / "store").row("emotiw/face_blendshapes")
    assert "a linear head on MediaPipe's blendshapes, no pixels" in row.caveats
    (used,) = row.records[0].lineage.stages[-1].faces
    faces = open_faces(made / "faces")
    assert used.trained_on == ("Train",) and used.geometry == faces.manifest["files"]["geometry.npy"]
    code, said, _ = command("train", *_words(made, "backbone=face_blendshapes", "runtime.progress=lines"))
    assert code == 0 and "in the store" in said  # nothing is trained again
    both = {"both": {"rows": ["emotiw/face_blendshapes", "emotiw/test_resnet"]}}
    report = load_report(made / "store", study_from(plain(compose("report").study) | {"ensembles": both}), 0.95)
    tables = {group.backbone: plans_table(group, report) for group in report.groups}
    assert set(tables) == {"face_blendshapes", "face_points", "test_resnet", "ensembles"}
    cells = {name: dict(zip((c.heading for c in of.columns), of.rows[0], strict=True)) for name, of in tables.items()}
    (score,) = [score for score in row.scores if score.split == "emotiw/Val"]
    assert cells["face_blendshapes"]["k/n\nours"] == f"{score.correct}/{score.count}"
    assert cells["face_blendshapes"]["95 % interval\nours"] == f"[{100 * score.low:.1f}, {100 * score.high:.1f}]"
    said = [
        fer_transfer.open_store(made / "store").row(name).predictions("emotiw/Val", "pandas")
        for name in both["both"]["rows"]
    ]
    mean = sum(of[list(faces.classes)] for of in said)
    assert cells["ensembles"]["k/n\nours"] == f"{(mean.idxmax(axis=1) == said[0]['label']).sum()}/{len(mean)}"
    assert not row.records[0].lineage.stages[-1].chose_an_epoch  # nothing was selected on what is reported


def test_a_store_with_it_is_whole_and_hands_it_on(made, command, tmp_path):
    assert command("store", "verify", f"store={made / 'store'}")[0] == 0
    code, _, error = command(
        "store", "export", "emotiw/face_points", f"out={tmp_path / 'row'}", f"store={made / 'store'}"
    )
    assert code == 0, error
    assert command("store", "merge", str(made / "store"), f"store={tmp_path / 'row'}")[0] == 0
    there, here = (
        fer_transfer.open_store(root).row("emotiw/face_points") for root in (made / "store", tmp_path / "row")
    )
    assert there.scores == here.scores and here.scores


def test_other_geometry_of_the_same_pixels_is_another_stage(made, tmp_path):
    _write(tmp_path / "faces", 2)
    assert open_faces(tmp_path / "faces").digest == open_faces(made / "faces").digest
    fer_transfer.train([*_where(tmp_path), *_words(made, "backbone=face_blendshapes")[len(_where(made)) :]])
    first, other = (
        fer_transfer.open_store(folder / "store").row("emotiw/face_blendshapes").records[0].lineage.stages[0]
        for folder in (made, tmp_path)
    )
    assert first.recipe == other.recipe and first.faces[0].prepared == other.faces[0].prepared
    assert first.key != other.key and first.faces[0].geometry != other.faces[0].geometry


def test_pictures_are_looked_at_alone_and_in_an_ensemble(made):
    store, faces = fer_transfer.open_store(made / "store"), open_faces(made / "faces")
    val = faces.rows(["Val"])
    val = val[faces.found[val]][:5]
    frames = np.repeat(faces.pixels[val][..., None], 3, axis=3)
    said = []
    for names in (["emotiw/face_points"], ["emotiw/test_resnet"], ["emotiw/face_points", "emotiw/test_resnet"]):
        pipeline = FacePipeline(None, Finder(faces.geometry[val]), Alignment(size=64))
        model = store.load(*names, pipeline=pipeline, calibrated=False, device="cpu")
        said.append(model.predict(frames, threads=1).probabilities)
        features = FacePipeline(None, Finder(faces.geometry[val]), Alignment(size=64))
        widths = {"emotiw/face_points": 3 * POINTS, "emotiw/test_resnet": 96}
        again = store.load(*names, pipeline=features, device="cpu").features(frames, threads=1)
        assert again.shape[1] == sum(widths[name] for name in names), again.shape
    row = store.row("emotiw/face_points").predictions("emotiw/Val", "pandas")
    np.testing.assert_allclose(said[0], row[list(faces.classes)].to_numpy()[:5], atol=1e-5)
    np.testing.assert_allclose(said[2], (said[0] + said[1]) / 2, atol=1e-6)


def test_what_has_no_geometry_is_told(made, command, faces_folder):
    def failed(name, *words):
        code, _, errors = command(name, *words)
        assert code == 1 and len(errors.splitlines()) == 1, errors
        return errors

    without = f"++runtime.faces={{emotiw: {faces_folder / 'emotiw'}}}"
    assert "pipeline=mediapipe" in failed("train", *_words(made), without)
    assert "Give augment=geometry" in failed("train", *_words(made, "augment=crop_mirror"))
    assert "Give augment=crop_mirror" in failed(
        "train", *_words(made, "backbone=timm", "recipe.backbone.name=test_resnet")
    )
    assert "Leave them out" in failed("train", *_words(made, "recipe.mixing.mixup=0.2"))
    model = fer_transfer.open_store(made / "store").load("emotiw/face_points", pipeline="box", device="cpu")
    with pytest.raises(ConfigError, match="sees geometry"):
        list(networks_of(model.model))
    for ask in (model.probabilities, model.features, model.saliency, lambda cut: model.predict(cut, faces="cut")):
        with pytest.raises(ConfigError, match="Give it pictures"):
            ask(np.zeros((1, 64, 64), np.uint8))
    blind = FacePipeline(None, Finder(None), Alignment(size=64))
    model = fer_transfer.open_store(made / "store").load("emotiw/face_points", pipeline=blind, device="cpu")
    with pytest.raises(ConfigError, match="pipeline=mediapipe"):
        model.predict(np.zeros((1, 64, 64, 3), np.uint8), threads=1)


def test_faces_without_geometry_are_not_scored_on(made, command, faces_folder, tmp_path):
    words = _words(made, "recipe.epochs=1", "runtime.progress=lines", f"runtime.store={tmp_path}")
    code, said, _ = command("train", *words, f"++runtime.faces.fer2013={faces_folder / 'fer2013'}")
    assert code == 0 and "not scored on fer2013, which has no geometry" in said
