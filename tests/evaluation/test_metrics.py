import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from fer_transfer.evaluation.metrics import accuracy, confusion_matrix, macro_recall, recall_per_class

faces = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


@given(faces)
def test_everything_agrees_with_scikit_learn(pairs):
    labels, predicted = np.array(pairs).T
    matrix = confusion_matrix(labels.astype(np.int8), predicted, 7)
    assert matrix.dtype == np.int64
    assert (matrix == sklearn_metrics.confusion_matrix(labels, predicted, labels=range(7))).all()
    assert accuracy(matrix) == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    present = sorted(set(labels))
    theirs = sklearn_metrics.recall_score(labels, predicted, labels=present, average=None, zero_division=0)
    assert recall_per_class(matrix)[present] == pytest.approx(theirs)
    assert macro_recall(matrix) == pytest.approx(theirs.mean())
    if len(present) > 1 and set(predicted) <= set(labels):
        assert macro_recall(matrix) == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, predicted))


@given(faces)
def test_recall_is_nan_exactly_for_absent_classes(pairs):
    labels, predicted = np.array(pairs).T
    absent = ~np.isin(np.arange(7), labels)
    assert (np.isnan(recall_per_class(confusion_matrix(labels, predicted, 7))) == absent).all()


def test_without_faces_nothing_is_known():
    empty = confusion_matrix(np.array([], np.int8), np.array([], np.int64), 7)
    assert empty.sum() == 0 and np.isnan(accuracy(empty)) and np.isnan(macro_recall(empty))


@pytest.mark.parametrize("labels, predicted", [([0, -1], [0, 0]), ([0, 1], [0, 7]), ([0], [0, 1])])
def test_unlabelled_faces_are_refused(labels, predicted):
    with pytest.raises(ValueError, match="Expected"):
        confusion_matrix(np.array(labels), np.array(predicted), 7)


def test_the_papers_submission_3():
    """Figure 5: 208 of 429, macro recall 39.63; rows and columns permute together."""
    matrix = np.array(
        [
            [0, 21, 3, 0, 0, 12, 9],
            [1, 45, 6, 1, 0, 7, 12],
            [0, 7, 60, 0, 0, 2, 3],
            [4, 17, 6, 5, 0, 15, 10],
            [0, 8, 5, 0, 0, 3, 7],
            [1, 14, 5, 2, 0, 47, 5],
            [1, 29, 2, 0, 0, 3, 51],
        ]
    )
    assert round(100 * macro_recall(matrix), 2) == 39.63
    assert accuracy(matrix) == 208 / 429
