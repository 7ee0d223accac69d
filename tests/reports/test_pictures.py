"""Pictures for a report: of the very faces that predictions are of, where they are at hand and may be shown."""

import re

import pytest
from tiny import write_faces

from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import with_permission
from fer_transfer.reports.pictures import Pictures


@pytest.fixture
def faces(tmp_path):
    write_faces(tmp_path / "fer2013", "fer2013")
    write_faces(tmp_path / "emotiw", "emotiw")
    return with_permission(open_faces(tmp_path / "fer2013"), True)


def test_they_are_found_by_digest_whatever_the_word(faces):
    pictures = Pictures({"crops": faces.folder})
    assert pictures.missing("fer2013", faces.digest) is None
    found = pictures.of("fer2013", faces.digest, [str(faces.ids[3]), "gone"])
    assert list(found) == [str(faces.ids[3])] and (found[str(faces.ids[3])] == faces.pixels[3]).all()


@pytest.mark.parametrize(
    ("folder", "digest", "why"),
    [
        ("fer2013", "0" * 64, r"fer2013 holds other faces of fer2013 \(.*\) than these \(00000000\)"),
        ("nothing", "", r"There are no faces in .*nothing\. Give faces\.fer2013=FOLDER"),
        ("damaged", "", r"manifest\.json.*Give faces"),
    ],
)
def test_otherwise_it_is_said_why_and_what_to_give(faces, tmp_path, folder, digest, why):
    (tmp_path / "damaged").mkdir()
    pictures = Pictures({"fer2013": tmp_path / folder})
    told = pictures.missing("fer2013", digest or faces.digest)
    assert told and re.search(why, told)
    assert pictures.of("fer2013", digest or faces.digest, [str(faces.ids[0])]) == {}


def test_of_a_release_that_nobody_named(tmp_path, faces):
    assert "not at hand. Give ++faces.fer2013=FOLDER" in str(Pictures({}).missing("fer2013", faces.digest))
    named = Pictures({"fer2013": tmp_path / "nowhere"}).missing("fer2013", faces.digest)
    assert "nowhere. Give faces.fer2013=FOLDER" in str(named)


def test_a_release_that_may_not_be_shown_has_none(tmp_path, faces):
    hidden = open_faces(tmp_path / "emotiw")
    pictures = Pictures({"emotiw": hidden.folder})
    assert "release.may_be_shown=false" in str(pictures.missing("emotiw", hidden.digest))
    assert pictures.of("emotiw", hidden.digest, hidden.ids[:2].tolist()) == {}
