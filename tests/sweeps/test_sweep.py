"""Multiruns of fer-train: what they say, train, and do with what fails."""

import json
import os
import threading
from contextlib import nullcontext

import pytest
from starting import run
from tiny import SPLITS  # noqa: F401  tests/ is on the path

from fer_transfer.cli.train import train
from fer_transfer.files.document import write_document
from fer_transfer.settings import compose
from fer_transfer.stages import store as stores
from fer_transfer.stages.record import read_record
from fer_transfer.stages.store import Store
from fer_transfer.stages.work import unfinished, working


def plans(store):
    return sorted(read_record(path).plan for path in (store / "submissions").iterdir())


def test_dry_run_says_what_would_be_trained_and_trains_nothing(tiny, tmp_path, command):
    code, out, err = command("train", "-m", "plan=emotiw,fer28_emotiw,fer28", *tiny, "recipe.seed=0,1", "dry_run=true")
    assert code == 0, err
    assert "6 rows, 6 distinct stages: 0 in the store, 0 to resume, 6 to train" in out
    assert "12 epochs, 964 faces to train; row by row it would be 16 epochs, 1,448 faces" in out  # 2 (64, 96, 96 + 64)
    assert not list((tmp_path / "store").glob("*/result.json"))


def test_an_estimate_is_by_stages_that_were_measured(tiny, command):
    command("train", "-m", "plan=emotiw", *tiny, "runtime.progress=none")
    _, out, _ = command("train", "-m", "plan=emotiw,fer28", *tiny, "recipe.seed=1", "dry_run=true")
    assert "about " in out and " on 1 worker, " in out and "by stages in the store" in out


def test_a_stage_that_fails_takes_its_rows_and_no_others(tiny, tmp_path, command):
    sweep = ["-m", "plan=fer28,fer28_emotiw,emotiw", *tiny, "++stages.fer.optimizer.lr=1e30"]
    code, out, err = command("train", *sweep)
    assert code == 1 and "Traceback" not in out + err and plans(tmp_path / "store") == ["emotiw"]
    assert err.count("error: ") == 1 and "learning rate" in err and "fer " in err
    assert "2 of 3 rows failed" in out
    code, out, err = command("train", *sweep)
    assert code == 1 and "It failed before; retry=true" in err and "1/2 loss" not in out
    code, out, err = command("train", *sweep, "retry=true")
    assert code == 1 and "failed before" not in err and "to train" in out


def test_a_mistake_in_one_row_leaves_the_others(tiny, tmp_path, command):
    code, _, err = command("train", "-m", "plan=emotiw", *tiny, "recipe.backbone.name=test_resnet,resnet1k")
    assert code == 1 and err.count("error: ") == 1 and "resnet1k" in err
    assert plans(tmp_path / "store") == ["emotiw"]


def test_other_predictions_of_a_finished_stage_are_made_once(tiny, tmp_path, command):
    settings = ["-m", "plan=emotiw", *tiny, "recipe.augment.crop=24"]
    assert command("train", *settings)[0] == 0
    code, out, err = command("train", *settings, "recipe.evaluation=centre,ten_crops")
    assert code == 0, err
    assert "2 rows, 1 distinct stages: 1 in the store" in out and "to predict with" in out
    evaluations = [read_record(path).evaluation for path in (tmp_path / "store" / "submissions").iterdir()]
    assert sorted(evaluations) == ["centre", "ten_crops"]


def test_two_stores_in_one_sweep_are_refused(tiny, tmp_path, command):
    code, _, err = command("train", "-m", "plan=emotiw", *tiny, f"runtime.store={tmp_path / 'a'},{tmp_path / 'b'}")
    assert code == 1 and "one store for all rows" in err


@pytest.mark.long
def test_joblib_with_two_workers_makes_what_one_makes(tiny, tmp_path, command):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = ["-m", "plan=fer28,fer28_emotiw,emotiw", "runtime.threads=1"]
    other = [*tiny, f"runtime.store={tmp_path / 'one'}"]
    assert command("train", *sweep, *other)[0] == 0
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = run("train", *sweep, *tiny, *launcher, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    one, two = (sorted((tmp_path / name).glob("*/weights.safetensors")) for name in ("one", "store"))
    assert len(one) == 3 and [path.parent.name for path in one] == [path.parent.name for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    logged = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len([line for line in logged if " loss " in line]) == 6  # two epochs of three stages, each once, whole
    assert not list((tmp_path / "store" / ".work").glob("*.[0-9]*.*"))


def test_without_locks_two_jobs_train_one_stage_and_both_end_well(tiny, tmp_path, monkeypatch):
    """As on a network file system whose locks do nothing."""

    class NoLock(nullcontext):
        is_locked = True

        def acquire(self, **_):
            return self

        def release(self):
            pass

    monkeypatch.setattr(stores, "FileLock", lambda path: NoLock())
    from fer_transfer.stages import runner

    both, train_one = threading.Barrier(2, timeout=60), runner.Runner._train
    turn = threading.Lock()

    def at_once(self, plan, job, faces, folder, log):
        both.wait()  # each has a folder of its own, and neither has finished
        with turn:  # torch's generator is the process's
            return train_one(self, plan, job, faces, folder, log)

    monkeypatch.setattr(runner.Runner, "_train", at_once)
    config, ended = compose("train", [*tiny, "plan=emotiw"]), []
    threads = [threading.Thread(target=lambda: ended.append(train(config))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(ended) == 2 and all(finished.jobs[-1].folder.is_finished() for finished in ended)
    assert plans(tmp_path / "store") == ["emotiw"]
    assert not unfinished(Store(tmp_path / "store"))


def test_a_job_goes_on_from_anothers_checkpoint_and_leaves_it_alone(tmp_path):
    """Somebody may still be writing it: another host, whose locks are not seen here."""
    store = Store(tmp_path / "store")
    theirs = store.work / "0123456789abcdef.1.aaaaaaaa.another-host"
    theirs.mkdir(parents=True)
    (theirs / "last.ckpt").write_bytes(b"checkpoint")
    (theirs / "metrics.csv").write_text("epoch\n0\n")
    with working(store, "0123456789abcdef") as folder:
        assert folder.checkpoint.read_bytes() == b"checkpoint" and folder.path != theirs
    assert (theirs / "last.ckpt").exists()
    with working(store, "0123456789abcdef") as again:  # what was given up is taken over
        assert again.checkpoint.exists()
    assert len(unfinished(store)) == 2


def test_how_far_a_stage_is_can_be_read(tiny, tmp_path, monkeypatch):
    from fer_transfer.stages.progress import EpochLog

    seen, original = [], EpochLog._show

    def show(self, trainer, done, **values):
        original(self, trainer, done, **values)
        seen.append(json.loads(self.now.read_text()))

    monkeypatch.setattr(EpochLog, "_show", show)
    train(compose("train", [*tiny, "plan=emotiw"]))
    assert seen[-1]["done"] == seen[-1]["epochs"] == 2 and 0 <= seen[-1]["selection"] <= 1
    assert not list((tmp_path / "store").glob("*/progress.json"))


@pytest.mark.parametrize("always", [True, False])
def test_a_worker_that_dies_costs_the_stage_that_it_dies_of_and_no_other(tiny, tmp_path, command, monkeypatch, always):
    """As joblib's do of too little memory: the error comes instead of all results of a launch."""
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    from fer_transfer.sweeps import sweep

    launched, launch = [], BasicLauncher.launch

    def dying(self, job_overrides, initial_job_idx):
        plans = [next(text for text in of if text.startswith("plan=")) for of in job_overrides]
        launched.append(plans)
        if "plan=fer28" in plans and (always or len(launched) == 1):
            with working(Store(tmp_path / "store"), keys["plan=fer28"]):  # it had begun
                raise MemoryError("killed")
        return launch(self, job_overrides, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", dying)
    monkeypatch.setattr(sweep, "workers_of", lambda options: 3)
    keys, tasks_of = {}, sweep.tasks_of

    def remembering(rows, missing):
        tasks = tasks_of(rows, missing)
        keys.update({f"plan={task.row.plan.name}": task.job.key for task in tasks})
        return tasks

    monkeypatch.setattr(sweep, "tasks_of", remembering)
    code, out, err = command("train", "-m", "plan=emotiw,fer28,fer32", *tiny, "recipe.epochs=1")
    assert [len(of) for of in launched] == [3, 2, 1] and launched[-1] == ["plan=fer28"]
    assert code == int(always) and err.count("warning: ") == 1 and "taken up again, one at a time: fer " in err
    assert plans(tmp_path / "store") == ["emotiw", *(["fer28"] if not always else []), "fer32"]
    if always:
        [line] = [line for line in err.splitlines() if line.startswith("error: ")]
        assert "plan=fer28" in line and "memory" in line and "1 of 3 rows failed" in out


def test_what_is_wrong_with_many_rows_is_told_once(tiny, tmp_path, command):
    sweep = ["-m", "plan=emotiw,fer28_emotiw", "recipe.seed=0,1", *tiny]
    code, _, err = command("train", *sweep, f"runtime.faces.emotiw={tmp_path / 'nowhere'}")
    assert code == 1 and err.startswith("error: plan=emotiw recipe.seed=0 and 3 more rows: Expected prepared faces")
    assert len(err.splitlines()) == 1
    write_document(Store(tmp_path / "store").root / "store.json", {"version": 2})
    code, out, err = command("train", *sweep)
    assert code == 1 and not out and err.startswith("error: Expected a store of version 1 at most")
    assert len(err.splitlines()) == 1
    code, _, err = command("train", *sweep, "runtime.devices=2")
    assert code == 1 and "without -m: torchrun --nproc-per-node=2 -m fer_transfer.cli.train" in err
    assert len(err.splitlines()) == 1
