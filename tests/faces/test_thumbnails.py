"""Pictures of prepared faces: only of releases that may be shown, which is a note in the manifest and nothing else."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny import write_faces

from fer_transfer.config import plain
from fer_transfer.errors import FacesError
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.thumbnails import thumbnails, webp
from fer_transfer.files.document import read_document, write_document
from fer_transfer.settings import compose
from fer_transfer.stages.inputs import prepared


@pytest.fixture
def faces(faces_folder):
    return open_faces(faces_folder / "emotiw")


def shown(faces):
    return replace(faces, manifest=faces.manifest | {"may_be_shown": True})


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    splits = ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    pixels = np.random.default_rng(0).integers(0, 256, (len(splits), 2304)).tolist()
    rows = [f"{i % 7},{' '.join(map(str, pixels[i]))},{split}" for i, split in enumerate(splits)]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows, ""]))
    return tmp_path / "fer2013.csv"


@pytest.mark.parametrize(
    ("release", "expected"),
    [("fer2013", True), ("synthetic_fer2013", True), ("synthetic_emotiw", True), ("emotiw", False), ("frames", False)],
)
def test_each_release_says_whether_it_may_be_shown(release, expected):
    config = compose("prepare", [f"release={release}", "release.path=x"])
    assert plain(config.release)["may_be_shown"] is expected


def test_the_note_can_be_changed_and_nothing_else_changes(command, csv, tmp_path):
    call = ["release=fer2013", f"release.path={csv}", f"out={tmp_path / 'faces'}"]
    code, out, _ = command("prepare", *call)
    assert code == 0 and "may stand in reports and on trackers (release.may_be_shown)" in out
    before, made = open_faces(tmp_path / "faces"), (tmp_path / "faces" / "pixels.npy").stat().st_ino
    assert before.may_be_shown and "may_be_shown" not in before.manifest["settings"]
    code, out, err = command("prepare", *call, "release.may_be_shown=false")
    assert code == 0 and "do not stand in reports" in out and "nothing to do" in err
    after = open_faces(tmp_path / "faces")
    assert not after.may_be_shown and (tmp_path / "faces" / "pixels.npy").stat().st_ino == made
    assert (after.digest, prepared(after)) == (before.digest, prepared(before))  # all that keys know of faces
    assert command("prepare", *call)[0] == 0 and open_faces(tmp_path / "faces").may_be_shown


def test_faces_of_an_older_version_are_not_shown_until_the_command_is_repeated(command, csv, tmp_path):
    call = ["release=fer2013", f"release.path={csv}", f"out={tmp_path / 'faces'}"]
    command("prepare", *call)
    manifest = read_document(tmp_path / "faces" / "manifest.json")
    del manifest["may_be_shown"]
    write_document(tmp_path / "faces" / "manifest.json", manifest)
    assert not open_faces(tmp_path / "faces").may_be_shown
    assert command("prepare", *call)[0] == 0 and open_faces(tmp_path / "faces").may_be_shown


def test_neither_true_nor_false_is_one_message_before_any_work(command, csv, tmp_path):
    code, _, err = command("prepare", f"release.path={csv}", "release.may_be_shown=maybe", f"out={tmp_path / 'faces'}")
    assert code == 1 and "Expected release.may_be_shown to be true or false, but got 'maybe'" in err
    assert err.count("\n") == 1 and not (tmp_path / "faces").exists()


def test_a_manifest_that_cannot_be_written_is_one_message(command, csv, tmp_path, monkeypatch):
    call = [f"release.path={csv}", f"out={tmp_path / 'faces'}"]
    command("prepare", *call)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_transfer.faces.writer.write_document", full)
    code, _, err = command("prepare", *call, "release.may_be_shown=false")
    assert code == 1 and "may not be shown" in err and "No space left" in err and err.count("\n") == 1
    assert open_faces(tmp_path / "faces").may_be_shown


def test_a_release_of_ones_own_that_says_nothing_is_not_shown(faces):
    assert not faces.may_be_shown
    with pytest.raises(FacesError, match=r"stay out of reports and trackers.*release\.may_be_shown=true"):
        thumbnails(faces, faces.ids[:1].tolist())


def test_thumbnails_are_the_faces_in_the_order_given(faces, tmp_path):
    ids = [faces.ids[5], faces.ids[2], faces.ids[5]]
    small = thumbnails(shown(faces), ids, side=32)
    assert list(small) == [faces.ids[5], faces.ids[2]]
    expected = np.asarray(Image.fromarray(np.array(faces.pixels[5])).resize((32, 32), Image.Resampling.BOX))
    assert small[faces.ids[5]].dtype == np.uint8 and np.abs(small[faces.ids[5]].astype(int) - expected).max() <= 1
    write_faces(tmp_path / "fer2013", "fer2013")
    fer = shown(open_faces(tmp_path / "fer2013"))
    [whole] = thumbnails(fer, [str(fer.ids[0])]).values()
    assert np.array_equal(whole, fer.pixels[0])  # 48x48: smaller than a thumbnail, and kept


def test_ids_that_are_not_there_are_named(faces):
    with pytest.raises(FacesError, match="but 1 are not there: nobody"):
        thumbnails(shown(faces), ["nobody", str(faces.ids[0])])


def test_webp_is_small_and_any_decoder_reads_it():
    rows, columns = np.mgrid[:64, :64]
    picture = (128 + 60 * np.sin(rows / 9) + 40 * np.cos(columns / 7)).astype(np.uint8)
    data = webp(picture)
    read = np.asarray(Image.open(io.BytesIO(data)).convert("L"), int)
    assert len(data) < 1500 and np.abs(read - picture).mean() < 3
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (64, 64)
