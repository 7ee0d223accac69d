"""The mesh, the movements, the rasteriser and the truth of rendered faces."""

import cv2
import numpy as np
import pytest

from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.landmarks import FaceMesh
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.camera import Movie, draw_frame
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.face_shape import DATA, LEFT_EYE, RIGHT_EYE, face_shape
from fer_transfer.synthetic.head_mesh import ATLAS, head_points, topology
from fer_transfer.synthetic.muscles import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LID,
    MUSCLES,
    UPPER_LID,
    expressed,
    mirrored,
)
from fer_transfer.synthetic.person import random_muscles, random_person
from fer_transfer.synthetic.rasteriser import laid_over, normals, rasterised
from fer_transfer.synthetic.texture import painted


def does(**strength: float) -> np.ndarray:
    return np.tile([strength.get(name, 0.0) for name in MUSCLES], (2, 1))


def test_what_is_shipped_is_small_and_symmetric():
    shape = face_shape()
    assert DATA.stat().st_size < 20_480
    assert shape.triangles.shape == (852, 3) and len(np.unique(shape.triangles)) == 468
    for values in (shape.mean, *shape.modes, *shape.moved):
        np.testing.assert_allclose(values[shape.mirror] * (-1, 1, 1), values, atol=1e-12)
    for grid in (shape.tone, *shape.shade):
        np.testing.assert_array_equal(grid, grid[:, ::-1])
    eyes = np.stack([shape.mean[list(row)].mean(0) for row in (RIGHT_EYE, LEFT_EYE)])
    np.testing.assert_allclose(eyes[:, :2], [(-0.5, 0), (0.5, 0)], atol=1e-3)
    nose, chin = shape.mean[4], shape.mean[152]
    assert nose[2] < shape.mean[:, 2].min() + 0.02 and chin[1] > shape.mean[:, 1].max() - 0.02


def test_no_mode_is_cut_off_by_its_integers():
    assert np.abs(face_shape().modes).max() < 0.25 and np.abs(face_shape().moved).max() < 0.25
    smooth = np.abs(face_shape().modes[:, 152] - face_shape().modes[:, 148]).max()  # neighbours on the chin
    assert smooth < 0.05


def test_neighbouring_triangles_are_turned_alike():
    triangles = face_shape().triangles
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(sides, axis=0)) == len(sides)  # a side that comes twice comes in both directions


def test_texture_places_lie_on_the_texture():
    person = random_person(np.random.default_rng(0))
    for name in EXPRESSIONS[:-1]:
        face = expressed(person.shape, does(**{name: 1.0}))
        points, uv = head_points(face, person.shape, person, (0.0, 0.0))
        assert len(points) == len(uv) > topology().triangles.max()
        assert (uv > ATLAS[:2]).all() and (uv < ATLAS[2:]).all()


def test_movements_of_one_side_stay_there_and_expressions_move_as_they_should():
    rest = face_shape().mean
    calm = expressed(rest, does())
    left = does(corner=1.0, outer_brow=1.0)
    left[1] = 0
    np.testing.assert_allclose(expressed(rest, left)[rest[:, 0] > 0.2], calm[rest[:, 0] > 0.2], atol=1e-12)
    for name, vertex, axis, sign in (
        ("Happy", 61, 1, -1),  # corners of the mouth up
        ("Surprise", 152, 1, 1),  # chin down
        ("inner_brow", 107, 1, -1),
        ("knit", 55, 0, 1),  # towards the middle
        ("jaw", 17, 1, 1),
        ("stretch", 61, 0, -1),
        ("wrinkle", 129, 1, -1),
    ):
        moved = expressed(rest, does(**{name: 1.0}))[vertex, axis] - calm[vertex, axis]
        assert sign * moved > 0.02, name


def test_lids_and_lips_touch_and_never_cross():
    rest = face_shape().mean
    rows = ((UPPER_LID, LOWER_LID), (mirrored(UPPER_LID), mirrored(LOWER_LID)), (INNER_UPPER_LIP, INNER_LOWER_LIP))
    for muscles in (does(lids=-1.6), does(lids=-3, corner=1, chin=2), does(press=2, upper_lip=-2), does(lids=1, jaw=1)):
        face = expressed(rest, muscles)
        for upper, lower in rows:
            assert (face[list(lower), 1] - face[list(upper), 1] > -1e-9).all()
    shut = expressed(rest, does(lids=-1.6))
    assert np.abs(shut[list(LOWER_LID), 1] - shut[list(UPPER_LID), 1]).max() < 0.01


def test_true_eyes_are_the_six_points_and_move_when_eyes_close():
    person = random_person(np.random.default_rng(1))
    pose = Pose((100.0, 90.0), 40.0)
    eyes = [draw_face(np.zeros((200, 200, 3), np.uint8), person, m, pose) for m in (does(), does(lids=-1.6))]
    np.testing.assert_allclose([eye.mean(0) for eye in eyes], [pose.centre] * 2, atol=1e-9)
    open_, shut = (expressed(person.shape, m, person.lips_apart) for m in (does(), does(lids=-1.6)))
    assert (shut[list(RIGHT_EYE), 1].mean() - open_[list(RIGHT_EYE), 1].mean()) > 0.01
    face = expressed(person.shape, does(), person.lips_apart)
    apart = np.linalg.norm(face[list(LEFT_EYE), :2].mean(0) - face[list(RIGHT_EYE), :2].mean(0))
    assert np.linalg.norm(eyes[0][1] - eyes[0][0]) == pytest.approx(40 * apart, rel=0.06)  # perspective


def test_rolling_and_moving_a_head_rolls_and_moves_its_eyes():
    person, muscles = random_person(np.random.default_rng(2)), does(Happy=1)
    pictures = np.zeros((2, 200, 220, 3), np.uint8)
    upright = draw_face(pictures[0], person, muscles, Pose((100, 90), 40))
    rolled = draw_face(pictures[1], person, muscles, Pose((120, 95), 40, roll=0.4))
    turn = np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    np.testing.assert_allclose(rolled - (120, 95), (upright - (100, 90)) @ turn, atol=1e-9)


def test_values_are_interpolated_as_barycentric_weights_say():
    rng = np.random.default_rng(3)
    points = np.array([(4.2, 3.1, 5.0), (33.7, 8.4, 1.0), (12.9, 28.8, 2.0)])
    values = rng.uniform(-1, 1, (3, 2))
    drawn, on = rasterised(points, np.array([[0, 1, 2]]), values, (32, 40))
    y, x = np.nonzero(on)
    weights = np.linalg.solve(np.c_[points[:, :2], np.ones(3)].T, np.stack([x, y, np.ones(len(x))]))
    np.testing.assert_allclose(drawn[y, x], weights.T @ values, atol=1e-4)
    assert weights.min() > -0.15 and on.sum() == pytest.approx(
        abs(np.linalg.det(np.c_[points[:, :2], [1] * 3])) / 2, rel=0.15
    )


def test_near_triangles_hide_far_ones_and_backs_are_not_drawn():
    square = np.array([(0, 0), (20, 0), (20, 20), (0, 20)], float)
    points = np.concatenate([np.c_[square, np.full(4, z)] for z in (1.0, 9.0)])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    values = np.repeat([[1.0], [2.0]], 4, axis=0)
    assert np.allclose(rasterised(points, faces, values, (20, 20))[0], 1)
    assert np.allclose(rasterised(points, faces[::-1], values, (20, 20))[0], 1)
    assert not rasterised(points, faces[:, ::-1], values, (20, 20))[1].any()
    np.testing.assert_allclose(normals(points, faces)[0], (0, 0, -1), atol=1e-12)


def test_a_patch_is_cut_at_the_edge():
    picture = np.zeros((10, 10, 3), np.uint8)
    for corner in ((-3, -2), (8, 7), (50, 0), (-9, 0)):
        laid_over(picture, np.full((4, 5, 3), 200, np.float32), np.ones((4, 5), np.float32), corner)
    assert (picture[:2, :2] == 200).all() and (picture[7:, 8:] == 200).all()
    assert picture[..., 0].sum() == 200 * (2 * 2 + 3 * 2)


def test_a_texture_is_the_same_every_time():
    person, muscles = random_person(np.random.default_rng(4)), does(Angry=1)
    first = painted(person, muscles, 48)
    np.random.default_rng().random(9)
    cv2.setRNGSeed(5)
    np.testing.assert_array_equal(first, painted(person, muscles, 48))


def test_heads_far_outside_or_tiny_do_no_harm():
    person = random_person(np.random.default_rng(5))
    for pose in (Pose((-500, 40), 30), Pose((40, 900), 30), Pose((30, 30), 2), Pose((30, 30), 20, yaw=1.5, pitch=-1)):
        picture = np.zeros((60, 60, 3), np.uint8)
        assert np.isfinite(draw_face(picture, person, random_muscles(np.random.default_rng(0), 2), pose)).all()


@pytest.mark.usefixtures("mesh_model")
def test_detector_and_landmarks_find_rendered_faces_where_the_truth_is():
    detector, landmarker, errors, count = ViolaJones(), FaceMesh(), [], 18
    movies = [Movie.random(np.random.default_rng([8, k]), "Movie") for k in range(6)]
    for i in range(count):
        frame, eyes = draw_frame(np.random.default_rng([9, i]), i % 7, movies[i % 6], (576, 720))
        apart = np.linalg.norm(eyes[1] - eyes[0])
        for x, y, w, h in detector.detect(frame).boxes:
            if (eyes > (x, y)).all() and (eyes < (x + w, y + h)).all():
                found = landmarker.fit(frame, np.array([x, y, w, h])).eyes
                errors.append(np.linalg.norm(found - eyes, axis=1).mean() / apart)
                break
    assert len(errors) >= 0.8 * count
    assert np.median(errors) < 0.03
