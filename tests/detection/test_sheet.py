"""Which pictures a sheet shows, and that what they are ordered by can be read off it."""

import numpy as np

from fer_transfer.detection.frame_face import FrameFace
from fer_transfer.detection.sheet import Sample, _chosen, _sureness

EYES = np.array([[10, 10], [40, 50]], np.float32)


def sample(name, kind="found", score=1.0, reason=""):
    return Sample(name, FrameFace(np.zeros((2, 2), np.uint8), kind, reason, score, eyes=EYES), "")


def test_the_lost_come_first_then_the_least_sure_in_order_though_all_round_to_one():
    doubts = {f"d{n}": 10.0**-n for n in range(3, 12)}
    sure = [sample(f"s{n}", score=1 - 1e-13) for n in range(20)]
    doubtful = [sample(name, score=1 - doubt) for name, doubt in reversed(doubts.items())]
    unreadable = sample("u", "lost", 0.0, "unreadable: cut short")
    names = [of.name for of in _chosen([*sure, *doubtful, sample("l", "lost", 0.2), unreadable])]
    assert names[:9] == ["l", *(f"d{n}" for n in range(3, 11))] and set(names[9:]) < {*(of.name for of in sure), "d11"}


def test_a_score_that_rounds_to_one_is_told_by_what_it_lacks():
    assert [_sureness(sample("", score=score).face) for score in (0.5, 1 - 3e-3, 1 - 2e-7)] == [
        "0.50, e2e 50 px", "doubt 3e-03, e2e 50 px", "doubt 2e-07, e2e 50 px",
    ]  # fmt: skip
    assert _sureness(FrameFace(np.zeros((2, 2), np.uint8), "found", score=0.8)) == "0.80"
