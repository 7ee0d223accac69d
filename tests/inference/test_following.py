"""Faces followed through frames."""

import numpy as np
import pytest

from fer_transfer.inference.following import Follower
from fer_transfer.inference.results import PredictedFace, PredictedPicture

LABELS = ("a", "b")


def frame(time, *faces):
    """Faces as (x, probability of a), at the same height."""
    told = []
    for number, (x, a) in enumerate(faces):
        box = np.array([x, 0, 20, 20], np.float32)
        told.append(
            PredictedFace(
                "f", number, True, "", 1.0, box, np.zeros((2, 2), np.float32), None, None, LABELS, np.array([a, 1 - a])
            )
        )
    return PredictedPicture("f", tuple(told), time=time)


def tracks(picture):
    return [face.track for face in picture.faces]


def test_faces_keep_their_numbers_whatever_their_order():
    follower = Follower()
    assert tracks(follower.follow(frame(0.0, (0, 0.5), (100, 0.5)))) == [0, 1]
    assert tracks(follower.follow(frame(0.1, (103, 0.5), (2, 0.5)))) == [1, 0]
    assert tracks(follower.follow(frame(0.2, (50, 0.5)))) == [2]
    assert tracks(follower.follow(frame(0.3, (2, 0.5), (103, 0.5)))) == [0, 1]  # back within half a second
    assert tracks(follower.follow(frame(2.0, (2, 0.5)))) == [3]


def test_a_window_is_the_plain_mean_of_what_it_holds():
    follower, values = Follower("window", 0.25), [0.1, 0.9, 0.4, 0.6]
    got = [follower.follow(frame(n / 10, (n, value))).faces[0].probabilities[0] for n, value in enumerate(values)]
    assert got == pytest.approx([0.1, 0.5, np.mean([0.1, 0.9, 0.4]), np.mean([0.9, 0.4, 0.6])])


def test_an_exponential_mean_forgets_by_the_time_that_passed():
    follower = Follower("exponential", 0.5)
    follower.follow(frame(0.0, (0, 1.0)))
    after = follower.follow(frame(0.25, (0, 0.0))).faces[0].probabilities
    assert after == pytest.approx([np.exp(-0.5), 1 - np.exp(-0.5)])
