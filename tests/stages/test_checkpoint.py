"""Killed, stopped, resumed: at any batch, bit-identical; a checkpoint that is not what was written is never resumed."""

import contextlib
import functools
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from starting import start
from tiny import overrides

from fer_transfer.cli.train import train
from fer_transfer.settings import compose
from fer_transfer.stages.checkpoint import Resumable, content_digest
from fer_transfer.stages.progress import read_metrics

OPTIONS = ["plan=emotiw", "recipe.epochs=3", "recipe.batch_size=16", "recipe.augment.mirror=true"]


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *OPTIONS, *overrides])).jobs[-1].folder


@pytest.fixture(scope="module")
def undisturbed(faces_folder, tmp_path_factory):
    """Train what ``run`` trains, whole: each stage once, since they share a store."""
    return functools.partial(run, overrides(faces_folder, tmp_path_factory.mktemp("undisturbed") / "store"))


class Killed(BaseException):
    """Nothing of ours is run after it, as after SIGKILL."""


def killed_after(monkeypatch, epoch, batch, minutes=0.0):
    """A run that writes a checkpoint after every batch and dies after one of them."""
    original = Resumable.on_train_batch_end

    def dying(self, trainer, module, outputs, data, index):
        original(self, trainer, module, outputs, data, index)
        if (trainer.current_epoch, index) == (epoch, batch):
            raise Killed

    monkeypatch.setattr(Resumable, "on_train_batch_end", dying)
    return f"runtime.checkpoint_minutes={minutes}"


#: Each moment once, each choice of epochs at several; make long has the other half.
KILLS = [(0, 0, "last"), (0, 2, "best"), (1, 1, "best"), (2, 1, "last"), (2, 2, "best")]
OTHERS = [(epoch, batch, "best" if keep == "last" else "last") for epoch, batch, keep in KILLS]


@pytest.mark.parametrize(
    ("epoch", "batch", "keep"), [*KILLS, *(pytest.param(*of, marks=pytest.mark.long) for of in OTHERS)]
)
def test_a_stage_killed_within_an_epoch_goes_on_to_the_bit(
    tiny, tmp_path, monkeypatch, undisturbed, epoch, batch, keep
):
    # Of the faces held out as many are lost as make three batches of the others.
    more = ["recipe.selection.share=0.2", "recipe.batch_size=14", "recipe.sharpness=0.05"]
    share = more if (keep, batch) == ("best", 1) else []
    whole = undisturbed(f"recipe.keep={keep}", *share)
    options = [f"runtime.store={tmp_path / 'other'}", f"recipe.keep={keep}", *share]
    with pytest.raises(Killed):
        run(tiny, *options, killed_after(monkeypatch, epoch, batch))
    monkeypatch.undo()
    seen = []
    original = Resumable.on_train_batch_start
    monkeypatch.setattr(
        Resumable, "on_train_batch_start", lambda *a: (seen.append((a[1].current_epoch, a[4])), original(*a))[1]
    )
    resumed = run(tiny, *options)
    steps = [(e, b) for e in range(3) for b in range(3)]
    done = (epoch, batch) if batch < 2 else (epoch, 1)  # after the last batch comes the epoch's own checkpoint
    assert seen == steps[steps.index(done) + 1 :], "only what was not done yet"
    assert load_file(resumed.weights).keys() == load_file(whole.weights).keys()
    assert all(torch.equal(a, load_file(whole.weights)[name]) for name, a in load_file(resumed.weights).items())
    same = ("epoch", "train_loss", "train_accuracy", "selection_loss", "selection_accuracy", "lr")
    one, other = ([[row[name] for name in same] for row in read_metrics(folder.metrics)] for folder in (whole, resumed))
    assert one == other
    for path in (whole.path / "predictions").iterdir():
        if path.suffix == ".csv":
            assert path.read_bytes() == (resumed.path / "predictions" / path.name).read_bytes()


def interrupted(tiny, tmp_path, monkeypatch, *overrides):
    with pytest.raises(Killed):
        run(tiny, *overrides, killed_after(monkeypatch, 1, 1))
    monkeypatch.undo()
    [path] = (tmp_path / "store" / ".work").glob("*/last.ckpt")
    return path


def test_a_checkpoint_that_is_not_what_was_written_is_said_and_not_resumed(
    tiny, tmp_path, monkeypatch, undisturbed, capsys
):
    path = interrupted(tiny, tmp_path, monkeypatch)
    whole, content = path.read_bytes(), torch.load(path, weights_only=True)
    tensor = content["state_dict"]["network.bn1.running_var"]
    at = whole.index(tensor.numpy().tobytes()) + 1
    flipped = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
    content["epoch"] += 1
    torch.save(content, tmp_path / "changed.ckpt")
    changed = (tmp_path / "changed.ckpt").read_bytes()
    reference = load_file(undisturbed().weights)
    for damage, word in (
        (flipped, "digest"),
        (changed, "digest"),
        (whole[:-100], "is not what was written"),
        (b"", ""),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damage)
        resumed = load_file(run(tiny).weights)
        out = capsys.readouterr().out
        assert "the stage starts again" in out and word in out
        assert all(torch.equal(tensor, reference[name]) for name, tensor in resumed.items())
        shutil.rmtree(tmp_path / "store" / path.parent.name.partition(".")[0])
        shutil.rmtree(path.parent, ignore_errors=True)


def test_another_stages_checkpoint_is_not_resumed(tiny, tmp_path, monkeypatch, capsys):
    first = interrupted(tiny, tmp_path, monkeypatch)
    key = first.parent.name.partition(".")[0]
    shutil.move(first.parent, tmp_path / "kept")
    second = interrupted(tiny, tmp_path, monkeypatch, "recipe.seed=1")
    shutil.copy(tmp_path / "kept" / "last.ckpt", second)
    run(tiny, "recipe.seed=1")
    assert f"it is of stage {key}" in capsys.readouterr().out


def test_the_digest_tells_everything_apart():
    base = {"a": [1, 2.0, "x", None, True], "t": torch.arange(3.0), "m": {1: torch.zeros(0)}}
    others = [
        {**base, "a": [1, 2, "x", None, True]}, {**base, "t": torch.arange(3.0).double()}, {**base, "m": {"1": torch.zeros(0)}},
        {**base, "a": [[1, 2.0, "x", None, True]]}, {**base, "t": torch.tensor([0.0, 1, 3])}, {**base, "b": 1},
        {**base, "t": torch.arange(3.0)[:, None]},
    ]  # fmt: skip
    assert len({content_digest(value) for value in [base, *others]}) == 8
    assert content_digest({**base, "fer_transfer": 1}) == content_digest(base)


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGTERM", 143), ("SIGINT", -signal.SIGINT), pytest.param("SIGHUP", 129, marks=pytest.mark.long)],
)
def test_a_signal_costs_a_batch_and_ends_with_its_exit_code(tiny, tmp_path, name, code):
    """A multirun of two plans in a process of its own; the second is not begun."""
    options = ["recipe.epochs=100000", "recipe.batch_size=16", "runtime.progress=lines", "runtime.threads=1"]
    process = start("train", "-m", "plan=emotiw,fer28", *tiny, *options, cwd=tmp_path)
    try:
        lines = list(itertools.takewhile(lambda line: " loss " not in line, process.stdout))
        process.send_signal(getattr(signal, name))
        sent = time.monotonic()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code and time.monotonic() - sent < 20
    assert err.strip().splitlines() == [f"stopped by {name}; what is done is kept, repeat the command to go on"]
    assert "fer28" not in "".join(lines) + out
    [path] = (tmp_path / "store" / ".work").glob("*/last.ckpt")
    content = torch.load(path, weights_only=True)
    assert content["fer_transfer"]["digest"] == content_digest(content)


@pytest.mark.long
def test_ctrl_c_ends_a_shells_loop(tiny, tmp_path):
    """A terminal sends SIGINT to the shell and its command; the shell goes on unless the command died of it."""
    options = ["plan=emotiw", "recipe.epochs=100000", "recipe.batch_size=16", "runtime.progress=lines"]
    command = [sys.executable, "-c", "from fer_transfer.cli.train import main; main()", *tiny, *options]
    loop = f"for s in 5 6; do echo seed $s; {shlex.join(command)} recipe.seed=$s; done; echo the loop went on"
    shell = subprocess.Popen(
        ["bash", "-c", loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        lines = list(itertools.takewhile(lambda line: " loss " not in line, shell.stdout))
        os.killpg(shell.pid, signal.SIGINT)
        out, err = shell.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert err.strip() == "stopped by SIGINT; what is done is kept, repeat the command to go on"
    assert lines[0] == "seed 5\n" and "seed 6" not in out and "went on" not in out
    assert shell.returncode in (-signal.SIGINT, 130)
