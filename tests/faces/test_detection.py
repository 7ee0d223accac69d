import cv2
import numpy as np
import pytest

from fer_transfer.errors import ConfigError
from fer_transfer.faces.crop import central_square, cut, stretch_range
from fer_transfer.faces.detection import ViolaJones, largest
from fer_transfer.releases.drawing import Pose, draw_face
from fer_transfer.releases.person import random_muscles, random_person


def _portrait(seed: int, centre=(150.0, 90.0), scale=40.0):
    rng = np.random.default_rng(seed)
    picture = np.full((240, 320, 3), 90, np.uint8)
    eyes = draw_face(picture, random_person(rng), random_muscles(rng, 6), Pose(centre, scale))
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), eyes


def test_drawn_faces_are_found_where_their_eyes_are():
    detector, hits = ViolaJones(), 0
    for seed in range(12):
        grey, eyes = _portrait(seed)
        if box := largest(detector.detect(grey)):
            x, y, width, height = box
            hits += bool(np.all((eyes > (x, y)) & (eyes < (x + width, y + 0.6 * height))))
    assert hits >= 10


def test_nothing_is_found_on_nothing():
    boxes = ViolaJones().detect(np.full((100, 80), 30, np.uint8))
    assert boxes.shape == (0, 4) and boxes.dtype == np.int32
    assert largest(boxes) is None


def test_smallest_is_a_share_of_the_shorter_side():
    grey, _ = _portrait(1)
    assert len(ViolaJones(smallest=0.2).detect(grey))
    assert not len(ViolaJones(smallest=0.95).detect(grey))


def test_largest_does_not_depend_on_the_order():
    boxes = np.array([[5, 9, 4, 4], [5, 2, 4, 4], [1, 1, 3, 3]], np.int32)
    assert largest(boxes) == largest(boxes[::-1]) == (5, 2, 4, 4)


@pytest.mark.parametrize("options", [{"smallest": 0}, {"step": 1.0}, {"neighbours": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="smallest"):
        ViolaJones(**options)


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
