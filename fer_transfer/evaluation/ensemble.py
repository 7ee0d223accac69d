"""Several models as one: the mean of their probabilities, and the weights of it that fit some faces best."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.temperature import LEAST


def mean_of(probabilities: Sequence[NDArray[np.float64]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted mean of several models' probabilities [N, classes]; weights sum to 1.

    >>> mean_of([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])], np.array([0.75, 0.25])).tolist()
    [[0.75, 0.25]]
    """
    mean: NDArray[np.float64] = np.tensordot(weights, np.stack(probabilities), axes=1)
    return mean


def averaged(members: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
    """The mean of what several models say of the same faces, cut alike or otherwise.

    Where finders differ, a face counts as found where a model with a weight saw it found, and there those that did count.

    Args:
        members: one or more.
        weights: of each, summing to 1; None: all alike.

    Raises:
        ValueError: if there are none, or they are not of the same faces with the same labels of one set.
    """
    if not members:
        raise ValueError("Expected predictions of one model or more, but got none.")
    first = members[0]
    for other in members[1:]:
        if other.classes != first.classes:
            raise ValueError(
                f"Expected predictions of one label set, but got {', '.join(first.classes)} and {', '.join(other.classes)}."
            )
        if not (np.array_equal(other.ids, first.ids) and np.array_equal(other.labels, first.labels)):
            raise ValueError(f"Expected predictions of the same {len(first)} faces from every model, but got others.")
    shares = np.full(len(members), 1 / len(members)) if weights is None else np.asarray(weights, np.float64)
    probabilities = [of.probabilities for of in members]
    found = np.stack([of.found & (share > 0) for of, share in zip(members, shares, strict=True)])
    somewhere: NDArray[np.bool_] = np.logical_or.reduce(found)
    mean = mean_of(probabilities, shares)
    for row in np.flatnonzero(somewhere & ~found[shares > 0].all(axis=0)):
        own = np.where(found[:, row], shares, 0)
        mean[row] = mean_of([of[row] for of in probabilities], own / own.sum())
    return replace(first, probabilities=mean, found=somewhere)


def found_by_all(members: Sequence[Predictions]) -> list[Predictions]:
    """What several models say of the faces that the finder of each found.

    Raises:
        ValueError: as ``averaged``.
    """
    averaged(members)
    found = np.all([of.found for of in members], axis=0)
    return [of.of(found) for of in members]


def fit_weights(members: Sequence[Predictions]) -> tuple[float, ...]:
    """The weights of a mean with the least log loss of the labels, at least 0, summing to 1.

    That loss is convex in the weights; SciPy's SLSQP (Kraft 1988) goes down from the plain mean, with the exact slope. The same
    predictions give the same weights, and two models that say the same get the same.

    Args:
        members: of the same labelled faces, one or more of each.

    Raises:
        ValueError: if they are not.
    """
    from scipy.optimize import minimize  # here: --help does not wait for it

    mean, faces = averaged(members), np.arange(len(members[0]))
    if not (len(mean) and mean.labelled):
        raise ValueError("Expected faces with labels, but got none, or labels that are withheld.")
    own = np.stack([np.maximum(of.probabilities[faces, of.labels], LEAST) for of in members], axis=1)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        said = np.maximum(own @ weights, LEAST)
        return -float(np.log(said).mean()), -(own / said[:, None]).mean(axis=0)

    alike = np.full(len(members), 1 / len(members))
    found = minimize(
        loss,
        alike,
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(members),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights = np.clip(found.x, 0, 1) / np.clip(found.x, 0, 1).sum()
    better = bool(np.isfinite(weights).all()) and loss(weights)[0] < loss(alike)[0]
    return tuple((weights if better else alike).tolist())
