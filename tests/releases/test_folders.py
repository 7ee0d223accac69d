"""Pictures of one's own through fer-prepare: class folders, lists, made splits, and everything that may be wrong with them."""

import os
import re
import shutil
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases.pictures import FAST, write_picture

from fer_transfer.detection import landmarks
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError
from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS, UNLABELLED
from fer_transfer.releases.dividing import _groups, divide
from fer_transfer.releases.folders import FoldersRelease

ALIGNED = ["release=folders", "release.path=own", "release.aligned=true", *FAST]
SHARES = "release.shares={Train: 0.6, Val: 0.2, Test: 0.2}"


def write_folders(root: Path, form: str = "{name}/{person}_{i}.png", people: int = 5, splits: str = "") -> Path:
    """One picture of each of five people for each expression, but for Val, which holds the last one's."""
    for person in range(people):
        split = splits and ("val_set" if person == people - 1 else splits)
        for i, name in enumerate(EXPRESSIONS):
            write_picture(root / form.format(split=split, name=name, person=f"S{person:02}", i=i))
    return root


def faces_of(folder: Path):
    faces = open_faces(folder)
    return {
        id: (str(faces.splits[i]), int(faces.labels[i])) for i, id in enumerate(faces.ids[:].tolist())
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("{split}/{name}/{person}_{i}.png", "folder"),
        ("{name}/{split}/{person}_{i}.png", "zip"),
        ("a/{split}/{name}/{person}/{i}.png", "tar.gz"),
    ],
)
def test_given_splits(elsewhere, command, form, kind):
    root = write_folders(elsewhere / "own", form, splits="train")
    if kind != "folder":
        packed = elsewhere / f"own.{kind}"
        files = sorted(path for path in root.rglob("*") if path.is_file())
        if kind == "zip":
            with zipfile.ZipFile(packed, "w") as archive:
                for file in files:
                    archive.write(file, file.relative_to(root))
        else:
            with tarfile.open(packed, "w:gz") as archive:
                for file in files:
                    archive.add(file, file.relative_to(root))
        shutil.rmtree(root)
    path = "own" if kind == "folder" else f"own.{kind}"
    code, out, err = command("prepare", *ALIGNED, f"release.path={path}", r'release.subject="(S\d+)"')
    assert code == 0, err
    faces = faces_of(elsewhere / "faces/folders")
    assert Counter(faces.values()) == Counter({("Train", i): 4 for i in range(7)} | {("Val", i): 1 for i in range(7)})
    for id, (split, label) in faces.items():
        assert EXPRESSIONS[label] in id and (split == "Val") == ("val_set" in id)
    assert "Train: 28 pictures, 4 subjects (Angry 4" in out and "Val: 7 pictures, 1 subject (" in out


def test_faces_already_are_the_central_square_resized(elsewhere, command):
    write_folders(elsewhere / "own")
    write_picture(elsewhere / "own/Happy/wide.png", (20, 40))
    code, _, err = command("prepare", *ALIGNED, "release.size=20", "pipeline.crop.stretch=false", SHARES)
    assert code == 0, err
    faces = open_faces(elsewhere / "faces/folders")
    assert faces.pixels.shape == (36, 20, 20) and faces.found.all()
    grey = cv2.cvtColor(cv2.imread(str(elsewhere / "own/Happy/wide.png")), cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(faces.pixels[faces.ids[:].tolist().index("Happy/wide.png")], grey[:, 10:30])


@pytest.mark.parametrize("words", [[], ["pipeline=mediapipe"]], ids=["mesh", "landmarker"])
def test_faces_already_need_no_model(elsewhere, command, words, monkeypatch):
    def absent():
        raise ConfigError("no mesh here")

    write_folders(elsewhere / "own", people=5)
    monkeypatch.setattr(landmarks, "_bundled", absent)
    chosen = ["release=folders", "release.path=own", "pipeline.crop.size=16", "workers=1", SHARES, *words]
    code, _, err = command("prepare", *chosen, "release.aligned=true", "out=without")
    assert code == 0, err
    assert command("prepare", *ALIGNED, SHARES, "out=box")[0] == 0
    np.testing.assert_array_equal(open_faces("without").pixels[:], open_faces("box").pixels[:])
    code, _, err = command("prepare", *chosen, "out=frames")  # where faces are looked for there must be one
    assert code == 1 and len(err.splitlines()) == 1 and not (elsewhere / "frames").exists()
    assert "no mesh here" in err if not words else "fer-weights model=landmarker fetch=true" in err


def test_frames_go_through_the_pipeline(elsewhere, command):
    write_folders(elsewhere / "own", people=5)
    code, out, err = command("prepare", "release=folders", "release.path=own", *FAST, SHARES)
    assert code == 0, err
    assert not open_faces(elsewhere / "faces/folders").found.any() and "lost, no face detected: 35" in out


def write_list(root: Path, rows: list[str], header: str = "path,label,split,subject") -> None:
    (root / "list.csv").write_text("\n".join([header, *rows, ""]))


@pytest.mark.parametrize("inside", [False, True])
def test_a_list(elsewhere, command, inside):
    root = write_folders(elsewhere / "own", "pictures/{name}{person}{i}.png", people=2)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = [f'"{n}",{re.split("S0", Path(n).name)[0]},{"train" if "S00" in n else "Val"},{n[-6:-5]}' for n in names]
    rows[0] = rows[0].replace(",Angry,", ",,")
    write_list(root if inside else elsewhere, rows)
    code, _, err = command("prepare", *ALIGNED, "release.csv=list.csv")
    assert code == 0, err
    faces = faces_of(elsewhere / "faces/folders")
    assert list(faces) == sorted(names, key=lambda n: "S01" in n) and len(faces) == 14
    assert faces.pop(names[0])[1] == UNLABELLED
    assert all(
        EXPRESSIONS[label] in id and split == ("Train" if "S00" in id else "Val")
        for id, (split, label) in faces.items()
    )


def test_made_splits_keep_subjects_whole_and_classes_in_proportion(elsewhere, command):
    write_folders(elsewhere / "own", "{name}/{person}_{i}.png", people=10)
    words = [*ALIGNED, r'release.subject="(S\d+)_"', "release.folds=5"]
    code, out, err = command("prepare", *words, "release.seed=3")
    assert code == 0, err
    faces = faces_of(elsewhere / "faces/folders")
    by_fold = {fold: {id.split("/")[1][:3] for id, (split, _) in faces.items() if split == fold} for fold in
               [f"fold{n}" for n in range(5)]}  # fmt: skip
    assert sorted(map(len, by_fold.values())) == [2] * 5 and len(set().union(*by_fold.values())) == 10
    assert Counter(faces.values()) == {(fold, label): 2 for fold in by_fold for label in range(7)}
    assert "splits were made: 5 folds, seed 3; a subject stands in one" in out
    assert split_of(elsewhere, 3) == {id: split for id, (split, _) in faces.items()} != split_of(elsewhere, 4)


def split_of(root: Path, seed: int) -> dict[str, str]:
    pipeline = FacePipeline(ViolaJones(), None, BoxCrop(16))
    release = FoldersRelease(str(root / "own"), pipeline, subject=r"(S\d+)_", folds=5, seed=seed)
    release.scan(lambda done, of: None)
    return {picture.id: picture.split for picture in release._scanned.pictures}


@given(st.lists(st.sampled_from(["", "ann", "bob", "b", "a\0", "é"]), max_size=12))
def test_a_subject_is_a_group_and_a_picture_of_nobody_is_one(subjects):
    group, several = _groups(iter(subjects))
    for i, a in enumerate(subjects):
        for j, b in enumerate(subjects):
            assert (group[i] == group[j]) == (i == j or a == b != "")
    often = sorted(name for name, count in Counter(filter(None, subjects)).items() if count > 1)
    assert [subjects[list(group).index(number)] for number in several] == often


def test_the_rule_by_itself():
    """Shares of every class to a picture where subjects are unknown; whole subjects, near to the shares, where they are."""
    random = np.random.default_rng(0)
    labels = random.choice(7, 2000, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.03, 0.02]).tolist()
    shares = {"Train": 0.7, "Val": 0.1, "Test": 0.2}
    alone = divide(labels, [""] * 2000, shares, 0)
    people = [f"p{n}" for n in random.integers(0, 200, 2000)]
    together = divide(labels, people, shares, 0)
    for splits, most in ((alone, 1), (together, 4)):
        for label, count in Counter(labels).items():
            for split, share in shares.items():
                here = sum(s == split and of == label for s, of in zip(splits, labels, strict=True))
                assert abs(here - share * count) <= most
    assert all(len({s for s, of in zip(together, people, strict=True) if of == p}) == 1 for p in people)
    assert divide([], [], shares, 0) == []


def shared_subject(root):
    write_folders(root, "{split}/{name}/{person}_{i}.png", splits="train")
    for name in ("S01_0", "S01_1", "S03_2"):
        write_picture(root / f"val_set/Angry/{name}.png")


def rare_class(root):
    write_folders(root, people=6)
    for path in sorted((root / "Disgust").iterdir())[2:]:
        path.unlink()


def contempt(root):
    write_folders(root)
    for n in range(4):
        write_picture(root / f"Contempt/{n}.png")
    write_picture(root / "Sleepy/deep/1.png")


def two_names(root):
    write_folders(root)
    for n in range(4):
        write_picture(root / f"happy/{n}.png")


def empty_class(root):
    write_folders(root, "{name}/{person}_{i}.png")
    shutil.rmtree(root / "Sad")
    (root / "Sad").mkdir()


def one_pixel(root):
    write_folders(root)
    write_picture(root / "Sad/dot.png", 1)
    write_picture(root / "Sad/dash.jpg", (2, 9))


def no_class(root):
    write_folders(root)
    write_picture(root / "stray.png")


def some_splits(root):
    write_folders(root, "{split}/{name}/{person}_{i}.png", splits="train")
    write_picture(root / "Happy/loose.png")


def bad_list(root):
    write_folders(root, "{name}{person}.png", people=1)
    rows = ["AngryS00.png,Angry", "AngryS00.png,Angry", "gone.png,Happy", "../own/SadS00.png,Sad", "/etc/x.png,Sad",
            "C:\\x.png,Sad", "FearS00.png,Fear", "sads00.PNG,Sad"]  # fmt: skip
    write_list(root, rows, "path,label")


def given_folds(root):
    write_folders(root / "fold1")
    write_folders(root / "fold2")
    shutil.rmtree(root / "fold2/Fear")


def few(root):
    write_folders(root, people=3)


def empty_other(root):
    write_folders(root)
    (root / "Bored").mkdir()


WRONG = {
    shared_subject: ([r'release.subject="(S\d+)_"'], ["2 of 5 in two or more: S01 in Train", "S03 in Train"]),
    rare_class: ([r'release.subject="(S\d+)_"', "release.folds=3"], ["got 1 empty: no Disgust in fold", "Disgust 2"]),
    contempt: ([SHARES], ["5 of 40 pictures of others (Contempt 4: Contempt/0.png, Contempt/1.png, Contempt/2.png, ...",
                          "Sleepy 1: Sleepy/deep/1.png", "release.leave_out=[Contempt,Sleepy]"]),
    two_names: ([SHARES], ["there are 2 (Happy 5:", "happy 4: happy/0.png", "release.classes='{Happy: Happy, happy: Happy}'"]),
    empty_class: ([SHARES], ["none in 1 (Sad)"]),
    one_pixel: ([SHARES], ["2 of 37 smaller (Sad/dash.jpg (9x2), Sad/dot.png (1x1))"]),
    no_class: ([SHARES], ["1 of 36 in none (stray.png)"]),
    some_splits: ([], ["none for 1 of 36 (Happy/loose.png)"]),
    bad_list: (["release.csv=own/list.csv"], ["3 absolute or outside (../own/SadS00.png, /etc/x.png, C:\\x.png)",
                                              "2 not there (gone.png, sads00.PNG)", "1 twice (AngryS00.png)",
                                              "There in another spelling: sads00.PNG is SadS00.png."]),
    write_folders: ([], ["none for 35 of 35"]),
    given_folds: ([], ["got 1 empty: no Fear in fold2 (pictures in all: Fear 5)"]),
    few: ([SHARES], ["no Angry in Test", "Make fewer splits", "give another release.seed"]),
    empty_other: ([SHARES], ["none in 1 (Bored)"]),
}  # fmt: skip


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_what_is_wrong_is_named_before_anything_is_written(elsewhere, command, damage):
    damage(elsewhere / "own")
    words, said = WRONG[damage]
    code, _, err = command("prepare", *ALIGNED, *words)
    assert code == 1 and "Traceback" not in err and err.strip().count("\n") <= 1, err
    assert [word for word in said if word not in err] == [], err
    assert sorted(path.name for path in elsewhere.iterdir()) == ["own"]


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_that_tells_of_an_empty_class_folder_is_refused(elsewhere, command, kind):
    empty_class(elsewhere / "own")
    packed = shutil.make_archive(str(elsewhere / "packed"), kind, elsewhere / "own")
    code, _, err = command("prepare", *ALIGNED, SHARES, f"release.path={packed}")
    assert code == 1 and "none in 1 (Sad)" in err, err


def test_a_picture_of_a_pixel_in_a_large_file_is_lost(elsewhere, command):
    write_folders(elsewhere / "own")
    done, data = cv2.imencode(".png", np.zeros((1, 1), np.uint8))
    end = data.tobytes().index(b"IEND") - 4
    words = b"tEXt" + b"a\0" + b"b" * 3000
    chunk = struct.pack(">I", len(words) - 4) + words + struct.pack(">I", zlib.crc32(words))
    (elsewhere / "own/Sad/dot.png").write_bytes(data.tobytes()[:end] + chunk + data.tobytes()[end:])
    code, out, err = command("prepare", *ALIGNED, SHARES)
    assert done and (code, err.count("Expected")) == (0, 0), err
    assert "1x1: too small for a face: 1 (Sad/dot.png)" in out and "1 face is lost" in out and "mixed" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["release.folds=1"], "at least 2"),
        (["release.shares={Train: 0.5, Val: 0.6}"], "1 in all"),
        (["release.shares={Train: 1, Val: a}"], "1 in all"),
        (["release.folds=3", SHARES], "got both"),
        (["release.leave_out=[contemt]", SHARES], "holds no contemt"),
        (["release.classes={smile: Happy}", SHARES], "holds no smile"),
        (["release.classes={Happy: Joyful}", SHARES], "Joyful"),
        (["release.subject='(S'", SHARES], "regular expression"),
        (["release.subject='(T\\d+)'", SHARES], "finds none in 35 of 35"),
        (["release.csv=list.csv"], "Check release.csv"),
        (["release.seed=-1", SHARES], "release.seed"),
    ],
)
def test_wrong_settings(elsewhere, command, words, said):
    write_folders(elsewhere / "own")
    code, _, err = command("prepare", *ALIGNED, *words)
    assert code == 1 and said in err and "Traceback" not in err, err
    assert sorted(path.name for path in elsewhere.iterdir()) == ["own"]


def test_classes_by_request(elsewhere, command):
    contempt(elsewhere / "own")
    write_picture(elsewhere / "own/smile/1.png")
    words = ["release.leave_out=[contempt, Sleepy]", "release.classes={smile: Happy, Happy: Happy}"]
    code, out, err = command("prepare", *ALIGNED, SHARES, *words)
    assert code == 0, err
    faces = faces_of(elsewhere / "faces/folders")
    assert Counter(label for _, label in faces.values()) == {i: 6 if EXPRESSIONS[i] == "Happy" else 5 for i in range(7)}
    assert "left out: Contempt 4, Sleepy 1" in out and "caveat: without contempt, Sleepy" in out


def test_frames_tell_of_folders_that_name_no_class(elsewhere, command):
    contempt(elsewhere / "own")
    code, out, err = command("prepare", "release=frames", "release.path=own", "release.aligned_size=[24,24]", *FAST)
    assert code == 0, err
    assert "in folders that name no class: 5 (Contempt 4, deep 1)" in out


def test_what_was_listed_takes_few_bytes_a_picture(tmp_path):
    picture, count = tmp_path / "picture", 6144
    picture.write_bytes(b"x" * 2000)  # too large to be a picture of a pixel, so not decoded
    for i in range(count):
        folder = tmp_path / "own" / ("Train" if i % 5 else "Val") / EXPRESSIONS[i % 7]
        folder.mkdir(parents=True, exist_ok=True)
        os.link(picture, folder / f"{i:07}.png")
    release = FoldersRelease(str(tmp_path / "own"), FacePipeline(ViolaJones(), None, BoxCrop(48)), aligned=True)
    tracemalloc.start()
    try:
        assert release.scan(lambda done, of: None) == count
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100 * count and most < 300 * count  # bytes; of pictures as objects 572 and 682
