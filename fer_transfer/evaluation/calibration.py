"""Whether a network is as often right as it says: reliability by bins of confidence, and the expected calibration error.

Confidence is the probability of the most probable expression. Guo et al. (2017), "On Calibration of Modern Neural Networks".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval

#: How bins may be laid: of equal width over 0..1, or with as many faces each as may be.
BINNINGS = ("width", "mass")

#: Draws of labels for the error that chance alone would give, and the seed of their generator.
DRAWS, GENERATOR = 1000, 0


@dataclass(frozen=True)
class Bin:
    """Faces of like confidence.

    Attributes:
        low, high: its edges, 0..1; it holds low < confidence <= high.
        n: faces in it.
        confidence: their mean confidence, 0..1; nan without faces.
        accuracy: the share of them that is right; nan without faces.
        interval: Wilson's interval of that share; (0, 1) without faces.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Reliability:
    """Reliability of one set of predictions.

    Attributes:
        bins: from low to high confidence, empty ones too.
        error: expected calibration error, 0..1: mean over the faces of how far accuracy and confidence of their bin differ.
        by_chance: the error that a network of these confidences would have if each were true, on as many faces: mean and
            95th percentile. The error is never 0 on few faces; below the latter it may be chance.
        binning: how the bins are laid: ``width`` or ``mass``.
    """

    bins: tuple[Bin, ...]
    error: float
    by_chance: tuple[float, float]
    binning: str

    @property
    def n(self) -> int:
        """Faces in all."""
        return sum(of.n for of in self.bins)

    @property
    def confidence(self) -> float:
        """Mean confidence of all faces, 0..1."""
        return sum(of.n * of.confidence for of in self.bins if of.n) / self.n

    @property
    def accuracy(self) -> float:
        """Share of all faces that is right, 0..1."""
        return sum(of.n * of.accuracy for of in self.bins if of.n) / self.n


def reliability(
    predictions: Predictions, bins: int = 15, binning: str = "width", level: float = 0.95
) -> Reliability | str:
    """How confidence and accuracy go together.

    Args:
        predictions: of one split, already reduced to the faces that count.
        bins: how many. Fifteen of equal width is what most papers use.
        binning: ``width``: edges at 0, 1/bins, ..., 1; ``mass``: each holds as many faces, as far as equal confidences allow.
        level: of Wilson's intervals.

    Returns:
        The reliability; or, in words, why there is none: "no faces" or "labels withheld".

    Raises:
        ValueError: if there is no such binning, or fewer than one bin.
    """
    if binning not in BINNINGS or bins < 1:
        raise ValueError(f"Expected at least one bin, laid by {' or '.join(BINNINGS)}, but got {bins} by {binning!r}.")
    if not len(predictions):
        return "no faces"
    if not predictions.labelled:
        return "labels withheld"
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.predicted == predictions.labels
    edges = _edges(confidence, bins, binning)
    chosen = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, len(edges) - 2)
    n, k = np.bincount(chosen, minlength=len(edges) - 1), np.bincount(chosen[right], minlength=len(edges) - 1)
    sums = np.bincount(chosen, confidence, len(edges) - 1).astype(np.float64)
    return Reliability(
        tuple(
            _bin(float(low), float(high), int(faces), float(of), int(hits), level)
            for low, high, faces, of, hits in zip(edges[:-1], edges[1:], n, sums, k, strict=True)
        ),
        float(np.abs(sums - k).sum()) / len(chosen),
        _by_chance(confidence, chosen, sums),
        binning,
    )


def _edges(confidence: NDArray[np.float64], bins: int, binning: str) -> NDArray[np.float64]:
    """Edges of the bins, from 0 to 1; equal quantiles are one edge, so that of mass there may be fewer bins."""
    if binning == "width":
        return np.linspace(0.0, 1.0, bins + 1)
    inner = np.quantile(confidence, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.unique(np.concatenate([[0.0], inner[inner < confidence.max()], [1.0]]))


def _bin(low: float, high: float, n: int, confidence: float, right: int, level: float) -> Bin:
    mean, share = (confidence / n, right / n) if n else (float("nan"), float("nan"))
    return Bin(float(low), float(high), int(n), float(mean), float(share), wilson_interval(int(right), int(n), level))


def _by_chance(
    confidence: NDArray[np.float64], chosen: NDArray[np.intp], sums: NDArray[np.float64]
) -> tuple[float, float]:
    """Mean and 95th percentile of the error, were each face right with the chance that its confidence states.

    Consistency resampling: Bröcker and Smith (2007).
    """
    random = np.random.default_rng(GENERATOR)
    in_bin = (chosen[:, None] == np.arange(len(sums))).astype(np.float32)
    errors = [_drawn(random, confidence, in_bin, sums) for _ in range(DRAWS // 100)]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def _drawn(
    random: np.random.Generator, confidence: NDArray[np.float64], in_bin: NDArray[np.float32], sums: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The errors of a hundred draws."""
    right = (random.random((100, len(confidence))) < confidence).astype(np.float32)
    errors: NDArray[np.float64] = np.abs(sums - right @ in_bin).sum(axis=1) / len(confidence)
    return errors
