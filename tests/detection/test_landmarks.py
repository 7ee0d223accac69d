import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.landmarks import LEFT_EYE, RIGHT_EYE, FaceMesh, Landmarks, around
from fer_transfer.errors import ConfigError
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person


@pytest.fixture(scope="module")
def mesh(mesh_model):
    return FaceMesh()


def _portrait(seed: int, scale=60.0, roll=0.0):
    """A drawn face, the box around it and its eyes, the picture's left one first."""
    rng = np.random.default_rng(seed)
    picture, centre = np.full((400, 480, 3), 90, np.uint8), (240.0, 160.0)
    eyes = draw_face(picture, random_person(rng), random_muscles(rng, 6), Pose(centre, scale, roll=roll))
    side = 2.4 * scale
    middle = np.array(centre) + 0.55 * scale * np.array([-np.sin(roll), np.cos(roll)])
    return picture, np.array([*(middle - side / 2), side, side]), eyes


def _errors(eyes, truth):
    return np.hypot(*(eyes - truth).T) / np.hypot(*(truth[1] - truth[0]))


@pytest.mark.parametrize("roll", [-0.5, 0.0, 0.5])
def test_the_eyes_of_drawn_faces_are_met(mesh, roll):
    errors = []
    for seed in range(6):
        frame, box, truth = _portrait(seed, roll=roll)
        fit = mesh.fit(frame, box)
        assert fit.points.shape == (468, 2) and fit.points.dtype == np.float32
        assert fit.score > 0.3 and not fit.mirrored
        errors.append(_errors(fit.eyes, truth).max())
    assert np.median(errors) < 0.12


def test_nothing_fits_to_nothing(mesh):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for frame in (np.full((200, 200, 3), 128, np.uint8), noise):
        assert mesh.fit(frame, np.array([50, 50, 100, 100])).score < 0.05


def test_eyes_are_means_of_six_points_and_the_right_one_comes_first():
    points = np.zeros((468, 2), np.float32)
    points[list(RIGHT_EYE)] = [[8, 5], [9, 4], [11, 4], [12, 5], [11, 6], [9, 6]]
    points[list(LEFT_EYE)] = [[18, 5], [19, 4], [21, 4], [22, 5], [21, 6], [19, 6]]
    np.testing.assert_allclose(Landmarks(points, 1.0).eyes, [[10, 5], [20, 5]])


def test_swapped_sides_are_told(mesh):
    frame, box, _ = _portrait(0)
    fit = mesh.fit(frame, box)
    swapped = fit.points.copy()
    swapped[list(RIGHT_EYE + LEFT_EYE)] = fit.points[list(LEFT_EYE + RIGHT_EYE)]
    assert Landmarks(swapped, 1.0).mirrored
    assert Landmarks(fit.points * np.float32([-1, 1]), 1.0).mirrored
    assert not Landmarks(-fit.points, 1.0).mirrored  # turned by half a turn
    assert Landmarks(np.zeros((468, 2), np.float32), 1.0).mirrored  # no shape at all


def _shift(mesh, frame, box):
    """By how much of e2e the eyes move, [2], when the frame is mirrored and the landmarks mirrored back."""
    width = frame.shape[1]
    other = mesh.fit(np.ascontiguousarray(frame[:, ::-1]), np.array([width - box[0] - box[2], *box[1:]]))
    eyes = mesh.fit(frame, box).eyes
    mirrored = (other.eyes * [-1, 1] + [width - 1, 0])[::-1]
    assert np.abs(mirrored - eyes).max() < 0.15 * np.hypot(*(eyes[1] - eyes[0]))
    return (mirrored - eyes).mean(0) / np.hypot(*(eyes[1] - eyes[0]))


def test_a_mirrored_frame_gives_mirrored_landmarks(mesh):
    shifts = [_shift(mesh, *_portrait(seed)[:2]) for seed in range(8)]
    assert np.abs(np.median(shifts, 0)).max() < 0.03


def test_real_faces_have_no_side(mesh, shared_data):
    detector, shifts = ViolaJones(smallest=0.3), []
    with zipfile.ZipFile(shared_data / "sfew_like.zip") as archive:
        for name in [name for name in archive.namelist() if name.endswith(".jpg")][::60]:
            frame = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
            shifts += [_shift(mesh, frame, box) for box in detector.detect(frame).boxes[:1]]
    assert len(shifts) > 25 and np.abs(np.median(shifts, 0)).max() < 0.008  # 0.014 without the correction


def test_enlarged_and_moved_frames_give_the_same_face(mesh):
    frame, box, _ = _portrait(3)
    eyes = mesh.fit(frame, box).eyes
    twice = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    five = cv2.resize(frame, None, fx=5, fy=5, interpolation=cv2.INTER_LINEAR)  # the model sees it shrunk
    moved = cv2.copyMakeBorder(frame, 31, 0, 17, 0, cv2.BORDER_REPLICATE)
    e2e = np.hypot(*(eyes[1] - eyes[0]))
    assert np.abs((mesh.fit(twice, 2 * box).eyes + 0.5) / 2 - 0.5 - eyes).max() < 0.01 * e2e
    assert np.abs((mesh.fit(five, 5 * box).eyes + 0.5) / 5 - 0.5 - eyes).max() < 0.02 * e2e
    assert np.abs(mesh.fit(moved, np.add(box, [17, 31, 0, 0])).eyes - [17, 31] - eyes).max() < 1e-3


def test_the_square_is_as_mediapipe_tracks_it():
    points = np.random.default_rng(0).uniform(10, 90, (468, 2))
    points[[33, 263]] = [[30, 40], [60, 80]]
    square = around(points)
    low, high = points.min(0), points.max(0)
    np.testing.assert_allclose(np.linalg.norm(square[:, 0]) * 192, 1.5 * (high - low).max())
    np.testing.assert_allclose(square[:, :2] @ [95.5, 95.5] + square[:, 2], (low + high) / 2)
    np.testing.assert_allclose(square[:, 0] / np.linalg.norm(square[:, 0]), [0.6, 0.8])


@pytest.mark.parametrize("size", [(1, 1), (5, 5), (1, 20000), (20000, 2)])
def test_odd_frames_and_boxes_give_some_landmarks(mesh, size):
    frame = np.full((*size, 3), 200, np.uint8)
    for box in ([0, 0, size[1], size[0]], [-500, 1e6, 3, 0], [0, 0, 1e6, 1e6]):
        fit = mesh.fit(frame, np.array(box, np.float32))
        assert fit.points.shape == (468, 2) and np.isfinite(fit.points).all() and 0 <= fit.score <= 1


def test_it_travels_and_says_what_it_is(mesh):
    frame, box, _ = _portrait(1)
    other = pickle.loads(pickle.dumps(mesh))
    assert len(pickle.dumps(mesh)) < 1000
    np.testing.assert_array_equal(other.fit(frame, box).points, mesh.fit(frame, box).points)
    assert other.settings() == mesh.settings() and len(mesh.settings()["landmarker"]["model"]) == 12
    assert FaceMesh(passes=3).settings() != mesh.settings()


@pytest.mark.parametrize("options", [{"passes": 0}, {"enlarge": 0.1}, {"model": "/nowhere/face.tflite"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=r"passes|cannot be read .*face_landmark\.tflite"):
        FaceMesh(**options)


def test_other_files_are_refused(mesh, tmp_path):
    data = Path(mesh.model.path).read_bytes()
    (tmp_path / "cut.tflite").write_bytes(data[:500000])
    (tmp_path / "text.tflite").write_text("no model")
    (tmp_path / "empty.tflite").touch()
    with zipfile.ZipFile(tmp_path / "bundle.task", "w") as bundle:
        bundle.writestr("face_landmarks_detector.tflite", data)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ConfigError, match=r"\.task bundle" if path.suffix == ".task" else "face mesh model"):
            FaceMesh(str(path))


def test_the_real_bundle_is_refused(shared_weights):
    with pytest.raises(ConfigError, match=r"\.task bundle"):
        FaceMesh(str(shared_weights / "face_landmarker_v2_with_blendshapes.task"))


@pytest.mark.usefixtures("mesh_model")
def test_mediapipe_is_found_but_not_imported():
    code = (
        "import sys, numpy as np; from fer_transfer.detection.landmarks import FaceMesh; "
        "FaceMesh().fit(np.zeros((50, 50, 3), np.uint8), np.array([0, 0, 50, 50])); "
        "sys.exit('mediapipe' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


TRACKER = """
import sys, cv2, numpy as np, mediapipe
frame = cv2.cvtColor(cv2.imread(sys.argv[1]), cv2.COLOR_BGR2RGB)
with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1) as solution:
    for _ in range(6):  # as frames of a still movie
        found = solution.process(frame).multi_face_landmarks
height, width = frame.shape[:2]
np.save(sys.argv[2], [[point.x * width, point.y * height] for point in found[0].landmark])
"""


@pytest.mark.usefixtures("mesh_model")
def test_the_points_are_those_of_mediapipes_own_tracker(shared_data, tmp_path):
    path = shared_data / "scenes" / "skimage_astronaut.png"
    line = [sys.executable, "-c", TRACKER, str(path), str(tmp_path / "points.npy")]
    # a process of its own: nothing may fork after MediaPipe ran, and it writes to the terminal
    subprocess.run(line, check=True, capture_output=True, env={**os.environ, "GLOG_minloglevel": "2"})
    theirs = np.load(tmp_path / "points.npy")
    ours = FaceMesh(passes=6).fit(cv2.imread(str(path)), np.array([174, 64, 99, 99]))
    e2e = np.hypot(*(ours.eyes[1] - ours.eyes[0]))
    assert np.median(np.hypot(*(ours.points - theirs).T)) < 0.03 * e2e
    assert _errors(ours.eyes, Landmarks(theirs.astype(np.float32), 1.0).eyes).max() < 0.03
