import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from starting import run

from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import Detections, ViolaJones
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS, UNLABELLED, LabelSet
from fer_transfer.releases.sfew import SFEWRelease
from fer_transfer.releases.sfew_layout import movie_of

# Where each class's and the unlabelled pictures go, in the layouts met.
LAYOUTS = {
    "class folders": ("Train/{0}", "Val/{0}", "Test"),
    "named folders": ("Train_SFEW_2_0/{0}", "Val_SFEW_2_0/{0}", "Test_SFEW_2_0"),
    "nested twice": ("Final_SFEW_2_Train/{0}/{0}", "Final_SFEW_2_Val/{0}/{0}", "Final_SFEW_2_Test"),
    "a folder above": ("sfew/Train/{0}", "sfew/Val/{0}", "sfew/Test"),
    "a misleading folder above": ("test_data/Train/{0}", "test_data/Val/{0}", "test_data/Test"),
    "a folder below": ("Train/Train/{0}", "Val/Val/{0}", "Test/Images"),
    "aligned": ("Train/Train_Aligned_Faces/{0}", "Val/Val_Aligned_Faces/{0}", "Test/Test_Aligned_Faces"),
}


class Never:
    """A detector that finds nothing, and counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    def detect(self, frame):
        self.asked += 1
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32))

    def settings(self):
        return {"detector": "never"}


class Fixed(Never):
    """A detector that always finds two boxes."""

    def detect(self, frame):
        boxes = np.array([[0, 0, 4, 4], [8, 4, 16, 16]], np.float32)
        return Detections(boxes, np.array([0.9, 0.5], np.float32))


def _picture(seed, shape=(40, 60, 3)):
    return np.random.default_rng(seed).integers(40, 200, shape, dtype=np.uint8)


def _write(path: Path, picture) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def _make(root: Path, layout: str, shape=(40, 60, 3)) -> Path:
    seed = 0
    for split, place in zip(("Train", "Val", "Test"), LAYOUTS[layout], strict=True):
        for label in EXPRESSIONS:
            seed += 1
            name = f"{split}Movie_000519240_{seed:08d}.png"
            _write(root / place.format(label) / name, _picture(seed, shape))
    return root


def _pipeline(detector, size=16, stretch=True):
    return FacePipeline(detector, None, BoxCrop(size, stretch), choose="largest")


def _read(path, detector=None, size=16, stretch=True, **options):
    release = SFEWRelease(str(path), _pipeline(detector or Fixed(), size, stretch), **options)
    count = release.scan(lambda done, of: None)
    faces = list(release.faces(FrameReader()))
    assert count == len(faces)
    return release, faces


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_every_layout_gives_the_same_faces(tmp_path, layout, kind):
    root = _make(tmp_path / "release", layout)
    (root / "Thumbs.db").write_bytes(b"")
    (root / "readme.txt").write_text("x")
    path = _packed(root, tmp_path, kind)
    release, faces = _read(path)
    assert [face.split for face in faces] == ["Train"] * 7 + ["Val"] * 7 + ["Test"] * 7
    for split in ("Train", "Val"):
        by_id = {face.id: face.label for face in faces if face.split == split}
        first = 1 if split == "Train" else 8
        assert by_id == {f"{split}Movie_000519240_{first + i:08d}.png": i for i in range(7)}
    assert {face.label for face in faces[14:]} == {UNLABELLED}
    assert release.report()["ignored"] == {".txt": 1}
    aligned = release.report()["pictures"] != "frames"
    assert aligned == (layout == "aligned")


def _packed(root, tmp_path, kind):
    if kind == "folder":
        return root
    path = tmp_path / f"release.{kind}"
    files = sorted(file for file in root.rglob("*") if file.is_file())
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(root))
    else:
        with tarfile.open(path, "w:gz") as archive:
            for file in files:
                archive.add(file, file.relative_to(root))
    return path


def test_a_face_is_the_largest_box_grey_and_stretched(tmp_path):
    root = _make(tmp_path, "class folders")
    _, faces = _read(root)
    _, plain = _read(root, stretch=False)
    file = root / "Train" / "Angry" / "TrainMovie_000519240_00000001.png"
    colour = cv2.imread(str(file)).astype(float)
    grey = colour @ (0.114, 0.587, 0.299)
    np.testing.assert_allclose(plain[0].pixels, grey[4:20, 8:24], atol=1)
    assert faces[0].pixels.min() == 0 and faces[0].pixels.max() == 255
    assert all(face.found for face in faces)


def test_pictures_of_one_size_are_told_to_be_faces_already(tmp_path):
    root = _make(tmp_path, "class folders")
    for i in range(3):
        _write(root / "Train" / "Happy" / f"TrainMovie_000519241_{i:08d}.png", _picture(90 + i, (181, 143, 3)))
    detector = Never()
    release, faces = _read(root, detector=detector, aligned_size=[181, 143])
    assert detector.asked == 21 and sum(face.found for face in faces) == 3
    assert release.report()["kinds"] == {"lost": 21, "bypassed": 3}
    assert any(line.startswith("mixed: 3 pictures are taken for faces already") for line in release.summary())


def test_lost_faces_are_kept_with_the_central_square(tmp_path):
    root = _make(tmp_path, "class folders")
    release, faces = _read(root, detector=Never(), size=40, stretch=False)
    assert len(faces) == 21 and not any(face.found for face in faces)
    picture = cv2.imread(str(root / "Train/Angry/TrainMovie_000519240_00000001.png"))
    np.testing.assert_array_equal(faces[0].pixels, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[:, 10:50])
    assert any(line.startswith("Val: found 0 of 7 (lost: Angry 1 of 1, ") for line in release.summary())
    assert release.report()["lost"]["Test"] == {"unlabelled": 7}


def test_aligned_faces_are_not_searched(tmp_path):
    detector = Never()
    _, faces = _read(_make(tmp_path, "aligned", (181, 143, 3)), detector=detector)
    assert detector.asked == 0 and all(face.found for face in faces)


def test_frames_and_aligned_faces_are_never_mixed(tmp_path):
    _make(tmp_path, "aligned")
    _make(tmp_path, "class folders")
    release, faces = _read(tmp_path)
    assert len(faces) == 21 and "release.aligned=true" in "\n".join(release.summary())
    release, faces = _read(tmp_path, aligned=True, detector=Never())
    assert len(faces) == 21 and all(face.found for face in faces)
    for file in (tmp_path / "Val").glob("[A-Z]*/*.png"):
        if "Aligned" not in str(file):
            file.unlink()
    assert _read(tmp_path)[0].report()["pictures"] == "the organisers' aligned faces"
    with pytest.raises(ReleaseError, match=r"Expected frames in every split.*Val: 0 frames, 7 aligned"):
        _read(tmp_path, aligned="false")


def test_movies_in_two_splits_are_reported(tmp_path):
    root = _make(tmp_path, "class folders")
    _write(root / "Val" / "Happy" / "TrainMovie_000519999_00000001.png", _picture(99))
    release, _ = _read(root)
    assert release.report()["movies in two splits"] == {"Train and Val": ["TrainMovie"]}
    assert "Train and Val: 1 movies in both (TrainMovie)" in release.summary()


def test_equal_names_still_give_distinct_ids(tmp_path):
    root = _make(tmp_path, "class folders")
    for label in ("Happy", "Sad"):
        _write(root / "Train" / label / "same.png", _picture(1))
    _, faces = _read(root)
    ids = [face.id for face in faces]
    assert len(set(ids)) == len(ids)
    assert {"Train/Happy/same.png", "Train/Sad/same.png"} <= set(ids)


def test_counts_are_compared_with_the_stated(tmp_path):
    release, _ = _read(_make(tmp_path, "class folders"), note="stand-in: noise")
    assert release.caveats() == ["stand-in: noise", "class counts differ from those stated for SFEW 2.0"]
    assert release.report()["differences"][-1] == "Test: 7 not 372"
    assert release.report()["differences"][0].startswith("Train: Angry 1 not 178, Disgust 1 not 66")


def test_class_folders_are_left_out_by_name(tmp_path):
    root = _make(tmp_path, "class folders")
    for number in range(3):
        _write(root / "Train" / "Contempt" / f"Train_0_{number}.png", _picture(number))
    release, faces = _read(
        root, leave_out=["contempt", "Disgust"], labels=LabelSet(tuple(set(EXPRESSIONS) - {"Disgust"}))
    )
    assert Counter(face.split for face in faces) == {"Train": 6, "Val": 6, "Test": 7}
    assert (
        release.report()["left out"] == {"Contempt": 3, "Disgust": 2}
        and "left out: Contempt 3, Disgust 2" in release.summary()
    )
    assert (
        release.settings()["leave_out"] == ["contempt", "Disgust"] and "without contempt, Disgust" in release.caveats()
    )
    assert not any("Disgust" in line for line in release.report()["differences"])
    assert "leave_out" not in SFEWRelease(str(root), _pipeline(Never())).settings()
    with pytest.raises(ConfigError, match=r"it holds no Contemp; it holds .*Happy 2"):
        _read(_make(tmp_path / "plain", "class folders"), leave_out=["Contemp"])


def test_test_may_be_absent(tmp_path):
    root = _make(tmp_path, "class folders")
    for file in (root / "Test").iterdir():
        file.unlink()
    release, faces = _read(root)
    assert len(faces) == 14 and "Test: not there, so no submission can be made" in release.summary()


def _unknown_class(root):
    _write(root / "Train" / "Contempt" / "a.png", _picture(1))


def _no_class(root):
    _write(root / "Train" / "a.png", _picture(1))


def _two_classes(root):
    _write(root / "Train" / "Happy" / "Sad" / "a.png", _picture(1))


def _empty_split(root):
    for file in (root / "Val").rglob("*.png"):
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_unknown_class, "Train/Contempt/a.png.*'Contempt'"),
        (_no_class, "Train/a.png without one"),
        (_two_classes, "both Happy and Sad"),
        (_empty_split, "Val has none"),
    ],
)
def test_bad_layouts_are_refused_by_the_scan(tmp_path, spoil, message):
    root = _make(tmp_path, "class folders")
    spoil(root)
    with pytest.raises(ReleaseError, match=message):
        SFEWRelease(str(root), _pipeline(Never())).scan(lambda done, of: None)


@pytest.mark.usefixtures("mesh_model")
def test_the_command_prepares_a_release_with_a_detector(tmp_path):
    root = _make(tmp_path / "release", "class folders")
    overrides = ["release=emotiw", f"release.path={root}", "pipeline.crop.size=32", f"out={tmp_path / 'faces'}"]
    done = run("prepare", *overrides, cwd=tmp_path, light=True)
    assert done.returncode == 0, done.stderr
    faces = open_faces(tmp_path / "faces")
    assert faces.name == "emotiw" and len(faces) == 21 and faces.pixels.shape[1:] == (32, 32)
    assert not faces.found.any()  # noise holds no face


def test_a_missing_path_and_a_bad_option_are_refused(tmp_path):
    with pytest.raises(ReleaseError, match="there is nothing"):
        SFEWRelease(str(tmp_path / "none"), _pipeline(Never())).scan(lambda done, of: None)
    with pytest.raises(ReleaseError, match="true, false or auto"):
        SFEWRelease(str(tmp_path), _pipeline(Never()), aligned="perhaps")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    ("spoil", "reason"), [("cut", "cut short"), ("text", "a text, not a picture"), ("empty", "empty")]
)
def test_unreadable_pictures_are_lost_and_named(tmp_path, suffix, spoil, reason):
    root = _make(tmp_path, "class folders")
    file = _write(root / "Train" / "Happy" / f"bad{suffix}", _picture(3))
    file.write_bytes({"cut": file.read_bytes()[:-40], "text": b"no picture at all", "empty": b""}[spoil])
    release, faces = _read(root)
    lost = [face for face in faces if not face.found]
    assert len(faces) == 22 and [face.id for face in lost] == [f"bad{suffix}"]
    assert (lost[0].pixels == 128).all()
    assert f"lost, unreadable: {reason}: 1 (Train/Happy/bad{suffix})" in release.summary()
    assert release.report()["lost"] == {"Train": {"Happy": 1}}


def test_a_release_without_one_readable_picture_is_refused(tmp_path):
    root = _make(tmp_path, "class folders")
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(ReleaseError, match=r"none of 21 can be read: Train/Angry.*\(unreadable: empty"):
        _read(root)


def test_inner_archives_are_pointed_out(tmp_path):
    (tmp_path / "Train.zip").write_bytes(b"x")
    with pytest.raises(ReleaseError, match=r"archives \(Train.zip\): unpack"):
        SFEWRelease(str(tmp_path), _pipeline(Never())).scan(lambda done, of: None)


def test_movie_names():
    assert movie_of("About_A_Boy_002232240_00000030.png") == "About_A_Boy"
    assert movie_of("test_0001.jpg") is None and movie_of("Spencer_Abraham_0015.jpg") is None


def test_the_stand_in_is_read(shared_data):
    pipeline = _pipeline(ViolaJones())
    release = SFEWRelease(str(shared_data / "sfew_like.zip"), pipeline, note="stand-in: LFW photographs")
    assert release.scan(lambda done, of: None) == 958 + 436 + 372
    counts = release.report()["counts"]
    assert {split: sum(classes.values()) for split, classes in counts.items()} == {
        "Train": 958,
        "Val": 436,
        "Test": 372,
    }
    assert counts["Train"]["Happy"] == 327 and counts["Val"]["Surprise"] == 85
    faces = release.faces(FrameReader())
    assert np.mean([next(faces).found for _ in range(60)]) > 0.95
