import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from fer_transfer import _torchvision  # noqa: F401  torchmetrics imports torchvision
from fer_transfer.evaluation.calibration import reliability
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.labels import UNLABELLED


def predictions(n, sharpness=3.0, seed=0, calibrated=False):
    """Random predictions; of a calibrated network labels fall as the probabilities say."""
    random = np.random.default_rng(seed)
    logits = sharpness * random.standard_normal((n, 7))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (random.random((n, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=6)
    labels = drawn if calibrated else np.where(random.random(n) < 0.6, probabilities.argmax(axis=1), drawn)
    ids = np.array([f"{i}.png" for i in range(n)])
    return Predictions(ids, labels.astype(np.int8), np.ones(n, bool), probabilities)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("seed", range(3))
def test_the_error_agrees_with_torchmetrics(bins, seed):
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    of = predictions(500, seed=seed)
    theirs = multiclass_calibration_error(
        torch.from_numpy(of.probabilities), torch.from_numpy(of.labels.astype(np.int64)), 7, n_bins=bins, norm="l1"
    )
    assert reliability(of, bins).error == pytest.approx(float(theirs), abs=1e-6)


def test_bins_agree_with_scikit_learn():
    of = predictions(800)
    found = reliability(of, 15)
    accuracy, confidence = calibration_curve(of.predicted == of.labels, of.probabilities.max(axis=1), n_bins=15)
    filled = [one for one in found.bins if one.n]
    assert [one.accuracy for one in filled] == pytest.approx(accuracy.tolist())
    assert [one.confidence for one in filled] == pytest.approx(confidence.tolist())
    assert len(found.bins) == 15 and found.n == 800
    assert found.accuracy == pytest.approx((of.predicted == of.labels).mean())
    assert found.confidence == pytest.approx(of.probabilities.max(axis=1).mean())
    for one in filled:
        assert one.interval == wilson_interval(round(one.accuracy * one.n), one.n)


def test_bins_of_equal_mass_hold_as_many_faces_as_may_be():
    found = reliability(predictions(450), 15, "mass")
    assert {one.n for one in found.bins} == {30}
    assert found.bins[0].low == 0 and found.bins[-1].high == 1
    alike = predictions(100)
    alike.probabilities[:] = [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    assert [one.n for one in reliability(alike, 15, "mass").bins] == [100]


def test_an_empty_bin_knows_nothing():
    empty = reliability(predictions(50), 15).bins[0]  # of seven probabilities the largest is at least 1/7
    assert empty.n == 0 and np.isnan(empty.accuracy) and empty.interval == (0, 1)


def test_what_chance_gives_is_what_calibrated_networks_have():
    errors = [reliability(predictions(400, seed=seed, calibrated=True)) for seed in range(40)]
    mean = np.mean([of.error for of in errors])
    assert mean == pytest.approx(np.mean([of.by_chance[0] for of in errors]), rel=0.1)
    assert np.mean([of.error > of.by_chance[1] for of in errors]) <= 0.15
    over = reliability(predictions(400, sharpness=6.0))
    assert over.error > over.by_chance[1] > over.by_chance[0] > 0


def test_without_faces_or_labels_the_reason_is_in_words():
    of = predictions(5)
    assert reliability(Predictions(of.ids[:0], of.labels[:0], of.found[:0], of.probabilities[:0])) == "no faces"
    of.labels[2] = UNLABELLED
    assert reliability(of) == "labels withheld"
    with pytest.raises(ValueError, match="at least one bin"):
        reliability(of, 0)
    with pytest.raises(ValueError, match="width or mass"):
        reliability(of, binning="other")
