"""Weights of a mean, against expectation maximisation, which finds the same optimum by another way."""

from dataclasses import replace

import numpy as np
import pytest

from fer_transfer.evaluation.ensemble import averaged, fit_weights, found_by_all
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.labels import UNLABELLED


def models(count: int, sure: list[float], seed: int = 0) -> list[Predictions]:
    """Models of one set of faces, each the surer of the truth the larger its number."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, count).astype(np.int8)
    ids = np.array([f"{i:04}" for i in range(count)])
    made = []
    for strength in sure:
        logits = random.normal(0, 1, (count, 7))
        logits[np.arange(count), labels] += strength
        made.append(
            Predictions(ids, labels, np.ones(count, bool), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
        )
    return made


def by_expectation_maximisation(members: list[Predictions]) -> np.ndarray:
    """Weights of a mixture whose components are known (Dempster, Laird, Rubin 1977): each step makes the loss less."""
    rows = np.arange(len(members[0]))
    own = np.stack([of.probabilities[rows, of.labels] for of in members], axis=1)
    weights = np.full(len(members), 1 / len(members))
    for _ in range(20_000):
        parts = own * weights
        weights = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
    return weights


@pytest.mark.parametrize(
    "sure", [[1.0, 1.0], [2.0, 0.5], [0.3, 1.5, 1.2], [3.0, 0.0, -1.0], [1.0, 0.9, 1.1, 0.5, 0.8, 1.2]]
)
def test_they_are_those_of_expectation_maximisation(sure):
    members = models(300, sure)
    weights = fit_weights(members)
    np.testing.assert_allclose(weights, by_expectation_maximisation(members), atol=2e-4)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0 and weights == fit_weights(members)


def test_models_that_say_the_same_count_alike_and_one_alone_for_all():
    (one,) = models(50, [1.0])
    assert fit_weights([one, one]) == (0.5, 0.5) and fit_weights([one]) == (1.0,)


def test_a_model_that_rules_the_truth_out_does_not_spoil_it():
    good, bad = models(50, [2.0, 0.0])
    never = np.zeros_like(bad.probabilities)
    never[np.arange(50), (bad.labels + 1) % 7] = 1
    assert fit_weights([good, Predictions(bad.ids, bad.labels, bad.found, never)])[0] == pytest.approx(1, abs=1e-6)


def test_where_finders_differ_those_that_found_the_face_count():
    one, two, three = models(4, [1.0, 0.5, 2.0])
    found = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0]], bool)
    members = [replace(of, found=own) for of, own in zip((one, two, three), found, strict=True)]
    mean = averaged(members, (0.5, 0.5, 0.0))
    assert mean.found.tolist() == [True, True, True, False]
    a, b = one.probabilities, two.probabilities
    np.testing.assert_allclose(mean.probabilities, [(a[0] + b[0]) / 2, a[1], b[2], (a[3] + b[3]) / 2])
    alone = averaged(members, (1.0, 0.0, 0.0))  # what models without a weight found does not count
    np.testing.assert_allclose(alone.probabilities, a)
    assert alone.found.tolist() == found[0].tolist()
    assert [of.ids.tolist() for of in found_by_all(members)] == [["0000"]] * 3
    with pytest.raises(ValueError, match="same 4 faces"):
        found_by_all([one, two.only_found().of(np.arange(3))])


def test_labels_must_be_known_and_faces_the_same():
    one, two = models(20, [1.0, 0.5])
    with pytest.raises(ValueError, match="labels"):
        withheld = np.full(20, UNLABELLED, np.int8)
        fit_weights([Predictions(of.ids, withheld, of.found, of.probabilities) for of in (one, two)])
    with pytest.raises(ValueError, match="same 20 faces"):
        averaged([one, Predictions(two.ids[::-1], two.labels, two.found, two.probabilities)])
