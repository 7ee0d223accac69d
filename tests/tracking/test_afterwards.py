"""A finished store written afterwards, and a sweep of two workers: the same runs as a training writes itself."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starting import run
from tiny import overrides
from wandb_files import read_all

from fer_transfer.cli.train import train
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.document import read_document, write_document
from fer_transfer.settings import compose

STAGES = ["logger=wandb", "plan=fer28", "recipe.epochs=1"]


def told(run):
    """All but times."""
    timed = {"_runtime", "_timestamp", "_wandb", "faces_per_second"}
    history = [{k: v for k, v in row.items() if k not in timed and "/" not in k} for row in run.history]
    numbers = {k: v for k, v in run.summary.items() if k not in timed and not isinstance(v, dict)}
    config = {k: v for k, v in run.config.items() if k != "_wandb"}
    names = (run.run.display_name, run.run.run_group, run.run.job_type, list(run.run.tags), run.run.notes)
    return names, config, history, numbers, {n: a.digest for n, a in {**run.logged, **run.used}.items()}


@pytest.fixture(scope="module")
def store(faces_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("afterwards") / "store"
    train(compose("train", [*overrides(faces_folder, root), *STAGES]))
    return root


def test_a_store_written_afterwards_gives_the_same_runs(store, tmp_path, command):
    live = read_all(store)
    copy = shutil.copytree(store, tmp_path / "store", ignore=shutil.ignore_patterns("wandb"))
    code, out, err = command("report", f"store={copy}", "wandb=fer_transfer", f"out={tmp_path / 'out'}")
    assert (code, err) == (0, "") and "2 runs are not sent" in out
    after = read_all(copy)
    assert {name: told(run) for name, run in after.items()} == {name: told(run) for name, run in live.items()}
    assert list(after) == list(live), "in the order in which they must be sent"


def test_pictures_stand_where_the_release_may_be_shown_and_rows_have_the_reports_level(
    store, faces_folder, tmp_path, command
):
    shown = shutil.copytree(faces_folder / "fer2013", tmp_path / "fer2013")
    write_document(shown / "manifest.json", {**read_document(shown / "manifest.json"), "may_be_shown": True})
    copy = shutil.copytree(store, tmp_path / "store", ignore=shutil.ignore_patterns("wandb"))
    folders = [f"faces.fer2013={shown}", f"faces.emotiw={faces_folder / 'emotiw'}"]
    assert command("report", f"store={copy}", "wandb=p", f"out={tmp_path / 'out'}", "level=0.8", *folders)[0] == 0
    stage, row = read_all(copy).values()
    low, high = (
        100 * end
        for end in wilson_interval(row.summary["Val (found)/correct_seed_0"], row.summary["Val (found)/faces"], 0.8)
    )
    assert (row.summary["Val (found)/low"], row.summary["Val (found)/high"]) == (
        pytest.approx(low),
        pytest.approx(high),
    )
    assert row.config["level"] == 0.8
    [artifact] = [a for a in stage.artifacts if "predictionsfer2013PublicTest" in a.name]
    files = {entry.path: entry.local_path for entry in artifact.manifest.contents}  # which wandb sync will send
    table = json.loads(Path(files["predictions/fer2013/PublicTest.table.json"]).read_text())
    picture, face = table["data"][0][:2]
    faces = open_faces(shown)
    with Image.open(files[picture["path"]]) as image:
        assert np.array_equal(np.asarray(image.convert("L")), faces.pixels[faces.ids.tolist().index(face)])
    assert "picture" not in stage.table("predictions/emotiw/Val")[0], "SFEW's may not be"


def test_looking_after_a_store_passes_over_wandbs_folder(store, tmp_path, command):
    assert command("store", "verify", f"store={store}")[0] == 0
    assert "wandb" not in command("store", "prune", f"store={store}")[1]
    code, out, _ = command("store", "merge", str(store), f"store={tmp_path / 'other'}")
    assert code == 0 and not (tmp_path / "other" / "wandb").exists(), out


@pytest.mark.long
def test_workers_of_a_sweep_write_a_run_each(faces_folder, tmp_path):
    arguments = [*overrides(faces_folder, tmp_path / "store"), "recipe.epochs=1", "recipe.seed=0,1", "plan=emotiw"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = run("train", "-m", *arguments, *launcher, "logger=wandb", cwd=tmp_path, forked_workers=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    runs = read_all(tmp_path / "store")
    kinds = [run.run.job_type for run in runs.values()]
    assert kinds == ["stage", "stage", "row"] and "3 runs are not sent" in done.stdout
    row = list(runs.values())[-1]
    assert set(row.config["seeds"]) == {"0", "1"} and len(row.used) == 2 and "Val (found)/sd" in row.summary
    names = {run.run.display_name for run in runs.values()}
    assert len(names) == 3, "names tell seeds apart"
