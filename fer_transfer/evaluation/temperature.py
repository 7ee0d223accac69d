"""Calibration by one number: a temperature that the logits are divided by (Guo et al. 2017).

It makes probabilities mean what they say on average and never changes which one is the largest, so no accuracy.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.held_out import split_said

Probabilities = NDArray[np.float64]

#: Between what a temperature is looked for; at the ends the split says no more than "surer" or "less sure".
RANGE = (0.05, 20.0)

#: Below it a probability counts as this much: float32 gives nothing smaller, and 0 for less.
LEAST = 1e-45


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: that logits are divided by.
        split: ``release/split`` that it was fitted on: the one that the last stage was selected on.
        count: faces that it was fitted on.
        before, after: negative log likelihood there, in nats.
    """

    value: float
    split: str
    count: int
    before: float
    after: float

    def line(self) -> str:
        """For a reader."""
        split = split_said(self.split)
        return (
            f"calibrated, temperature {self.value:.3f}, fitted on the {self.count} found faces of {split}, the selection "
            f"split (log loss {self.before:.3f} to {self.after:.3f}; a calibration measured on that split flatters)"
        )


def fitted(predictions: Predictions, split: str) -> Temperature:
    """The temperature of some predictions, all labelled and at least one.

    Args:
        predictions: of the found faces.
        split: ``release/split`` that they are of.
    """
    value = fit_temperature(predictions.probabilities, predictions.labels)
    before = negative_log_likelihood(predictions.probabilities, predictions.labels)
    after = negative_log_likelihood(tempered(predictions.probabilities, value), predictions.labels)
    return Temperature(value, split, len(predictions), before, after)


def calibrated(predictions: Predictions, temperature: float) -> Predictions:
    """The same predictions by a temperature."""
    return replace(predictions, probabilities=tempered(predictions.probabilities, temperature))


def crossed(predictions: Predictions) -> Predictions:
    """Each half of some labelled predictions by the temperature that fits the other: what a fit is worth on faces it never saw.

    Halves are every second face by ascending id; of fewer than two faces nothing is changed.
    """
    if len(predictions) < 2:
        return predictions
    probabilities = predictions.probabilities.copy()
    order = np.argsort(predictions.ids)
    for own, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        value = fit_temperature(predictions.probabilities[other], predictions.labels[other])
        probabilities[own] = tempered(predictions.probabilities[own], value)
    return replace(predictions, probabilities=probabilities)


def fit_temperature(probabilities: Probabilities, labels: NDArray[np.integer]) -> float:
    """The temperature with the least negative log likelihood of the labels.

    That likelihood is convex in one over the temperature, so where its slope is zero is found by halving.

    Args:
        probabilities: float64 [N, classes], rows sum to 1; their logarithms are logits.
        labels: integer [N], 0 to classes - 1; faces without a label must have been left out.

    Returns:
        Above 1: the probabilities are too sure of themselves. Within ``RANGE``, at an end where there is no minimum between.

    Raises:
        ValueError: if there are no faces, or a label is out of range.

    >>> round(fit_temperature(np.array([[0.9, 0.1]] * 4), np.array([0, 0, 0, 1])), 3)
    2.0
    """
    labels = np.asarray(labels, np.int64)
    if not len(labels) or probabilities.shape[:1] != labels.shape:
        raise ValueError(f"Expected a label for each of some faces, but got {labels.shape} and {probabilities.shape}.")
    if ((labels < 0) | (labels >= probabilities.shape[1])).any():
        raise ValueError(f"Expected labels in 0..{probabilities.shape[1] - 1}. Leave out faces without one.")
    logits = np.log(np.maximum(probabilities, LEAST))
    own = logits[np.arange(len(labels)), labels].mean()
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(60):
        middle = (low + high) / 2
        expected = (_softmax(middle * logits) * logits).sum(axis=1).mean()
        low, high = (middle, high) if expected < own else (low, middle)
    return float(2 / (low + high))


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Probabilities [N, classes] with their logits divided by a temperature; the same for 1.

    >>> tempered(np.array([[0.9, 0.1]]), 2.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    if temperature == 1:
        return probabilities
    return _softmax(np.log(np.maximum(probabilities, LEAST)) / temperature)


def negative_log_likelihood(probabilities: Probabilities, labels: NDArray[np.integer]) -> float:
    """Mean over the faces, in nats."""
    own = probabilities[np.arange(len(labels)), np.asarray(labels, np.int64)]
    return float(-np.log(np.maximum(own, LEAST)).mean())


def _softmax(logits: Probabilities) -> Probabilities:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return normalised
