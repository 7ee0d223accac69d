"""Which faces are held out: by subject and picture, in proportion, the same for ever."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_transfer.errors import FacesError
from fer_transfer.faces.division import groups, held_out_of, held_out_rows, unrelated
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.held_out import HeldOut, held_out_called, together
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter


def first_of(values: list[object]) -> np.ndarray:
    return np.array([values.index(value) for value in values], np.int32)


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """Any faces: columns are put in their place."""
    folder = tmp_path_factory.mktemp("some") / "faces"
    with FacesWriter(folder, "some", (2, 2), 1) as writer:
        writer.add(np.zeros((2, 2), np.uint8), "a", "Train", 0, subject="s")
    return open_faces(folder)


def faces_of(some: Faces, content: list[tuple[str, int, int, int, bool]]) -> Faces:
    """Split, label, picture, subject (0: unknown) and whether it was found, of each face."""
    splits, labels, pictures, subjects, found = (list(column) for column in zip(*content, strict=True))
    names = tuple(dict.fromkeys(splits))
    known = [subject or -row - 1 for row, subject in enumerate(subjects)]
    return replace(
        some, split_names=names, split_numbers=np.array([names.index(split) for split in splits]),
        labels=np.array(labels, np.int8), found=np.array(found), duplicate_of=first_of(pictures), subject_of=first_of(known),
        pixels=np.zeros((len(content), 2, 2), np.uint8),
    )  # fmt: skip


def groups_one_by_one(faces: Faces) -> list[frozenset[int]]:
    """Joined until nothing changes."""
    of = [{row} for row in range(len(faces))]
    changed = True
    while changed:
        changed = False
        for i in range(len(faces)):
            for j in range(i):
                picture = faces.found[i] and faces.found[j] and faces.duplicate_of[i] == faces.duplicate_of[j]
                if (picture or faces.subject_of[i] == faces.subject_of[j]) and of[i] is not of[j]:  # type: ignore[index]
                    of[i] |= of[j]
                    for row in of[i]:
                        of[row] = of[i]
                    changed = True
    return [frozenset(rows) for rows in of]


content = st.lists(
    st.tuples(st.sampled_from(["Train", "Val"]), st.integers(-1, 6), st.integers(1, 30), st.integers(0, 9), st.booleans()),
    min_size=2, max_size=40,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(content, st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 3))
def test_no_subject_and_no_picture_is_on_both_sides(
    some: Faces, content: list[tuple[str, int, int, int, bool]], share: float, seed: int
) -> None:
    faces = faces_of(some, [("Train", 0, 98, 0, True), ("Val", 0, 99, 0, True), *content])
    expected, found = groups_one_by_one(faces), groups(faces)
    assert all((found[i] == found[j]) == (expected[i] is expected[j] or expected[i] == expected[j])
               for i in range(len(faces)) for j in range(i))  # fmt: skip
    held = held_out_of(faces, "Train", share, seed)
    try:
        rows = faces.rows([held.name])
    except FacesError as error:
        assert "comes to none" in str(error)
        return
    assert set(rows.tolist()) < set(faces.rows(["Train"]).tolist()) | {-1}
    trained = unrelated(faces, faces.rows(["Train", "Val"]), rows)
    assert not {expected[row] for row in rows.tolist()} & {expected[row] for row in trained.tolist()}
    assert (held_out_rows(faces, held) == rows).all()


def test_every_expression_keeps_its_share_where_faces_are_nobodys(some: Faces) -> None:
    draw = np.random.default_rng(0)
    labels = draw.choice(7, 5000, p=[0.3, 0.02, 0.1, 0.3, 0.1, 0.1, 0.08]).tolist()
    faces = faces_of(some, [("Train", label, row + 1, 0, True) for row, label in enumerate(labels)])
    rows = faces.rows([held_out_of(faces, "Train", 0.1, 0).name])
    counts = np.bincount(faces.labels[rows], minlength=7)
    assert np.abs(counts - 0.1 * np.bincount(labels, minlength=7)).max() <= 0.5
    assert np.histogram(rows, 5, (0, 5000))[0].min() > 60, "they are no part of the release's order"
    assert set(rows) != set(faces.rows([held_out_of(faces, "Train", 0.1, 1).name]))
    assert rows[:6].tolist() == [12, 29, 30, 39, 42, 49], "another division would be another stage under the same key"


def test_expressions_keep_their_share_as_far_as_subjects_allow(some: Faces) -> None:
    draw = np.random.default_rng(1)
    content = [("Train", int(draw.integers(7)), row + 1, int(draw.integers(1, 60)), True) for row in range(3000)]
    faces = faces_of(some, content)
    rows = faces.rows([held_out_of(faces, "Train", 0.2, 5).name])
    share = np.bincount(faces.labels[rows], minlength=7) / np.bincount(faces.labels, minlength=7)
    assert np.abs(share - 0.2).max() < 0.04
    subjects = faces.subject_of
    assert subjects is not None and not set(subjects[rows]) & set(np.delete(subjects, rows))


def test_a_split_is_divided_alike_whatever_else_is_trained_on(some: Faces) -> None:
    content = [("Train", row % 7, row + 1, 0, True) for row in range(70)]
    alone, beside = (
        faces_of(some, content),
        faces_of(some, [*content, *(("Val", 1, 99 + i, 0, True) for i in range(50))]),
    )
    name = held_out_of(alone, "Train", 0.2, 0).name
    assert (alone.rows([name]) == beside.rows([name])).all()


def test_of_folds_of_a_person_each_whole_people_are_held_out(some: Faces) -> None:
    """A tenth of one person's fold is nobody; of nine people it is one."""
    people = [(f"fold{row // 14}", row % 7, row + 1, row // 14 + 1, True) for row in range(140)]
    faces = faces_of(some, people)
    trained = [f"fold{n}" for n in range(10) if n != 3]
    [split] = together(trained)
    held = held_out_of(faces, split, 0.1, 0)
    assert held.name.startswith("fold0-2+4-9~0.1~0") and held_out_called(held.name) == held
    rows = faces.rows([held.name])
    assert len(rows) == 14 and len(set(faces.split_numbers[rows].tolist())) == 1 and 3 not in faces.split_numbers[rows]
    with pytest.raises(FacesError, match="comes to none"):
        faces.rows([held_out_of(faces, "fold0", 0.1, 0).name])
    with pytest.raises(FacesError, match=r"Expected split 'fold0-10~0\.1~0'"):
        faces.rows(["fold0-10~0.1~0"])


def test_what_a_name_means(some: Faces) -> None:
    faces = faces_of(some, [("Train", 0, 1, 0, True), ("Train", 0, 2, 3, True)])
    held = held_out_of(faces, "Train", 0.5, 3)
    assert held.subjects == some.manifest["files"]["columns.npy"][:8] and held_out_called(held.name) == held
    with pytest.raises(
        FacesError, match=r"the subjects that Train~0\.5~3~00000000 was divided by, but they are others"
    ):
        faces.rows([HeldOut("Train", 0.5, 3, "00000000").name])
    with pytest.raises(FacesError, match=r"Expected split 'Trains~0\.5~3'"):
        faces.rows(["Trains~0.5~3"])
    with pytest.raises(FacesError, match=r"an older fer_transfer prepared them.*replace=true"):
        held_out_of(replace(faces, subject_of=None), "Train", 0.5, 0)
