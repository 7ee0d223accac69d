"""Which faces are trained on and what they are taken to show, against the rules written out for one face."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_transfer.data.labelling import LABELS, Labelling
from fer_transfer.data.targets import check_votes, select_rows, targets_of
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.faces import FERPLUS_COLUMNS, Faces
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.releases.ferplus import read_votes

#: FER+'s words for the seven; contempt, unknown and NF are none of them.
WORDS = {
    "neutral": "Neutral",
    "happiness": "Happy",
    "surprise": "Surprise",
    "sadness": "Sad",
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
}


def faces_of(votes=None, labels=None, splits=None, found=None, duplicate_of=None, name="fer2013"):
    count = next(len(column) for column in (votes, labels, splits) if column is not None)
    splits = splits or ["Training"] * count
    names = tuple(dict.fromkeys(splits))
    return Faces(
        folder=Path("somewhere"),
        pixels=np.zeros((count, 2, 2), np.uint8),
        ids=np.array([str(i) for i in range(count)]),
        split_names=names,
        split_numbers=np.array([names.index(split) for split in splits]),
        labels=np.array(labels if labels is not None else [0] * count, np.int8),
        found=np.array(found if found is not None else [True] * count),
        duplicate_of=np.array(duplicate_of if duplicate_of is not None else range(count), np.int32),
        subject_of=np.arange(count, dtype=np.int32),
        votes=None if votes is None else np.array(votes, np.uint8),
        manifest={"name": name, "settings": {"ferplus": votes is not None} if name == "fer2013" else {}},
    )


def votes_for(**counts):
    return [counts.get(column, 0) for column in FERPLUS_COLUMNS]


def majority(votes):
    """Name of the expression with most votes, or None."""
    winners = [column for column, count in zip(FERPLUS_COLUMNS, votes, strict=True) if count == max(votes)]
    return WORDS.get(winners[0]) if len(winners) == 1 else None


def shares(votes):
    """Share of each expression in the votes for the seven, or None."""
    of_seven = {WORDS[c]: n for c, n in zip(FERPLUS_COLUMNS, votes, strict=True) if c in WORDS}
    total = sum(of_seven.values())
    return [of_seven[name] / total for name in EXPRESSIONS] if total else None


@st.composite
def ten_votes(draw):
    """Ten taggers, each with one of the ten answers, often the same ones."""
    answers = draw(
        st.lists(st.sampled_from(draw(st.sampled_from([range(10), (3, 9), (0, 7, 8), (9,)]))), min_size=9, max_size=10)
    )
    return [answers.count(column) for column in range(10)]


@settings(max_examples=80, deadline=None)
@given(st.lists(ten_votes(), min_size=1, max_size=12), st.booleans())
def test_votes_by_the_rules_of_one_face(votes, training):
    faces = faces_of(votes)
    for labels, rule in (("ferplus_majority", majority), ("ferplus_soft", shares)):
        expected = {row: rule(of_face) for row, of_face in enumerate(votes) if rule(of_face) is not None}
        rows = select_rows(faces, ["Training"], Labelling(labels), training)
        assert rows.tolist() == list(expected)
        targets = targets_of(faces, rows, labels)
        if labels == "ferplus_majority":
            assert [EXPRESSIONS[t] for t in targets.tolist()] == list(
                expected.values()
            ) and targets.dtype == torch.int64
        else:
            assert np.allclose(targets.numpy(), np.array(list(expected.values())).reshape(-1, 7), atol=1e-7)
            assert targets.dtype == torch.float32


@pytest.mark.parametrize(
    ("votes", "hard", "soft"),
    [
        (votes_for(happiness=6, surprise=4), "Happy", {"Happy": 0.6, "Surprise": 0.4}),
        (votes_for(happiness=5, surprise=5), None, {"Happy": 0.5, "Surprise": 0.5}),  # a tie
        (votes_for(contempt=6, anger=4), None, {"Angry": 1.0}),
        (votes_for(unknown=5, sadness=4, fear=1), None, {"Sad": 0.8, "Fear": 0.2}),
        (votes_for(anger=4, contempt=4, fear=2), None, {"Angry": 4 / 6, "Fear": 2 / 6}),  # a tie with contempt is one
        (votes_for(NF=10), None, None),
        (votes_for(contempt=5, unknown=5), None, None),
    ],
)
def test_ties_contempt_unknown_and_no_face(votes, hard, soft):
    faces = faces_of([votes])
    rows = select_rows(faces, ["Training"], Labelling("ferplus_majority"), True)
    assert [EXPRESSIONS[t] for t in targets_of(faces, rows, "ferplus_majority")] == ([hard] if hard else [])
    rows = select_rows(faces, ["Training"], Labelling("ferplus_soft"), True)
    got = [
        {EXPRESSIONS[i]: p for i, p in enumerate(face) if p}
        for face in targets_of(faces, rows, "ferplus_soft").tolist()
    ]
    assert got == ([pytest.approx(soft)] if soft else [])


def test_release_labels_are_taken_as_they_are():
    faces = faces_of([votes_for(happiness=10)] * 3, labels=[2, -1, 6])
    rows = select_rows(faces, ["Training"], Labelling(), True)
    assert rows.tolist() == [0, 2] and targets_of(faces, rows, "release").tolist() == [2, 6]


def test_non_faces_are_left_out_of_training_only():
    faces = faces_of([votes_for(NF=6, happiness=4), votes_for(happiness=10), votes_for(NF=4, anger=6)])
    assert select_rows(faces, ["Training"], Labelling(drop_non_faces=True), True).tolist() == [1, 2]
    assert select_rows(faces, ["Training"], Labelling(drop_non_faces=True), False).tolist() == [0, 1, 2]
    assert select_rows(faces, ["Training"], Labelling(), True).tolist() == [0, 1, 2]


def test_pictures_of_splits_not_trained_on_are_left_out():
    # rows:    0           1           2            3            4             5
    splits = ["Training", "Training", "PublicTest", "Training", "PublicTest", "PrivateTest"]
    faces = faces_of(splits=splits, duplicate_of=[0, 1, 0, 3, 4, 1])

    def kept(*trained, drop=True, training=True):
        return select_rows(faces, trained, Labelling(drop_leaked=drop), training).tolist()

    assert kept("Training") == [3]  # 0 stands in PublicTest, 1 in PrivateTest
    assert kept("Training", "PublicTest") == [0, 2, 3, 4]
    assert kept("Training", drop=False) == [0, 1, 3]
    assert kept("PublicTest", training=False) == [2, 4]


def test_lost_faces():
    faces = faces_of(labels=[1, 2], found=[True, False])
    assert select_rows(faces, ["Training"], Labelling(), True).tolist() == [0]
    assert select_rows(faces, ["Training"], Labelling(train_on_lost=True), True).tolist() == [0, 1]
    assert select_rows(faces, ["Training"], Labelling(), False).tolist() == [0, 1]


@pytest.mark.parametrize("labels", LABELS)
def test_a_release_that_has_no_votes_keeps_its_labels(labels):
    faces = faces_of(labels=[3, -1, 5], splits=["Train"] * 3, name="emotiw")
    rows = select_rows(faces, ["Train"], Labelling(labels, drop_non_faces=True), True)
    targets = targets_of(faces, rows, labels)
    assert rows.tolist() == [0, 2] and (targets.argmax(dim=1) if targets.ndim == 2 else targets).tolist() == [3, 5]


@pytest.mark.parametrize(
    "labelling", [Labelling("ferplus_majority"), Labelling("ferplus_soft"), Labelling(drop_non_faces=True)]
)
def test_votes_that_were_never_joined(labelling):
    with pytest.raises(FacesError, match=r"somewhere.*release\.ferplus"):
        check_votes([faces_of(labels=[0])], labelling)
    check_votes([faces_of(labels=[0])], Labelling())


def test_misspelt_labels():
    with pytest.raises(ConfigError, match=r"ferplus_majority.*'ferplus'"):
        Labelling("ferplus")


def test_real_votes(shared_data):
    path = shared_data / "fer2013new.csv"
    usages = [line.split(",", 1)[0] for line in path.read_text().splitlines()[1:]]
    votes = read_votes(path, usages)
    faces = faces_of(votes, splits=usages)
    rows = select_rows(faces, ["Training"], Labelling("ferplus_majority"), True)
    expected = {i: majority(v) for i, v in enumerate(votes.tolist()) if usages[i] == "Training" and majority(v)}
    assert rows.tolist() == list(expected) and len(rows) > 25_000
    assert [EXPRESSIONS[t] for t in targets_of(faces, rows, "ferplus_majority").tolist()] == list(expected.values())
    dropped = len(usages) - len(select_rows(faces, sorted(set(usages)), Labelling(drop_non_faces=True), True))
    assert 150 <= dropped <= 200  # about 177 pictures show no face
