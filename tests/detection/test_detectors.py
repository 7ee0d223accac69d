import pickle
import zipfile

import cv2
import numpy as np
import pytest

from fer_transfer.detection.crop import central_square, cut, stretch_range
from fer_transfer.detection.detectors import ViolaJones, YuNet, merge
from fer_transfer.detection.landmarks import FaceMesh
from fer_transfer.errors import ConfigError
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person

SIZES = [(1, 1), (5, 5), (23, 23), (32, 32), (32, 640), (1, 20000), (20000, 1), (30, 20000), (64, 64)]


def _portrait(seed: int, centre=(150.0, 90.0), scale=40.0):
    rng = np.random.default_rng(seed)
    picture = np.full((240, 320, 3), 90, np.uint8)
    eyes = draw_face(picture, random_person(rng), random_muscles(rng, 6), Pose(centre, scale))
    return picture, eyes


def _found(detector, seeds):
    """In how many portraits the first box holds the eyes in its upper part."""
    hits = 0
    for seed in seeds:
        frame, eyes = _portrait(seed)
        found = detector.detect(frame)
        assert found.boxes.dtype == found.scores.dtype == np.float32 and found.boxes.shape == (len(found), 4)
        assert ((found.scores > 0) & (found.scores <= 1)).all() and (np.diff(found.scores) <= 0).all()
        if len(found):
            x, y, width, height = found.boxes[0]
            hits += bool(np.all((eyes > (x, y)) & (eyes < (x + width, y + 0.6 * height))))
    return hits


@pytest.fixture
def yunet(shared_weights):
    return str(shared_weights / "face_detection_yunet_2023mar.onnx")


def test_drawn_faces_are_found_where_their_eyes_are():
    assert _found(ViolaJones(), range(12)) >= 10


def test_drawn_faces_are_found_by_yunet(yunet):
    assert _found(YuNet(yunet), range(12)) >= 11


def test_nothing_is_found_on_nothing():
    found = ViolaJones(profile="always").detect(np.full((100, 80, 3), 30, np.uint8))
    assert found.boxes.shape == (0, 4) and found.boxes.dtype == np.float32 and found.scores.shape == (0,)


@pytest.mark.parametrize("size", SIZES)
def test_odd_frames_hold_no_face(size):
    assert not len(ViolaJones().detect(np.full((*size, 3), 200, np.uint8)))


def test_odd_frames_hold_no_face_for_yunet_either(yunet):
    for detector in (YuNet(yunet), YuNet(yunet, longest=1280, enlarge=4)):
        for size in SIZES:
            for grey in (0, 90, 255):
                assert not len(detector.detect(np.full((*size, 3), grey, np.uint8))), (size, grey)


def test_boxes_of_yunet_stay_in_place_whatever_size_is_searched(yunet):
    frame, _ = _portrait(2)
    box = YuNet(yunet).detect(frame).boxes[0]
    for options in ({"longest": 200}, {"enlarge": 3.0, "longest": 1000}):
        np.testing.assert_allclose(YuNet(yunet, **options).detect(frame).boxes[0], box, atol=18)  # of 107 x 124


def test_smallest_is_a_share_of_the_shorter_side():
    frame, _ = _portrait(1)
    assert len(ViolaJones(smallest=0.2).detect(frame))
    assert not len(ViolaJones(smallest=0.95).detect(frame))


def test_frontal_boxes_are_opencvs_own():
    frame, _ = _portrait(1)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    theirs = cascade.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), 1.1, 3, minSize=(36, 36))
    ours = ViolaJones(profile="never").detect(frame).boxes
    assert len(theirs) and {tuple(box) for box in ours.astype(int).tolist()} <= {tuple(box) for box in theirs.tolist()}


def test_profiles_are_found_to_both_sides(shared_data):
    frame = cv2.imread(str(shared_data / "scenes" / "human_person-tasia.jpg"))
    mirrored = np.ascontiguousarray(frame[:, ::-1])
    sides = [_only_profiles().detect(picture) for picture in (frame, mirrored)]
    assert len(sides[0]) and len(sides[0]) == len(sides[1])
    back = sides[1].boxes.copy()
    back[:, 0] = frame.shape[1] - back[:, 0] - back[:, 2]
    np.testing.assert_allclose(back, sides[0].boxes)
    np.testing.assert_allclose(sides[0].scores, sides[1].scores)


def _only_profiles():
    """A detector whose frontal cascade finds nothing."""

    class Blind(ViolaJones):
        def _search(self, cascade, grey):
            boxes, hits = super()._search(cascade, grey)
            return (boxes[:0], hits[:0]) if "frontal" in cascade else (boxes, hits)

    return Blind(smallest=0.1)


def test_profiles_are_a_fallback():
    frame, _ = _portrait(1)
    counts = []

    class Counting(ViolaJones):
        def _search(self, cascade, grey):
            counts.append(cascade)
            return super()._search(cascade, grey)

    assert len(Counting().detect(frame)) and len(counts) == 1
    Counting().detect(np.zeros_like(frame))
    assert len(counts) == 4
    Counting(profile="always").detect(frame)
    assert len(counts) == 7
    Counting(profile="never").detect(np.zeros_like(frame))
    assert len(counts) == 8


def test_what_both_cascades_find_is_one_face():
    class Agreed(ViolaJones):
        def _search(self, cascade, grey):
            x, hits = (40, 20) if "frontal" in cascade else (44, 5)  # of 100 px, so mirrored it lies at 16
            return np.array([[x, 10, 40, 40]], np.float32), np.array([hits], np.float32)

    found = Agreed(profile="always").detect(np.zeros((60, 100, 3), np.uint8))
    assert found.boxes.tolist() == [[40, 10, 40, 40], [16, 10, 40, 40]]
    np.testing.assert_allclose(found.scores, [25 / 34, 5 / 14])


def test_overlapping_boxes_become_the_one_of_most_hits():
    boxes = np.array([[0, 0, 40, 40], [4, 4, 40, 40], [12, 12, 10, 10], [39, 0, 40, 40]], np.float32)
    merged, hits = merge(boxes, np.array([5, 9, 2, 3], np.float32))
    assert merged.tolist() == [[4, 4, 40, 40], [39, 0, 40, 40]] and hits.tolist() == [16, 3]


def test_merging_does_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 100, (40, 2)), rng.uniform(5, 60, (40, 2))], 1).astype(np.float32)
    hits = rng.permutation(40).astype(np.float32)
    order = rng.permutation(40)
    for ours, theirs in zip(merge(boxes, hits), merge(boxes[order], hits[order]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert merge(boxes, hits)[1].sum() == hits.sum()
    assert [len(part) for part in merge(boxes[:0], hits[:0])] == [0, 0]


def test_detectors_travel_and_say_what_they_are(yunet):
    frame, _ = _portrait(4)
    for detector in (ViolaJones(), YuNet(yunet)):
        first = detector.detect(frame)
        other = pickle.loads(pickle.dumps(detector))
        np.testing.assert_array_equal(other.detect(frame).boxes, first.boxes)
        assert other.settings() == detector.settings()
        assert detector.settings()["detector"]["opencv"] == cv2.__version__
    assert YuNet(yunet).settings()["detector"]["model"] == "8f2383e4dd3c"  # as published
    assert ViolaJones(profile="never").settings() != ViolaJones().settings()


@pytest.mark.parametrize("options", [{"smallest": 0}, {"step": 1.0}, {"neighbours": 0}, {"profile": "sometimes"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="smallest"):
        ViolaJones(**options)


def test_impossible_options_of_yunet_are_refused(yunet):
    for options in ({"longest": 1}, {"enlarge": 0.5}, {"score": 0.0}, {"overlap": 1.0}):
        with pytest.raises(ConfigError, match="longest"):
            YuNet(yunet, **options)


def test_a_missing_or_foreign_model_is_refused(tmp_path):
    (tmp_path / "foreign.onnx").write_bytes(b"not a model" * 100)
    (tmp_path / "empty.onnx").touch()
    for name in ("missing.onnx", "foreign.onnx", "empty.onnx"):
        with pytest.raises(
            ConfigError, match=rf"{name}.*fer-weights model=yunet fetch=true.*pipeline\.detector\.model=FILE"
        ):
            YuNet(str(tmp_path / name))


@pytest.mark.parametrize(("of", "gone"), [(cv2, "CascadeClassifier"), (cv2, "data"), (cv2.data, "haarcascades")])
def test_an_opencv_without_cascades_says_what_to_install(of, gone, monkeypatch):
    """As OpenCV 5.0: without the class, or without the files."""
    if gone == "haarcascades":
        monkeypatch.setattr(of, gone, "/nowhere/")
    else:
        monkeypatch.delattr(of, gone)
    with pytest.raises(
        ConfigError, match=r"haarcascade.* but version \d.* has none at .*Install opencv-contrib-python.*yunet"
    ):
        ViolaJones()


@pytest.mark.parametrize("kind", ["Viola-Jones", "YuNet"])
def test_nearly_every_head_and_shoulders_photograph_gives_a_face(shared_data, mesh_model, yunet, kind):
    detector = ViolaJones() if kind == "Viola-Jones" else YuNet(yunet)
    mesh, found = FaceMesh(), 0
    frames = _photographs(shared_data / "sfew_like.zip", every=60)
    for frame in frames:
        found += any(mesh.fit(frame, box).score >= 0.3 for box in detector.detect(frame).boxes)
    assert found == len(frames) == 30


def _photographs(path, every: int):
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][::every]
        return [cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR) for name in names]


def test_cut_copies_pixels_where_the_box_has_the_size():
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    np.testing.assert_array_equal(cut(image, (3, 2, 6, 6), 6), image[2:8, 3:9])


def test_cut_repeats_the_edge_and_squares_the_box():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    beyond = cut(image, (-2, -2, 4, 4), 4)
    assert (beyond[:3, :3] == image[0, 0]).all() and beyond[3, 3] == image[1, 1]
    np.testing.assert_array_equal(cut(image, (4, 2, 2, 6), 6), image[2:8, 2:8])


def test_shrinking_averages_areas():
    checks = np.indices((64, 64)).sum(0) % 2 * 200
    assert (cut(checks.astype(np.uint8), (0, 0, 64, 64), 16) == 100).all()


def test_central_square_and_stretch():
    assert central_square(np.zeros((181, 143), np.uint8)) == (0, 19, 143, 143)
    assert stretch_range(np.full((2, 2), 7, np.uint8)).tolist() == [[7, 7], [7, 7]]
    stretched = stretch_range(np.array([[20, 30, 220]], np.uint8))
    assert stretched.tolist() == [[0, 13, 255]]  # 10 * 255 / 200 = 12.75
