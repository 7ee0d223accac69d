"""Where prepared faces are looked for."""

from pathlib import Path

import pytest

from fer_transfer.errors import ConfigError
from fer_transfer.stages.runtime import Runtime

FACES = {"fer2013": "faces/fer2013", "emotiw": "elsewhere/emotiw"}


def test_a_folder_that_is_given_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Runtime(faces=FACES).folder_of("emotiw") == Path("elsewhere/emotiw")  # opening it says what is wrong with it


def test_the_place_where_fer_prepare_writes_needs_no_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces" / "rafdb").mkdir(parents=True)
    with pytest.raises(ConfigError, match="there is none in faces/rafdb"):
        Runtime(faces=FACES).folder_of("rafdb")
    (tmp_path / "faces" / "rafdb" / "manifest.json").touch()
    assert Runtime(faces=FACES).folder_of("rafdb") == Path("faces/rafdb")


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("rafdb", r"'rafdb', but runtime.faces has fer2013, emotiw .*fer-prepare.*\+runtime.faces.rafdb=faces/rafdb$"),
        ("emotiv", r"Did you mean 'emotiw'\?.*\+runtime.faces.emotiv=faces/emotiv$"),
    ],
)
def test_faces_that_are_nowhere(release, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        Runtime(faces=FACES).folder_of(release)


def test_without_any_faces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"runtime\.faces has none"):
        Runtime().folder_of("fer2013")
