"""``fer-prepare`` as it is called: from the command line, on a tiny release in the true layout."""

import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from starting import Runs

from fer_transfer.faces.opening import open_faces

SPLITS = ["Training"] * 9 + ["PublicTest"] * 3 + ["PrivateTest"] * 3


@pytest.fixture
def fer_prepare(here: Runs) -> Runs:
    return partial(here, "prepare")


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (len(SPLITS), 2304))
    rows = (f"{i % 7},{' '.join(map(str, face))},{SPLITS[i]}" for i, face in enumerate(pixels.tolist()))
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows, ""]))
    return tmp_path / "fer2013.csv"


def test_prepares_once_and_writes_nothing_else(csv: Path, tmp_path: Path, fer_prepare: Runs) -> None:
    done = fer_prepare("release=fer2013", "release.path=fer2013.csv")
    assert done.returncode == 0, done.stderr
    assert "Training: 9 faces" in done.stdout and "reading fer2013: done" in done.stderr
    assert "caveat: class counts differ" in done.stdout
    assert len(open_faces(tmp_path / "faces" / "fer2013")) == len(SPLITS)
    again = fer_prepare("release.path=fer2013.csv")
    assert again.returncode == 0 and "nothing to do" in again.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["faces", "fer2013.csv"]


def test_mistakes_are_one_message(csv: Path, tmp_path: Path, fer_prepare: Runs) -> None:
    for overrides, expected in (
        (["release.path=none.csv"], "Expected a release at none.csv"),
        ([], "release.path"),
        (["release.path=fer2013.csv", "+release.pth=x"], "unknown ['pth']"),
        (["release.path=fer2013.csv", "release.ferplus=fer2013.csv"], "Give FER+'s fer2013new.csv"),
    ):
        done = fer_prepare(*overrides)
        assert done.returncode == 1 and expected in done.stderr and "Traceback" not in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["fer2013.csv"]


@pytest.mark.usefixtures("mesh_model", "quick_processes")
def test_another_crop_does_not_replace_the_first(elsewhere, command) -> None:
    release = [
        "release=synthetic_emotiw",
        "release.path=sfew",
        "release.counts={Train: 3, Val: 1, Test: 1}",
        "workers=1",
    ]
    frames = [*release, "release.frame_size=[96,120]", "pipeline.crop.size=48"]
    code, _, err = command("prepare", *frames)
    assert code == 0, err
    first = open_faces("faces/emotiw").digest
    code, _, err = command("prepare", *frames, "pipeline=box")
    assert code == 1 and err.count("\n") == 1
    for word in ("detector.neighbours 3 there, 5 asked", "crop 'aligned by the eyes' there", "replace=true"):
        assert word in err
    assert "out=faces/emotiw_box" in err and "runtime.faces.emotiw=faces/emotiw_box" in err
    assert open_faces("faces/emotiw").digest == first
    code, _, err = command("prepare", *frames, "pipeline=box", "out=faces/emotiw_box")
    assert code == 0 and open_faces("faces/emotiw_box").digest != first, err
    code, _, err = command("prepare", *frames, "pipeline=box", "replace=true")
    assert code == 0 and open_faces("faces/emotiw").digest != first, err
    assert "nothing to do" in command("prepare", *frames, "pipeline=box")[2]


def test_names_of_any_language_under_any_locale(tmp_path: Path) -> None:
    face = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "frames.zip", "w") as file:
        file.writestr("Glück/été.png", face)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    frames = ["release=frames", "release.path=frames.zip", "release.aligned_size=[64,64]", "pipeline=box", "workers=1"]
    command = [
        sys.executable,
        "-m",
        "fer_transfer.cli.prepare",
        *frames,
    ]  # what a locale changes, it changes at the start
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**os.environ, **plain}
    )
    assert done.returncode == 0, done.stderr
    assert open_faces(tmp_path / "faces" / "frames").ids.tolist() == ["Glück/été.png"]
    assert "été.png" in (tmp_path / "faces" / "frames" / "frames.csv").read_text(encoding="utf-8")


def test_a_bad_row_leaves_no_faces(csv: Path, tmp_path: Path, fer_prepare: Runs) -> None:
    csv.write_text(csv.read_text().replace("PrivateTest", "Secret", 1))
    done = fer_prepare("release.path=fer2013.csv")
    assert done.returncode == 1 and "row 13 of fer2013.csv" in done.stderr and "'Secret'" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["fer2013.csv"]


def test_help_needs_neither_torch_nor_opencv(tmp_path: Path, fer_prepare: Runs) -> None:
    code = "import sys, fer_transfer.cli.prepare; print(sorted({'torch', 'cv2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
    shown = fer_prepare("--help")
    assert shown.returncode == 0 and "release.path=fer2013.tar.gz" in shown.stdout
    assert "release.ferplus=null" in fer_prepare("--settings", "ferplus").stdout


def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:  # slow: 94 MB of gzip, about 7 s
    paths = [f"release.path={shared_data / 'fer2013.tar.gz'}", f"release.ferplus={shared_data / 'fer2013new.csv'}"]
    # Its own peak memory, from /proc: ru_maxrss of a child also counts what its parent held when it was started.
    code = "from fer_transfer.cli.prepare import main; main(); print(open('/proc/self/status').read())"
    command = [sys.executable, "-c", code, *paths, "out=fer"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("; as its owners state") == 3 and "caveat" not in done.stdout
    peak = next(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("VmHWM"))
    assert peak < 1.5 * 2**20  # KiB
    faces = open_faces(tmp_path / "fer")
    assert faces.manifest["duplicates"] == {
        "faces": 35887,
        "distinct": 34034,
        "conflicting": 57,
        "repeated": {"Training": 1236, "PublicTest": 26, "PrivateTest": 17},
        "also_in": {
            "Training": {},
            "PublicTest": {"Training": 280},
            "PrivateTest": {"Training": 288, "PublicTest": 44},
        },
        "constant": 12,
    }
    assert faces.pixels[0, 0, :4].tolist() == [70, 80, 82, 72] and faces.pixels[-1, -1, -2:].tolist() == [199, 201]
    assert faces.manifest["counts"]["PrivateTest"]["Disgust"] == 55 and faces.manifest["report"]["differences"] == []
    assert faces.votes is not None and faces.votes[0].tolist() == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
    assert sorted(set(faces.votes.sum(axis=1).tolist())) == [9, 10]
    assert 150 <= int((faces.votes.argmax(axis=1) == 9).sum()) <= 200  # about 177 pictures show no face
