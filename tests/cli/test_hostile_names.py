"""Frames, notes and plans of others, with names that do something: the commands show them and do nothing."""

import csv
import sys

import cv2
import numpy as np
import pytest
from hostile import HOSTILE, acts_on_a_terminal, is_formula

from fer_transfer.cli.prepare import main
from fer_transfer.cli.train import train
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.names import shown
from fer_transfer.files.spreadsheet import unescaped
from fer_transfer.settings import compose


@pytest.fixture
def fer_prepare(tmp_path, monkeypatch, capfd):
    """The command in a folder that holds a face: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames" / "Happy").mkdir(parents=True)

    def call(*overrides):
        monkeypatch.setattr(
            sys, "argv", ["fer-prepare", "release=frames", "release.path=frames", "out=out", "pipeline=box", *overrides]
        )
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def face():
    return cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8))[1].tobytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_frame_of_that_name(fer_prepare, face, tmp_path, name):
    (tmp_path / "frames" / "Happy" / "a.png").write_bytes(face)
    empty_frame(tmp_path / "frames" / f"{name}.png")
    code, out, err = fer_prepare("release.aligned_size=[48,48]", f"release.note={quoted(name)}")
    assert code == 0, err
    assert not acts_on_a_terminal(out + err) and f"({shown(name)}.png)" in out and f"caveat: {shown(name)}\n" in out
    with (tmp_path / "out" / "frames.csv").open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    assert len(rows) == 2 and not any(is_formula(cell) or acts_on_a_terminal(cell) for row in rows for cell in row)
    assert f"{shown(name)}.png" in {unescaped(row[1]) for row in rows}
    assert open_faces(tmp_path / "out").caveats == [name]


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\u202egnp.b", "[/red]"])
def test_an_error_about_a_frame_of_that_name(fer_prepare, tmp_path, name):
    empty_frame(tmp_path / "frames" / f"{name}.png")
    code, out, err = fer_prepare(f"release.name={quoted(name)}")
    assert code == 1 and err.count("error: ") == 1 and "Traceback" not in err
    assert not acts_on_a_terminal(out + err) and f"{shown(name)}.png" in err.replace("\n", "\\n")


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\u202egnp.b"])
def test_a_plan_of_that_name(tiny, name, capsys):
    train(
        compose(
            "train", [*tiny, "plan=emotiw", f"plan.name={quoted(name)}", "recipe.epochs=1", "runtime.progress=lines"]
        )
    )
    out = capsys.readouterr().out
    assert not acts_on_a_terminal(out) and f"{shown(name)}: 1 stage" in out


def empty_frame(path):
    path.parent.mkdir(parents=True, exist_ok=True)  # a name may hold a slash
    path.write_bytes(b"")


def quoted(text):
    """As Hydra's grammar wants it."""
    return "'" + text.replace("'", "\\'") + "'"
