"""The asymmetry of a face: nothing of one that is its own mirror image, wherever it turns; more where a side is moved."""

import cv2
import numpy as np
import pytest

from fer_transfer.detection.symmetry import MIDDLE, PAIRS, asymmetry
from fer_transfer.synthetic.face_shape import face_shape


def _turned(points, *angles):
    return points @ cv2.Rodrigues(np.array(angles))[0].T


def test_pairs_are_those_of_the_shape():
    mirror = face_shape().mirror
    assert all(mirror[one] == other for one, other in PAIRS) and all(mirror[point] == point for point in MIDDLE)
    used = [*sum(PAIRS, ()), *MIDDLE]
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.2, -0.6, 0.1), (0.0, 0.0, 2.5)])
def test_a_face_that_is_its_own_mirror_image(angles):
    face = _turned(face_shape().mean, *angles) * 70 + (300, 200, 0)
    assert asymmetry(face) < 1e-9


def test_a_side_that_is_moved():
    left = [other for _, other in PAIRS]
    moved = face_shape().mean.copy()
    moved[left] += (0.0, 0.1, 0.0)
    little, much = face_shape().mean.copy(), moved
    little[left] += (0.0, 0.02, 0.0)
    assert 0 < asymmetry(little) < asymmetry(much)
    assert asymmetry(_turned(much, 0, 0, 1.0) * 50) == pytest.approx(asymmetry(much))  # whatever its size and tilt
    mirrored = much.copy()
    mirrored[face_shape().mirror] = much * (-1, 1, 1)
    assert asymmetry(mirrored) == pytest.approx(asymmetry(much), rel=1e-6)


def test_points_in_one_place():
    assert np.isfinite(asymmetry(np.zeros((478, 3), np.float32)))
