"""A store that cannot be used, a full disk, too little memory, a clock that jumps: one message each, and nothing is lost."""

import contextlib
import os
import random
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fer_transfer.cli.train import train
from fer_transfer.errors import NoMemoryError, StoreError
from fer_transfer.files.document import read_document, write_document
from fer_transfer.settings import compose
from fer_transfer.stages.checkpoint import Resumable, content_digest
from fer_transfer.stages.store import Store
from fer_transfer.training.module import ExpressionClassifier

OPTIONS = ["plan=emotiw", "recipe.epochs=3", "recipe.batch_size=16"]
WHICH = r"stage 'emotiw' of emotiw \(test_resnet, seed 0\)"


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *OPTIONS, *overrides]))


def weights(finished):
    return load_file(finished.jobs[-1].folder.weights)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@contextlib.contextmanager
def files_of_at_most(size):
    """As on a disk that is full: what is larger cannot be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def at_epoch(monkeypatch, epoch, act):
    """Do something before a step of an epoch."""
    original = ExpressionClassifier.training_step

    def step(self, batch, index):
        if self.current_epoch == epoch:
            act()
        return original(self, batch, index)

    monkeypatch.setattr(ExpressionClassifier, "training_step", step)


def test_a_new_store_says_its_version_and_one_of_before_needs_none(tiny, tmp_path):
    run(tiny)
    marker = tmp_path / "store" / "store.json"
    assert read_document(marker) == {"version": 1}
    marker.unlink()
    assert run(tiny).trained == 0 and not marker.exists()
    Store(tmp_path / "new" / "store")
    assert (tmp_path / "new" / "store" / "store.json").exists()


@pytest.mark.parametrize("version", [2, "next", None])
def test_a_store_of_a_newer_version_is_refused_by_every_command(tiny, tmp_path, command, version):
    write_document(Store(tmp_path / "store").root / "store.json", {"version": version})
    for name, arguments in (("train", [*tiny, *OPTIONS]), ("report", [f"store={tmp_path / 'store'}"])):
        code, out, err = command(name, *arguments)
        assert code == 1 and out == "" and err.count("\n") == 1
        assert f"a store of version 1 at most in {tmp_path / 'store'}, but got {version!r}: a newer" in err


def test_a_damaged_version_is_named(tiny, tmp_path):
    (Store(tmp_path / "store").root / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"store.json, but expected JSON"):
        run(tiny)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_disk_that_is_full_in_mid_checkpoint_costs_no_epoch_before(tiny, tmp_path, monkeypatch, epoch):
    whole = run(tiny)
    other = f"runtime.store={tmp_path / 'other'}"
    with files_of_at_most(resource.RLIM_INFINITY), pytest.raises(StoreError, match=rf"Cannot write {WHICH}.*too large"):
        at_epoch(monkeypatch, epoch, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, -1)))
        run(tiny, other)
    monkeypatch.undo()
    left = list((tmp_path / "other" / ".work").glob("*.left.*/*"))
    assert not [path for path in left if path.name.startswith(".last")]
    assert not list((tmp_path / "other").glob("*/result.json"))
    checkpoints = [path for path in left if path.name == "last.ckpt"]
    assert len(checkpoints) == min(epoch, 1)
    for path in checkpoints:
        content = torch.load(path, weights_only=True)
        assert content["fer_transfer"]["digest"] == content_digest(content)
    epochs = []
    at = Resumable.on_train_epoch_end
    monkeypatch.setattr(Resumable, "on_train_epoch_end", lambda *a: (epochs.append(a[1].current_epoch), at(*a))[1])
    assert equal(weights(run(tiny, other)), weights(whole)) and epochs == list(range(epoch, 3))


def test_predictions_and_record_that_cannot_be_written_name_the_row(tiny, tmp_path):
    quiet = [*tiny, "runtime.progress=none"]  # what is printed may go to a file
    finished = run(quiet)
    folder = finished.jobs[-1].folder.path / "predictions"
    for path in folder.iterdir():
        path.unlink()
    with files_of_at_most(100), pytest.raises(StoreError, match=rf"Cannot write {WHICH}"):
        run(quiet)
    [path] = (tmp_path / "store" / "submissions").iterdir()
    path.unlink()
    run(quiet)
    path.unlink()
    with (
        files_of_at_most(100),
        pytest.raises(StoreError, match=r"the record of emotiw \(test_resnet, seed 0\) to .*too large"),
    ):
        run(quiet)
    assert not path.exists() and list(path.parent.iterdir()) == []
    assert run(tiny).trained == 0 and path.exists()


def mounted(folder, *options):
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True) if sys.platform == "linux" else None
    if done is None or done.returncode:
        pytest.skip("needs the right to mount a file system")


@pytest.fixture
def disk(tmp_path):
    """Mount a file system of memory at ``tmp_path/store``: call with its size; once more to change its options."""
    folder = tmp_path / "store"

    def mount(*options):
        mounted(folder, "-t", "tmpfs", "-o", ",".join(options), "tmpfs")
        return folder

    yield mount
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def test_a_store_on_a_full_disk_goes_on_when_there_is_space(tiny, tmp_path, disk):
    """With a real file system, smaller than two checkpoints: the second does not fit beside the first."""
    whole = run(tiny, f"runtime.store={tmp_path / 'other'}")
    checkpoint = 2 * whole.jobs[-1].folder.weights.stat().st_size  # weights and their momentum
    store = disk(f"size={3 * checkpoint // 2}")
    with pytest.raises(StoreError, match=rf"Cannot write {WHICH}.*No space left"):
        run(tiny)
    [checkpoint] = store.glob(".work/*/last.ckpt")
    content = torch.load(checkpoint, weights_only=True)
    assert content["epoch"] == 0 and content["fer_transfer"]["digest"] == content_digest(content)
    subprocess.run(["mount", "-o", "remount,size=60m", str(store)], check=True)
    assert equal(weights(run(tiny)), weights(whole))


def test_a_store_that_is_read_only(tiny, disk, command):
    store = disk("size=60m")
    run(tiny)
    subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True)
    assert run(tiny).trained == 0, "what is finished can be read"
    code, _, err = command("report", f"store={store}")
    assert code == 0, err
    code, _, err = command("train", *tiny, *OPTIONS, "recipe.seed=1")
    assert code == 1 and err.count("\n") == 1
    assert "Cannot write stage 'emotiw' of emotiw (test_resnet, seed 1)" in err and "Read-only file system" in err


def test_a_row_of_an_older_version_in_a_store_that_is_read_only(tiny, disk, capsys):
    """What its record did not keep then cannot be added: a warning. A note that cannot be kept is an error."""
    store = disk("size=60m")
    run(tiny)
    [path] = (store / "submissions").iterdir()
    older = read_document(path)
    for faces in older["faces"].values():
        faces["counts"] = None
    write_document(path, older)
    subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True)
    capsys.readouterr()
    assert run(tiny).trained == 0 and read_document(path) == older
    said = capsys.readouterr().out
    assert "warning: Cannot write the record of emotiw (test_resnet, seed 0)" in said and "What is there stays" in said
    with pytest.raises(StoreError, match="the record of emotiw"):
        run(tiny, "note=on loan")


def device_is_full():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...\nmore")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: torch.empty(1 << 55), "can't allocate memory"),
        (lambda: np.empty(1 << 50), "Unable to allocate"),
        (lambda: bytearray(1 << 60), "MemoryError"),
        (device_is_full, "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
    ],
)
def test_too_little_memory_is_one_line_and_the_stage_goes_on(tiny, tmp_path, monkeypatch, act, said):
    at_epoch(monkeypatch, 1, act)
    with pytest.raises(NoMemoryError, match=rf"{WHICH}.*lower recipe.batch_size=16") as raised:
        run(tiny)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    monkeypatch.undo()
    assert not list((tmp_path / "store" / ".work").glob("*.failed.json")), "it may be tried again"
    epochs = []
    at_epoch(monkeypatch, 1, lambda: epochs.append(1))
    at_epoch(monkeypatch, 0, lambda: epochs.append(0))
    assert run(tiny).trained == 1 and set(epochs) == {1}


def test_a_checkpoint_that_does_not_fit_into_memory_is_not_taken_for_damaged(tiny, tmp_path, monkeypatch):
    at_epoch(monkeypatch, 1, device_is_full)
    with pytest.raises(NoMemoryError):
        run(tiny)
    monkeypatch.undo()
    monkeypatch.setattr("fer_transfer.stages.checkpoint.torch.load", lambda *_, **__: torch.empty(1 << 55))
    with pytest.raises(NoMemoryError):
        run(tiny)
    monkeypatch.undo()
    assert len(list((tmp_path / "store").glob(".work/*/last.ckpt"))) == 1


def test_a_clock_that_jumps_changes_nothing(tiny, tmp_path, monkeypatch):
    whole = run(tiny)
    other = f"runtime.store={tmp_path / 'other'}"
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    monkeypatch.setattr(time, "time_ns", lambda: jumps.randrange(4 * 10**18))
    at_epoch(monkeypatch, 2, device_is_full)
    with pytest.raises(NoMemoryError):
        run(tiny, other)
    monkeypatch.undo()
    for n, path in enumerate((tmp_path / "other").rglob("*")):
        os.utime(path, (0, 0) if n % 2 else (2**32, 2**32))
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    finished = run(tiny, other)
    assert equal(weights(finished), weights(whole)) and finished.trained == 1
    result = finished.jobs[-1].folder.result()
    assert 0 <= result["seconds"] < 60
    for path in finished.jobs[-1].folder.path.rglob("*"):
        os.utime(path, (2**32, 2**32))
    assert run(tiny, other).trained == 0
