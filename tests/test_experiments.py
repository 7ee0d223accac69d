"""The tables of the README and of experiments are those that the committed CSV files give."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tiny import SPLITS, tiny_faces, write_faces

from fer_transfer.faces.writer import FacesWriter
from fer_transfer.labels import EXPRESSIONS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("experiment_tables", ROOT / "experiments" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_table_is_stale(tables):
    stale = [str(path.relative_to(ROOT)) for path in tables.stale()]
    assert not stale, "python experiments/tables.py makes them anew"


def test_a_changed_number_makes_tables_stale(tables, monkeypatch):
    read = tables._read

    def changed(path):
        return [line | {"percent": "99.9"} if line.get("percent") else line for line in read(path)]

    monkeypatch.setattr(tables, "_read", changed)
    stale = {str(path.relative_to(ROOT)) for path in tables.stale()}
    folders = ("alignment", "best_fer2013", "best_sfew_like", "demo", "ferplus", "geometry", "paper_cpu", "sfew_like")
    assert stale == {*tables.READMES, "experiments/README.md", *(f"experiments/{name}/table.md" for name in folders)}


def test_a_headline_stands_with_what_was_published_what_it_took_and_what_it_is_not(tables):
    """Each that was run has its seeds, interval, hours, hardware and label; one that was not says so."""
    _, _, *lines = (
        line for line in tables.HEADLINES.read_text().partition("headline numbers -->")[2].splitlines() if line
    )
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")]
    assert len(rows) == len(tables._read(ROOT / "experiments" / "headlines.csv"))
    for row in rows:
        assert {"not run", "withheld"} & set(row) or all(row[:6] + row[8:]), row
        assert row[6] == "none" or row[7][:2].isdigit(), row
    assert all(
        "stand-in" in row[1] or "SYNTHETIC" in row[1] for row in rows if "not run" not in row and "Val" in row[0]
    )


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """Faces of EmotiW, and of FER-2013 with FER+'s votes, the latter under seven and under eight classes."""
    folder = tmp_path_factory.mktemp("voted")
    write_faces(folder / "emotiw", "emotiw")
    votes = np.full(10, 1, np.uint8)
    for name, classes in (("fer2013", EXPRESSIONS), ("ferplus", (*EXPRESSIONS, "Contempt"))):
        with FacesWriter(folder / name, name, (48, 48), sum(SPLITS["fer2013"].values())) as writer:
            writer.settings, writer.classes = {"ferplus": True}, classes
            for face in tiny_faces("fer2013"):
                writer.add(face.pixels, face.id, face.split, face.label, face.found, votes=votes)
    return folder


@pytest.mark.parametrize(
    ("folder", "study", "experiment", "rows", "stages"),
    [
        ("best_fer2013", "best_fer2013", "best_fer2013_hour", 3, 4),
        ("best_sfew_like", "best_sfew_like", "best_sfew_like", 4, 7),
        ("ferplus", "best_ferplus", "ferplus", 2, 2),
    ],
)
def test_an_experiment_with_a_study_of_its_own_is_ready(
    folder, study, experiment, rows, stages, voted, tmp_path, command
):
    faces = [f"++runtime.faces.{path.name}={path}" for path in voted.iterdir()]
    conf = ["--config-dir", str(ROOT / "experiments" / folder / "conf"), f"study={study}", f"experiment={experiment}"]
    tiny = ["backbone=timm", "recipe.backbone.name=test_resnet", "~recipe.backbone.kwargs.pad_type"]
    code, printed, error = command(
        "train", "-m", *conf, *faces, *tiny, f"runtime.store={tmp_path}/store", "dry_run=true"
    )
    assert (code, error) == (0, ""), error
    assert f"{rows} rows, {stages} distinct stages: 0 in the store" in printed
