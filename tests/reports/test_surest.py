"""The surest faces, against a plain sort."""

import numpy as np
import pytest
from fake_store import make_predictions

from fer_transfer.evaluation.ensemble import averaged
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.labels import UNLABELLED
from fer_transfer.reports.surest import surest


def random_predictions(count: int, seeds: int) -> list[Predictions]:
    random = np.random.default_rng(3)
    labels = random.integers(-1, 6, count).astype(np.int8)  # some without a label; Neutral never occurs
    ids = np.array([f"f{i:03}" for i in random.permutation(count)])
    found = np.ones(count, bool)
    return [Predictions(ids, labels, found, random.dirichlet(np.full(7, 0.5), count)) for _ in range(seeds)]


def test_they_are_those_of_a_plain_sort():
    by_seed = random_predictions(300, 3)
    of = {one.truth: one for one in surest(by_seed, 4)}
    assert list(of) == [0, 1, 2, 3, 4, 5]
    for truth, found in of.items():
        faces = []
        for i, id in enumerate(by_seed[0].ids.tolist()):
            mean = sum(one.probabilities[i] for one in by_seed) / 3
            if by_seed[0].labels[i] == truth:
                agreeing = sum(one.probabilities[i].argmax() == mean.argmax() for one in by_seed)
                faces.append((-mean.max(), id, int(mean.argmax()), agreeing))
        faces.sort()
        for chosen, right in ((found.right, True), (found.wrong, False)):
            expected = [face for face in faces if (face[2] == truth) == right][:4]
            assert [(face.id, face.predicted, face.agreeing) for face in chosen] == [face[1:] for face in expected]
            assert [face.probability for face in chosen] == pytest.approx([-face[0] for face in expected])


def test_of_equally_sure_faces_the_first_by_id_comes_first_whatever_their_order():
    predictions = make_predictions("emotiw/Val", 0.5, 1)  # all are sure to 0.4
    backwards = Predictions(*(getattr(predictions, name)[::-1] for name in ("ids", "labels", "found", "probabilities")))
    assert surest([predictions], 5) == surest([backwards], 5)
    for one in surest([predictions], 5):
        assert [face.id for face in one.wrong] == sorted(face.id for face in one.wrong)


def test_without_labels_there_are_none():
    assert surest([make_predictions("emotiw/Test", 0.5, 1, labelled=False)], 3) == []
    assert (make_predictions("emotiw/Test", 0.5, 1, labelled=False).labels == UNLABELLED).all()


def test_other_faces_are_refused():
    with pytest.raises(ValueError, match="same 436 faces"):
        averaged([make_predictions("emotiw/Val", 0.5, 1), make_predictions("emotiw/Test", 0.5, 1)])
    with pytest.raises(ValueError, match="none"):
        averaged([])
