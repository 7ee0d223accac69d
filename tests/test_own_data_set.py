"""A third data set costs one reader and two YAML files: prepared, trained on, handed on and seen in the tables."""

import csv
from pathlib import Path

import numpy as np
import pytest

OWN = Path(__file__).parent / "own"


@pytest.fixture
def command(here, monkeypatch):
    """As somebody calls it who has the two files in a folder of their own, on PYTHONPATH."""
    monkeypatch.syspath_prepend(OWN)
    return lambda name, *overrides: here(name, "--config-dir", str(OWN / "conf"), *overrides)


@pytest.fixture
def release(tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 160)
    pixels = random.integers(0, 120, (160, 32, 32), dtype=np.uint8)
    for face, label in zip(pixels, labels, strict=True):
        face[4 * label : 4 * label + 4] += 100
    np.savez(tmp_path / "checkers.npz", pixels=pixels, labels=labels, splits=["train"] * 128 + ["test"] * 32)
    return ["release=checkers", "release.path=checkers.npz"]


TINY = [
    "backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=36", "recipe.augment.crop=32",
    "recipe.epochs=3", "recipe.batch_size=16", "recipe.optimizer.lr=0.02",
]  # fmt: skip


def test_a_study_of_it_is_its_own_table(command, release, tmp_path, faces_folder):
    """The release is the study's target: reported, protected, claimed about; nothing of the paper's is left."""
    assert command("prepare", *release, "allow=[checkers.*]").returncode == 0
    emotiw = f"runtime.faces.emotiw={faces_folder}/emotiw"
    done = command("train", "-m", "study=checkers", *TINY, emotiw)
    assert done.returncode == 0, done.stderr
    assert "0 to resume, 3 to train" in done.stdout  # emotiw, and checkers twice: from fresh weights and after emotiw
    done = command("report", "study=checkers")
    assert done.returncode == 0, done.stderr
    assert "Checkers" in done.stdout and "EmotiW first helps" in done.stdout
    assert not [word for word in ("Ng et al", "AlexNet", "fer28", "FER Public") if word in done.stdout]
    with (tmp_path / "report" / "table.csv").open() as file:
        status = {(line["plan"], line["split"]): line["status"] for line in csv.DictReader(file)}
    assert status["checkers", "checkers/test"] == status["emotiw_checkers", "checkers/test"] == "run"
    on_test = "plan.stages.checkers.data.train.checkers=[Train,test]"
    done = command("train", "study=checkers", "plan=checkers", on_test, *TINY, emotiw)
    assert done.returncode == 1 and "['test'], which study 'checkers' protects" in done.stderr


def test_one_reader_and_two_yaml_files(command, release, tmp_path, faces_folder):
    refused = command("prepare", *release)
    assert refused.returncode == 1 and "allow=" in refused.stderr, "a target of others is asked for by name"
    done = command("prepare", *release, "allow=[checkers.*]")
    assert done.returncode == 0, done.stderr
    tiny = [*TINY, f"runtime.faces.emotiw={faces_folder}/emotiw"]
    cascade = ["plan=fer28_emotiw", "data@plan.stages.fer.data=checkers"]  # checkers in the place of FER28
    done = command("train", *tiny, *cascade)  # its faces are found where fer-prepare puts them
    assert done.returncode == 0, done.stderr
    done = command("report", "published=false", "details=true")
    assert done.returncode == 0, done.stderr
    assert "Other splits" in done.stdout and "checkers" in done.stdout
    with (tmp_path / "report" / "table.csv").open() as file:
        [line] = [line for line in csv.DictReader(file) if line["split"] == "checkers/test" and line["status"] == "run"]
    assert int(line["n"]) == 32 and "checkers: synthetic" in line["caveats"]
