"""The crop by the eyes: the paper's ratios, independence of how the frame lies, and SciPy as the other implementation."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fer_transfer.detection.alignment import Alignment, beyond
from fer_transfer.errors import ConfigError

EYES = np.array([[110.0, 120.0], [160.0, 126.0]])
PLAIN = Alignment(stretch=False)


def smooth_frame(height=240, width=280):
    """Soft blobs: little is lost when it is resampled."""
    noise = np.random.default_rng(0).normal(size=(height, width))
    soft = ndimage.gaussian_filter(noise, 6)
    return np.clip(128 + 40 * soft / soft.std(), 0, 255).astype(np.uint8)


def moved(points, matrix):
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def test_the_box_is_the_papers():
    eyes = np.array([[50.0, 80.0], [150.0, 80.0]])  # e2e = 100: sides 62, above 90, below 135; 224 x 225, squared
    top_left, _, bottom_right, _ = PLAIN.corners(eyes)
    np.testing.assert_allclose(top_left, [50 - 62.5, 80 - 90], atol=1e-9)
    np.testing.assert_allclose(bottom_right, [150 + 62.5, 80 + 135], atol=1e-9)
    # Eyes lie level, at 0.9 / 2.25 of the height, symmetric about the middle.
    in_crop = moved(eyes, PLAIN.matrix(eyes)) + 0.5
    np.testing.assert_allclose(in_crop[:, 1], 256 * 0.9 / 2.25, atol=1e-9)
    np.testing.assert_allclose(in_crop.sum(axis=0)[0], 256, atol=1e-9)


def test_other_readings_of_e2e():
    points = np.zeros((468, 2), np.float32)
    points[[33, 133, 362, 263]] = [[30, 80], [70, 80], [130, 80], [170, 80]]
    eyes = np.array([[50.0, 80.0], [150.0, 80.0]])

    def box(**options):
        corners = Alignment(**options).corners(eyes, points)
        return np.round([*corners[0], *corners[2]], 6).tolist()

    outer = box(e2e="outer_corners", sides_from="outer_corners")  # e2e = 140: square, 315 high, 1.4 times the default
    np.testing.assert_allclose(outer, [100 - 157.5, 80 - 126, 100 + 157.5, 80 + 189])
    mixed = box(
        e2e="centres", sides_from="outer_corners"
    )  # 264 x 225: the square around it, as much more above as below
    np.testing.assert_allclose(mixed, [100 - 132, 80 - 90 - 19.5, 100 + 132, 80 + 135 + 19.5])
    inner = box(e2e="inner_corners")  # e2e = 60: 174.4 x 135
    np.testing.assert_allclose(inner[2] - inner[0], 100 + 2 * 0.62 * 60)


@given(
    st.floats(-180, 180),
    st.floats(0.05, 20),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.sampled_from(["centres", "outer_corners", "inner_corners"]),
)
def test_corners_follow_the_frame(angle, scale, dx, dy, e2e):
    """Turn, scale and shift the eyes: the corners turn, scale and shift with them, to 0.01 pixels."""
    points = np.random.default_rng(1).uniform(80, 200, (468, 2)).astype(np.float32)
    points[[33, 133, 362, 263]] = [[100, 119], [120, 121], [150, 125], [170, 127]]
    turn = scale * np.array(
        [
            [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
            [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
        ]
    )
    matrix = np.column_stack([turn, [dx, dy]])
    alignment = Alignment(e2e=e2e, sides_from=e2e)
    expected = moved(alignment.corners(EYES, points), matrix)
    got = alignment.corners(moved(EYES, matrix), moved(points, matrix).astype(np.float64))
    np.testing.assert_allclose(got, expected, atol=0.01 * max(1, scale))


@settings(deadline=None, max_examples=25)
@given(st.floats(-180, 180), st.floats(0.7, 1.6), st.floats(-20, 20))
def test_the_crop_stays_when_the_frame_is_turned(angle, scale, shift):
    frame = smooth_frame()
    turn = cv2.getRotationMatrix2D((135, 125), angle, scale)
    turn[:, 2] += (400 - 135 + shift, 400 - 125)
    turned = cv2.warpAffine(frame, turn, (800, 800), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    small = Alignment(size=64, stretch=False)
    crop = small.cut(frame, EYES).astype(int)
    again = small.cut(turned, moved(EYES, turn)).astype(int)
    assert np.abs(crop - again).mean() < 1.5 and np.quantile(np.abs(crop - again), 0.99) < 8


def test_a_mirrored_frame_gives_the_mirrored_crop():
    frame = smooth_frame()
    mirrored = np.stack([frame.shape[1] - 1 - EYES[::-1, 0], EYES[::-1, 1]], axis=1)  # right and left change places
    crop, again = PLAIN.cut(frame, EYES), PLAIN.cut(frame[:, ::-1], mirrored)
    assert np.abs(crop[:, ::-1].astype(int) - again).max() <= 2


@pytest.mark.parametrize("size", [256, 24])  # enlarged, shrunk
def test_scipy_gives_the_same_crop(size):
    frame = np.random.default_rng(5).integers(0, 256, (240, 280), np.uint8)
    alignment = Alignment(size=size, stretch=False)
    inverse = cv2.invertAffineTransform(alignment.matrix(EYES))
    shrink = np.hypot(*inverse[:, 0])
    sigma = 0.5 * np.sqrt(shrink**2 - 1) if shrink > 1 else 0
    assert (sigma > 0) == (size == 24)
    soft = ndimage.gaussian_filter(frame.astype(float), sigma, mode="nearest") if sigma else frame.astype(float)
    rows = inverse[::-1, ::-1].copy()  # SciPy counts rows first
    rows = np.column_stack([inverse[::-1, 1::-1], inverse[::-1, 2]])
    expected = ndimage.affine_transform(
        soft, rows[:, :2], rows[:, 2], output_shape=(size, size), order=1, mode="nearest"
    )
    difference = np.abs(alignment.cut(frame, EYES) - expected)
    assert difference.mean() < 1.5 and difference.max() < 12  # OpenCV takes 1/32 of a pixel; the frame is pure noise


def test_shrinking_does_not_alias():
    """A board of single pixels becomes an even grey; without smoothing it would be black and white."""
    board = (np.indices((600, 600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = Alignment(size=32, stretch=False).cut(board, np.array([[200.0, 250.0], [400.0, 250.0]]))
    assert crop.std() < 3 and abs(crop.mean() - 127.5) < 2


def test_range_and_border():
    frame = np.full((100, 100), 60, np.uint8)
    frame[:, 50:] = 90
    at_the_edge = np.array([[5.0, 20.0], [60.0, 20.0]])
    crop = Alignment(size=64).cut(frame, at_the_edge)
    assert crop.min() == 0 and crop.max() == 255
    black = Alignment(size=64, border="black", stretch=False).cut(frame, at_the_edge)
    kept = Alignment(size=64, stretch=False).cut(frame, at_the_edge)
    assert black[0, 0] == 0 and kept[0, 0] == 60 and black[30, 40] == kept[30, 40]
    assert beyond(PLAIN.corners(at_the_edge), frame.shape)
    outside = PLAIN.cut(frame, np.array([[500.0, 500.0], [600.0, 500.0]]))  # nothing of the frame
    assert (outside == 90).all()


@pytest.mark.parametrize(
    "options", [{"size": 4}, {"side": 0}, {"e2e": "pupils"}, {"border": "wrap"}, {"sides_from": "ears"}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=r"pipeline\.crop"):
        Alignment(**options)
