"""Metrics of one set of predictions, as pure functions over integer arrays.

The challenge ranks by overall accuracy; the paper's Figure 5 allows recall per class and its mean as well.
"""

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Counts by true and predicted class.

    Args:
        labels: integer [N], 0..C-1; faces without a label must have been left out.
        predicted: integer [N], 0..C-1.
        classes: C, of the label set.

    Returns:
        int64 [C, C], rows truth, columns prediction, both in the order of the label set.

    Raises:
        ValueError: if the lengths differ or a value is outside 0..C-1.

    >>> confusion_matrix(np.array([3, 3, 0]), np.array([3, 6, 0]), 7)[3].tolist()
    [0, 0, 0, 1, 0, 0, 1]
    """
    labels, predicted = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    if labels.shape != predicted.shape or labels.ndim != 1:
        raise ValueError(f"Expected two vectors of one length, but got {labels.shape} and {predicted.shape}.")
    for name, values in (("labels", labels), ("predictions", predicted)):
        outside = np.flatnonzero((values < 0) | (values >= classes))
        if outside.size:
            raise ValueError(
                f"Expected {name} in 0..{classes - 1}, but got {values[outside[:3]].tolist()} at "
                f"{outside[:3].tolist()} ({outside.size} in all). Leave out faces without a label."
            )
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: NDArray[np.int64]) -> float:
    """Share of faces on the diagonal of a confusion matrix, 0..1; nan without faces.

    >>> accuracy(confusion_matrix(np.array([3, 3, 0, 1]), np.array([3, 6, 0, 1]), 7))
    0.75
    """
    total = int(matrix.sum())
    return float(np.trace(matrix)) / total if total else float("nan")


def recall_per_class(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Recall of each class, float64 [C] in 0..1; nan for one that no face has."""
    counts = matrix.sum(axis=1)
    recall = np.full(len(counts), np.nan)
    np.divide(np.diag(matrix), counts, out=recall, where=counts > 0)
    return recall


def macro_recall(matrix: NDArray[np.int64]) -> float:
    """Unweighted mean of the recalls of the classes that occur, 0..1; nan without faces.

    This is scikit-learn's ``balanced_accuracy_score``. Its ``recall_score(average="macro")`` also counts, as
    zero, classes that were predicted but do not occur; with all of them present the two agree.

    >>> macro_recall(confusion_matrix(np.array([3, 3, 0]), np.array([3, 6, 0]), 7))
    0.75
    """
    recall = recall_per_class(matrix)
    present = ~np.isnan(recall)
    return float(recall[present].mean()) if present.any() else float("nan")
