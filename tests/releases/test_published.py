"""Published data sets in their true layouts, small, through fer-prepare: labels, splits, counts beside stated ones, damage."""

import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from releases.layouts import write_affectnet, write_ckplus, write_expw, write_jaffe, write_rafdb
from releases.pictures import FAST, write_picture
from releases.test_data_sheets import sheet

from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS, SEVEN
from fer_transfer.releases import affectnet, ckplus, expw, rafdb

ONE_EACH = dict.fromkeys(rafdb.CLASSES.values(), 1)


def prepared(command, name, *words):
    code, out, err = command("prepare", f"release={name}", "release.path=own", *FAST, *words)
    assert code == 0, err
    return open_faces(f"faces/{name}"), out


def refused(command, name, *words):
    code, _, err = command("prepare", f"release={name}", "release.path=own", *FAST, *words)
    assert code == 1 and "Traceback" not in err, err
    return err


def test_rafdb(elsewhere, command):
    write_rafdb(elsewhere / "own", {"Surprise": 2, **dict.fromkeys(list(ONE_EACH)[1:], 1)})
    faces, out = prepared(command, "rafdb")
    assert faces.pixels.shape == (16, 100, 100) and faces.found.all()
    assert faces.ids[0] == "basic/Image/aligned/train_00001_aligned.jpg"
    assert faces.split_names == ("Train", "Test")
    order = [SEVEN.index(name) for name in ("Surprise", *rafdb.CLASSES.values())]
    assert faces.labels.tolist() == order * 2
    assert "other counts than stated for RAF-DB (14): Train Surprise 2, not 1290" in out
    assert "caveat: counts differ from those stated for RAF-DB" in out and not faces.may_be_shown


def test_rafdb_photographs(elsewhere, command):
    write_rafdb(elsewhere / "own", {"Fear": 1}, originals=True)
    faces, _ = prepared(command, "rafdb", "release.aligned=false")
    assert faces.ids[:].tolist() == ["basic/Image/original/train_00001.jpg", "basic/Image/original/test_0001.jpg"]
    assert not faces.found.any()  # noise


def test_stated_counts_sum_to_the_published_sizes_and_stand_in_the_sheets():
    of_raf, of_affectnet, of_ck = (sheet(f"fer_transfer.releases.{name}") for name in ("rafdb", "affectnet", "ckplus"))
    raf = {split: sum(of.values()) for split, of in rafdb.RAFDBRelease.stated.items()}
    assert raf == {"Train": 12271, "Test": 3068} and of_raf["Size"] == "Train 12271, Test 3068"
    for name in rafdb.CLASSES.values():
        train, test = (rafdb.RAFDBRelease.stated[split][name] for split in ("Train", "Test"))
        assert f"{name} {train}/{test}" in of_raf["Classes"]
    train = affectnet.AffectNetRelease.stated["Train"]
    assert sum(train.values()) == 287651 and sum(train.values()) - train["Contempt"] == 283901
    assert all(f"{i} {name} {train[name]}" in of_affectnet["Classes"] for i, name in enumerate(affectnet.CLASSES))
    assert sum(ckplus.SEQUENCES.values()) == 327
    assert all(f"{i} {name} {ckplus.SEQUENCES[name]}" in of_ck["Classes"] for i, name in ckplus.CLASSES.items())


def break_rafdb_list(root):
    path = root / "basic/EmoLabel/list_patition_label.txt"
    path.write_text(path.read_text().replace("train_00002.jpg 2", "train_00002.jpg 9"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (break_rafdb_list, "but not in 1 (train_00002.jpg 9)"),
        (lambda root: (root / "basic/EmoLabel/list_patition_label.txt").unlink(), "of 14 files none is it"),
        (
            lambda root: (root / "basic/Image/aligned/test_0001_aligned.jpg").unlink(),
            "1 not there (basic/Image/aligned/test_0001",
        ),
        (lambda root: shutil.copytree(root / "basic", root / "copy"), "there are 2 (basic/EmoLabel"),
        (
            lambda root: write_picture(root / "basic/Image/aligned/train_00003_aligned.jpg", 1),
            "train_00003_aligned.jpg (1x1)",
        ),
    ],
)
def test_rafdb_damaged(elsewhere, command, damage, said):
    damage(write_rafdb(elsewhere / "own", ONE_EACH) or elsewhere / "own")
    assert said in refused(command, "rafdb")
    assert sorted(path.name for path in elsewhere.iterdir()) == ["own"]


def test_ckplus(elsewhere, command):
    """The last three frames and the first of each labelled sequence; ten people in five folds, each person in one."""
    write_ckplus(elsewhere / "own", {name: 2 if name == "Contempt" else 10 for name in ckplus.SEQUENCES}, people=10)
    err = refused(command, "ckplus", "release.folds=5")
    assert "Contempt 6: cohn-kanade-images/" in err and "release.leave_out=[Contempt]" in err
    faces, out = prepared(command, "ckplus", "release.folds=5", "release.leave_out=[contempt]")
    assert list(faces.split_names) == [f"fold{n}" for n in range(5)] and len(faces) == 60 * 4
    of = Counter(EXPRESSIONS[label] for label in faces.labels.tolist())
    assert of == {name: 60 if name == "Neutral" else 30 for name in EXPRESSIONS}
    people = {fold: {id.split("/")[1] for id, split in zip(faces.ids[:].tolist(), faces.splits, strict=True) if split == fold}
              for fold in faces.split_names}  # fmt: skip
    assert [len(of) for of in people.values()] == [2] * 5 and len(set().union(*people.values())) == 10
    for id, label in zip(faces.ids[:].tolist(), faces.labels.tolist(), strict=True):
        assert (id[-12:] == "00000001.png") == (EXPRESSIONS[label] == "Neutral") and id[-12:] != "00000002.png"
    assert "left out: Contempt 6" in out and "(8): Anger 10 sequences, not 45" in out


def test_ckplus_damaged(elsewhere, command):
    root = write_ckplus(elsewhere / "own", {"Anger": 3}, people=3)
    for frame in range(2, 6):
        (root / f"cohn-kanade-images/S005/001/S005_001_{frame:08}.png").unlink()
    assert "fewer in 1 of 3 (S005/001)" in refused(command, "ckplus")
    (root / "Emotion/S006/001/S006_001_00000005_emotion.txt").write_text("angry")
    assert "not in 1 (Emotion/S006/001/S006_001_00000005_emotion.txt: angry)" in refused(command, "ckplus")
    shutil.rmtree(root / "Emotion")
    assert "none is one. Give the folder" in refused(command, "ckplus")


def test_jaffe(elsewhere, command):
    """Ten people, ten folds: each is left out once."""
    write_jaffe(elsewhere / "own", 10, 3)
    faces, out = prepared(command, "jaffe")
    people = [id.split("/")[1][:2] for id in faces.ids[:].tolist()]
    assert len(set(zip(people, faces.splits.tolist(), strict=True))) == 10 == len(set(people)) == len(faces.split_names)
    assert Counter(faces.labels.tolist()) == dict.fromkeys(range(7), 30)
    label = faces.labels[[".HA" in id for id in faces.ids[:].tolist()]]
    assert (label == SEVEN.index("Happy")).all()
    assert "other counts than stated for JAFFE (1): 210 pictures, not 213" in out
    (elsewhere / "own/jaffe/KA.XX1.300.tiff").write_bytes(b"")
    assert "1 of 211 called otherwise (jaffe/KA.XX1.300.tiff)" in refused(command, "jaffe")


@pytest.mark.parametrize("form", ["numbers", "text", "folders"])
def test_affectnet(elsewhere, command, form):
    write_affectnet(elsewhere / "own", 2, form)
    err = refused(command, "affectnet")
    assert "Contempt 4: " in err and "release.leave_out=[Contempt]" in err
    faces, out = prepared(command, "affectnet", "release.leave_out=[Contempt]", "release.size=24")
    assert list(faces.split_names) == ["Train", "Val"] and len(faces) == 28
    for id, split, label in zip(faces.ids[:].tolist(), faces.splits.tolist(), faces.labels.tolist(), strict=True):
        number = int(id.split("/")[-1].removesuffix(".jpg")) % 8
        assert EXPRESSIONS[label] == EXPRESSIONS[SEVEN.index(affectnet.CLASSES[number])]
        assert split.lower() in id
    assert "caveat: without Contempt" in out and "Train Neutral 2, not 74874" in out


def test_affectnet_damaged(elsewhere, command):
    root = write_affectnet(elsewhere / "own", 1, "numbers", classes=7)
    (root / "val_set/images/3.jpg").unlink()
    assert "1 not there (val_set/images/3.jpg)" in refused(command, "affectnet")
    np.save(root / "val_set/annotations/2_exp.npy", np.array(8))
    (root / "val_set/annotations/4_exp.npy").write_bytes(b"x")
    err = refused(command, "affectnet")
    assert "not in 2 (val_set/annotations/2_exp.npy: 8, val_set/annotations/4_exp.npy: no number)" in err
    shutil.rmtree(root / "train_set")
    shutil.rmtree(root / "val_set/annotations")
    assert "of 6 files none lies so" in refused(command, "affectnet")


def test_expw(elsewhere, command):
    """The square of each box, top and left in the owners' order; both faces of a photograph in one split."""
    root = write_expw(elsewhere / "own", dict.fromkeys(expw.CLASSES, 12))
    words = ["release.size=20", "pipeline.crop.stretch=false", "release.shares={Train: 0.5, Test: 0.5}"]
    faces, out = prepared(command, "expw", *words)
    assert faces.pixels.shape == (84, 20, 20) and faces.found.all()
    split = dict(zip(faces.ids[:].tolist(), faces.splits.tolist(), strict=True))
    for id, pixels, label in zip(split, faces.pixels, faces.labels.tolist(), strict=True):
        path, _, face = id.partition("#")
        grey = cv2.cvtColor(cv2.imread(str(root / path)), cv2.COLOR_BGR2GRAY)
        left = 30 * int(face)
        assert np.array_equal(pixels, grey[5:25, left : left + 20]) and split[f"{path}#0"] == split[f"{path}#1"]
        number = 2 * int(path.rpartition("_")[2].removesuffix(".jpg")) + int(face)
        assert EXPRESSIONS[label] == EXPRESSIONS[SEVEN.index(expw.CLASSES[number // 12])]
    assert "other counts than stated for ExpW (7): angry 12, not 3671" in out
    assert sum(expw.ExpWRelease.stated[""].values()) == 91793
    of = sheet("fer_transfer.releases.expw")["Classes"]
    assert all(f"{n} {name} {expw.ExpWRelease.stated[''][name]}" in of for n, name in enumerate(expw.CLASSES))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("word_girl_0.jpg 7 5 20 20 25 60 1", "not in 1 (word_girl_0.jpg 7 5 20 20 25 60 1)"),
        ("word_girl_0.jpg 7 5 0 20 25 60 7", "a class of 0 to 6"),
        ("word_girl_0.jpg 0 5 0 20 25 60 1", "1 twice (origin/word_girl_0.jpg#0)"),
        ("gone.jpg 0 5 0 20 25 60 1", "1 not there (gone.jpg)"),
        ("word_girl_0.jpg 7 5", "8 words in each line"),
    ],
)
def test_expw_damaged(elsewhere, command, line, said):
    path = write_expw(elsewhere / "own", {"happy": 4}) / "label.lst"
    path.write_text(path.read_text() + line + "\n")
    assert said in refused(command, "expw", "release.folds=2")


def test_a_box_outside_its_photograph_is_a_lost_face(elsewhere, command):
    path = write_expw(elsewhere / "own", {"happy": 40}) / "label.lst"
    path.write_text(path.read_text() + "word_girl_0.jpg 7 500 500 520 520 60 3\n")
    faces, out = prepared(command, "expw", "release.folds=2")
    assert (~faces.found).sum() == 1 and "60x40: its box (500, 500, 20, 20) lies outside: 1" in out
