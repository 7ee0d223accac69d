"""FER+ by its own protocol: which faces keep which class, and that the rule counts in FER+'s file what others count."""

import csv
from collections import Counter

import numpy as np
from releases.test_data_sheets import sheet
from releases.test_fer2013 import USAGES, fer2013_csv
from releases.test_ferplus import rows, write

from fer_transfer.faces.faces import FERPLUS_COLUMNS
from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import SEVEN
from fer_transfer.releases.ferplus_majority import CLASSES, STATED_COUNTS, majority

RELEASE = ["release=ferplus", "release.path=fer2013.csv", "release.ferplus=votes.csv"]


def slowly(votes: list[int]) -> str:
    """The rule of FER+'s authors, face by face."""
    votes = [0 if count <= 1 else count for count in votes]
    best = max(votes)
    name = FERPLUS_COLUMNS[votes.index(best)] if best > 0.5 * sum(votes) else "unknown"
    return "" if name in ("unknown", "NF") else name


def test_faces_under_the_class_that_most_chose(elsewhere, command):
    (elsewhere / "fer2013.csv").write_text(fer2013_csv())
    write(elsewhere / "votes.csv", rows())
    code, out, err = command("prepare", *RELEASE)
    assert code == 0, err
    faces = open_faces(elsewhere / "faces/ferplus")
    chosen = {f"fer{n:07d}": slowly([int(v) for v in row.split(",")[2:]]) for n, row in enumerate(rows())}
    kept = {id: name for id, name in chosen.items() if name not in ("", "contempt")}
    assert dict(zip(faces.ids[:].tolist(), faces.labels.tolist(), strict=True)) == {
        id: SEVEN.index(name) for id, name in kept.items()
    }
    assert faces.splits.tolist() == [USAGES[int(id[3:])] for id in kept] and faces.votes is not None
    none = list(chosen.values()).count("")
    assert f"{none} faces have no class" in out and "caveat: without contempt" in out
    assert "other counts than in FER+'s own file" in out and "caveat: counts differ from those of FER+" in out


def test_contempt_is_refused_unless_it_is_left_out(elsewhere, command):
    (elsewhere / "fer2013.csv").write_text(fer2013_csv())
    write(elsewhere / "votes.csv", rows())
    code, _, err = command("prepare", *RELEASE, "release.leave_out=[]")
    count = [slowly([int(v) for v in row.split(",")[2:]]) for row in rows()].count("contempt")
    assert code == 1 and f"contempt {count}: fer0000007" in err and "release.leave_out=[contempt]" in err
    assert not (elsewhere / "faces").exists()


def test_eight_classes_keep_it_and_fer_2013_has_none_of_it(elsewhere, command):
    (elsewhere / "fer2013.csv").write_text(fer2013_csv())
    write(elsewhere / "votes.csv", rows())
    code, _, err = command("prepare", *RELEASE, "labels=eight")
    assert code == 1 and "none: Contempt" in err and "release.leave_out leaves out contempt" in err
    code, out, err = command("prepare", *RELEASE, "labels=eight", "release.leave_out=[]")
    assert code == 0 and "no faces of" not in out, err
    faces = open_faces(elsewhere / "faces/ferplus")
    count = [slowly([int(v) for v in row.split(",")[2:]]) for row in rows()].count("contempt")
    assert faces.classes[7] == "Contempt" and (faces.labels == 7).sum() == count > 0
    words = [
        "labels.classes=[calm,angry]",
        "labels.names={Neutral: calm, Happy: calm, Surprise: calm, Disgust: angry, Fear: angry, Sad: angry}",
    ]
    for given, expected in ((["labels=eight"], list(range(7))), (words, [1, 1, 1, 0, 1, 0, 0])):
        code, out, err = command(
            "prepare", "release=fer2013", "release.path=fer2013.csv", f"out=faces/{len(given)}", *given
        )
        assert code == 0 and ("caveat: no faces of Contempt" in out) == (len(given) == 1), err
        other = open_faces(elsewhere / f"faces/{len(given)}")
        code, out, err = command("prepare", "release=fer2013", "release.path=fer2013.csv", "out=faces/seven")
        assert other.labels.tolist() == [expected[label] for label in open_faces(elsewhere / "faces/seven").labels]


def test_the_rule_on_random_votes():
    votes = np.random.default_rng(0).multinomial(10, [0.1] * 10, 500).astype(np.uint8)
    votes[:200] = np.random.default_rng(1).multinomial(10, [0.55] + [0.05] * 9, 200)
    found = ["" if column < 0 else CLASSES[column] for column in majority(votes).tolist()]
    assert found == [slowly(row) for row in votes.tolist()] and len(set(found)) > 3


def test_stated_counts(shared_data):
    with (shared_data / "fer2013new.csv").open(encoding="utf-8-sig") as file:
        table = list(csv.DictReader(file))
    votes = np.array([[int(row[name]) for name in FERPLUS_COLUMNS] for row in table], np.uint8)
    found = Counter(zip((row["Usage"] for row in table), majority(votes).tolist(), strict=True))
    assert {split: tuple(found[split, n] for n in range(8)) for split in STATED_COUNTS} == STATED_COUNTS


def test_the_sheet_has_the_counts():
    of = sheet("fer_transfer.releases.ferplus_majority")
    for n, name in enumerate(CLASSES):
        assert f"{name} {sum(counts[n] for counts in STATED_COUNTS.values())}" in of["Classes"]
    assert all(f"{split} {sum(counts)}" in of["Size"] for split, counts in STATED_COUNTS.items())
