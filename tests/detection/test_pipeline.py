"""One frame to one face: which face is taken, why one is refused, what stands in, and every kind of bad picture."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import Detections, ViolaJones
from fer_transfer.detection.face_landmarker import FaceLandmarker
from fer_transfer.detection.frame_face import FrameFace
from fer_transfer.detection.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE, FaceMesh, Landmarks
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person


class Boxes:
    """A detector that answers with the boxes it was given."""

    def __init__(self, *boxes, scores=None):
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.scores = np.array(scores or [0.5] * len(boxes), np.float32)

    def detect(self, frame):
        return Detections(self.boxes, self.scores)

    def settings(self):
        return {"detector": "given boxes"}


class Ruler:
    """A landmarker that puts the eyes at 0.3 and 0.7 of a box's width, the mouth below, and gives the scores it was told."""

    def __init__(self, scores=None, swapped=False):
        self.scores, self.swapped = scores or {}, swapped

    def fit(self, frame, box):
        x, y, width, height = (float(v) for v in box)
        points = np.tile(np.float32([x + width / 2, y + height / 2]), (468, 1))
        points[[0, 1]] = [[x, y], [x + width, y + height]]
        right, left = (0.7, 0.3) if self.swapped else (0.3, 0.7)
        points[list(RIGHT_EYE)] = [x + right * width, y + 0.4 * height]
        points[list(LEFT_EYE)] = [x + left * width, y + 0.4 * height]
        points[list(MOUTH)] = [x + 0.5 * width, y + 0.8 * height]
        return Landmarks(points, self.scores.get(int(x), 0.9))

    def settings(self):
        return {"landmarker": "a ruler"}


def frame(height=200, width=300):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def aligned(*boxes, scores=None, swapped=False, **options):
    return FacePipeline(Boxes(*boxes), Ruler(scores, swapped), Alignment(size=32), **options)


def test_a_face_is_aligned_by_its_eyes():
    picture = frame()
    face = aligned((100, 50, 80, 80)).find(picture)
    assert (face.kind, face.reason, face.faces) == ("found", "", 1)
    np.testing.assert_allclose(face.eyes, [[124, 82], [156, 82]])
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(face.pixels, Alignment(size=32).cut(grey, face.eyes.astype(float)))


BIG, SURE, MIDDLE = (0, 10, 90, 90), (210, 10, 60, 60), (130, 80, 40, 40)


@pytest.mark.parametrize(
    ("choose", "expected"),
    [("largest", BIG), ("score", SURE), ("central", MIDDLE), ("largest_times_score", SURE)],
)
def test_which_of_several_faces(choose, expected):
    scores = {0: 0.35, 210: 0.95, 130: 0.8}  # areas times scores: 2835, 3420, 1280
    for boxes in ([BIG, SURE, MIDDLE], [MIDDLE, SURE, BIG]):
        face = aligned(*boxes, scores=scores, choose=choose).find(frame())
        assert face.box.tolist() == list(expected) and face.faces == 3


def test_two_boxes_on_one_face_are_one_face():
    face = aligned((100, 50, 80, 80), (90, 40, 100, 100), scores={100: 0.9, 90: 0.8}).find(frame())
    assert face.faces == 1 and face.box.tolist() == [100, 50, 80, 80]  # the better fit, though the other is larger


@pytest.mark.parametrize(
    ("pipeline", "reason", "score"),
    [
        (aligned((100, 50, 80, 80), scores={100: 0.29}), "fit under 0.3", 0.29),
        (aligned((100, 50, 80, 80), scores={100: 0.6}, fit=0.7), "fit under 0.7", 0.6),
        (aligned((100, 50, 9, 9)), "e2e under 4 pixels", 0.9),
        (aligned((100, 50, 80, 80), swapped=True), "landmarks swapped left and right", 0.9),
        (aligned((100, 50, 80, 80), scores={100: float("nan")}), "fit under 0.3", 0.0),
    ],
)
def test_a_refused_face_is_lost_and_its_box_stands_in(pipeline, reason, score):
    picture = frame()
    face = pipeline.find(picture)
    assert (face.kind, face.reason) == ("lost", reason) and face.score == pytest.approx(score)
    x, y, width, height = (int(v) for v in face.box)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(face.pixels, BoxCrop(32).cut(grey, (x, y, width, height)))


def test_no_box_leaves_the_central_square():
    picture = frame(40, 60)
    face = FacePipeline(Boxes(), Ruler(), Alignment(size=40)).find(picture)
    assert (face.kind, face.reason, face.score) == ("lost", "no face detected", 0.0)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(face.pixels, BoxCrop(40).cut(grey, (10, 0, 40, 40)))


def test_a_face_cut_by_the_edge_is_found_and_said():
    face = aligned((-30, -20, 80, 80)).find(frame())
    assert (face.kind, face.reason) == ("found", "the crop reaches beyond the frame")


def test_boxes_alone():
    face = FacePipeline(Boxes((0, 0, 4, 4), (8, 4, 16, 16)), None, BoxCrop(16)).find(frame())
    assert face.kind == "found" and face.faces == 2 and not face.eyes.any()


def _png(width, height, bit_depth=8, colour=2, data=b""):
    """A PNG with this header, whatever its data."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


UPRIGHT = frame(60, 90)[..., ::-1]

BAD = {
    "empty": (b"", "lost", "unreadable: empty"),
    "a text": (b"movie,frame\n1,2\n", "lost", "unreadable: a text, not a picture"),
    "cut short": (_saved(Image.fromarray(UPRIGHT), "PNG")[:-30], "lost", "unreadable: cut short"),
    "a bomb": (_png(20_000, 20_000), "lost", "unreadable: too large (20000x20000)"),
    "1x1": (_saved(Image.new("RGB", (1, 1)), "PNG"), "found", None),
    "16-bit": (cv2.imencode(".png", frame(60, 90).astype(np.uint16) * 257)[1].tobytes(), "found", None),
    "alpha": (_saved(Image.fromarray(np.dstack([UPRIGHT, UPRIGHT[..., 0]])), "PNG"), "found", None),
    "CMYK": (_saved(Image.fromarray(UPRIGHT).convert("CMYK"), "JPEG"), "found", None),
    "grey": (_saved(Image.fromarray(UPRIGHT).convert("L"), "PNG"), "found", None),
    "EXIF-rotated": (_saved(Image.fromarray(UPRIGHT), "JPEG", exif=_exif(6)), "found", None),
}


@pytest.mark.parametrize("name", BAD)
def test_every_kind_of_picture_has_an_outcome(name):
    data, kind, reason = BAD[name]
    face = aligned((10, 5, 30, 30)).read(data)
    assert face.kind == kind and face.pixels.shape == (32, 32) and face.pixels.dtype == np.uint8
    assert reason is None or face.reason == reason
    if kind == "lost":
        assert (face.pixels == 128).all()


def test_the_picture_is_seen_as_it_lies():
    """EXIF orientation 6: the stored picture is turned a quarter to the right before it is searched."""
    image = np.zeros((60, 90, 3), np.uint8)
    image[:, :45] = 255  # left half white: the upper half once it is turned
    face = FacePipeline(Boxes(), None, BoxCrop(20, stretch=False)).read(
        _saved(Image.fromarray(image), "JPEG", exif=_exif(6), quality=95)
    )
    assert face.pixels[:8].mean() > 240 and face.pixels[12:].mean() < 15


def _searching(kind, request):
    """A real pipeline, or a skipped test where its model is absent."""
    if kind == "mesh":
        request.getfixturevalue("mesh_model")
        return FacePipeline(ViolaJones(profile="always"), FaceMesh(), Alignment(size=16))
    weights = request.getfixturevalue("shared_weights")
    landmarker = FaceLandmarker(str(weights / "face_landmarker_v2_with_blendshapes.task"))
    return FacePipeline(None, landmarker, Alignment(size=16))


@pytest.mark.parametrize("kind", ["mesh", "landmarker"])
def test_odd_and_damaged_pictures_never_raise(kind, request):
    """The real detector and landmarks on pictures that are thin, tiny, noisy, with bytes changed, lost or swapped."""
    pipeline = _searching(kind, request)
    random = np.random.default_rng(3)
    kinds = set()
    portraits = [np.full((90, 80, 3), 120, np.uint8) for _ in range(4)]
    for number, portrait in enumerate(portraits):
        person, still = random_person(np.random.default_rng(number)), random_muscles(np.random.default_rng(number), 6)
        draw_face(portrait, person, still, Pose(centre=(40, 40), scale=24))
    for i in range(int(os.environ.get("ODD_PICTURES", "100"))):
        shape = random.integers(1, 40, 2) if i % 10 else (1, 300)
        noise = random.integers(0, 256, (*shape, 3), np.uint8)
        image = Image.fromarray(portraits[i % 4] if i % 4 == 0 else noise)
        data = bytearray(_saved(image, ("PNG", "JPEG", "BMP", "WEBP", "TIFF")[i % 5]))
        for _ in range(random.integers(0, 4)):
            at = int(random.integers(len(data)))
            data[at] = int(random.integers(256))
        face = pipeline.read(bytes(data[: random.integers(1, len(data) + 1)] if i % 3 == 0 else data))
        assert face.pixels.shape == (16, 16) and face.pixels.dtype == np.uint8 and 0 <= face.score <= 1
        kinds.add(face.reason.partition(":")[0] if face.kind == "lost" else face.kind)
    assert {"unreadable", "no face detected", "found"} <= kinds


def test_a_frame_that_the_detector_fails_on_is_lost():
    class Failing(Boxes):
        def detect(self, frame):
            raise cv2.error("out of luck")

    face = FacePipeline(Failing(), Ruler(), Alignment(size=32)).read(BAD["16-bit"][0])
    assert face.kind == "lost" and face.reason.startswith("unreadable: 90x60")


def test_faces_already_are_not_searched():
    data = _saved(Image.fromarray(frame(181, 143)), "PNG")
    pipeline = aligned((10, 5, 30, 30), scores={10: 0.0})
    for options in ({"aligned": True}, {"aligned_size": (181, 143)}):
        face = pipeline.read(data, **options)
        assert (face.kind, face.reason) == ("bypassed", "") and face.pixels.min() == 0
    assert pipeline.read(data, aligned_size=(143, 181)).kind == "lost"


@pytest.mark.parametrize(
    "options",
    [{"landmarker": None}, {"crop": BoxCrop(32)}, {"choose": "first"}, {"fit": 1.5}, {"smallest_e2e": 0}],
)
def test_contradicting_options_are_refused(options):
    with pytest.raises(ConfigError, match="pipeline"):
        FacePipeline(**{"detector": Boxes(), "landmarker": Ruler(), "crop": Alignment(size=32), **options})


def test_a_face_without_places_has_zeros():
    face = FrameFace(np.zeros((2, 2), np.uint8), "lost")
    assert face.box.tolist() == [0] * 4 and face.eyes.tolist() == [[0, 0], [0, 0]]
