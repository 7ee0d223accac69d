"""``fer-prepare shard=`` and ``-m shards=``, as they are called: alone, under joblib, and when a worker is killed."""

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Command
from starting import run

pytestmark = pytest.mark.usefixtures("quick_processes")

DETECTOR = Path(__file__).parents[1] / "faces"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Of fer-prepare: eight small frames."""
    for i in range(8):
        (tmp_path / "frames" / "Train").mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(i).integers(0, 256, (60, 80, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / "Train" / f"{i}.png"), picture)
    return ["release=frames", f"release.path={tmp_path / 'frames'}", "pipeline=box", "pipeline.crop.size=16"]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".checked.json"}


def test_jobs_and_the_joining(words: list[str], command: Command, elsewhere: Path) -> None:
    assert command("prepare", *words, "out=one", "workers=1")[0] == 0
    code, out, error = command("prepare", "-m", "shards=3", *words, "out=three", "workers=1")
    assert code == 0, error
    assert out.count("is done, ") == 3 and "all are done" in out and "8 faces in" in out
    assert content(elsewhere / "three") == content(elsewhere / "one")
    again = command("prepare", "-m", "shards=3", *words, "out=three", "workers=1")
    assert again[0] == 0 and again[2].count("already holds these faces; nothing to do") == 4
    assert sorted(path.name for path in elsewhere.iterdir()) == ["one", "three"]


def test_a_shard_and_the_command_for_the_others(words: list[str], command: Command, elsewhere: Path) -> None:
    code, out, _ = command("prepare", *words, "shard=2/2", "workers=1")
    assert code == 0 and "shard 2/2 is done, 4 frames; 1 of 2 are to do" in out
    code, _, error = command("prepare", *words, "workers=1")
    assert code == 1 and error.endswith(" shard=1/2. Or remove "
                                        f"{elsewhere / 'faces' / '.frames.parts'}, to do without shards.\n")  # fmt: skip
    assert f"fer-prepare release=frames release.path={words[1].partition('=')[2]} pipeline=box" in error


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["shard=0/4"], "Expected shard=NUMBER/ALL, such as shard=3/16 or shard=16/16, but got '0/4'"),
        (["shard=5/4"], "but got '5/4'"),
        (["shard=abc"], "but got 'abc'"),
        (["shard=3"], "but got 3"),
        (["shard=1/4", "out=file/faces"], "file"),
        (["shards=4"], "fer-prepare -m shards=NUMBER"),
        (["-m", "shards=0"], "Expected shards=NUMBER of 1 to 10000"),
        (["-m", "shards=2", "shard=1/2"], "no shard beside it"),
    ],
)
def test_mistakes(words: list[str], command: Command, elsewhere: Path, more: list[str], expected: str) -> None:
    (elsewhere / "file").write_text("")
    code, _, error = command("prepare", *more[:1], *words, *more[1:], "workers=1")
    told = [line for line in error.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(told) == 1 and expected in told[0] and "Traceback" not in error
    assert [path.name for path in elsewhere.iterdir()] == ["file"]


def prepare(cwd: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(DETECTOR), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "DEADLY": str(cwd / "deadly")}
    return run("prepare", *words, cwd=cwd, env=environment, forked_workers=True)


@pytest.mark.long
def test_a_worker_of_joblib_is_killed(words: list[str], command: Command, elsewhere: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    deadly = ["allow=['test_shards.*']", "pipeline.detector._target_=test_shards.Deadly"]
    assert command("prepare", *words, "out=one", "workers=1")[0] == 0
    sweep = ["-m", "shards=2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *words, *deadly, "out=jobs"]
    (elsewhere / "deadly").write_text("2")
    killed = prepare(elsewhere, *sweep)
    assert killed.returncode == 1 and "What is done of each shard is kept: repeat the command" in killed.stderr
    assert "Traceback" not in killed.stderr and not (elsewhere / "jobs").exists()
    done = prepare(elsewhere, *sweep)
    assert done.returncode == 0, done.stderr
    one, jobs = content(elsewhere / "one"), content(elsewhere / "jobs")
    assert jobs == one
    assert sorted(path.name for path in elsewhere.iterdir()) == ["jobs", "one", "reads"]
