"""Several processes that train a stage together, against one that trains it alone."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fer_transfer.cli.train import train
from fer_transfer.config import plain
from fer_transfer.errors import ConfigError
from fer_transfer.ranks import Ranks
from fer_transfer.settings import compose
from fer_transfer.stages.metrics import read_metrics
from fer_transfer.stages.plan import plan_from
from fer_transfer.stages.runner import Runner
from fer_transfer.stages.runtime import Runtime, environment
from fer_transfer.stages.together import Together
from fer_transfer.study import study_from

#: Two releases, batches that no number of processes divides, and of the 40 faces to select on one is left for the last batch.
STAGE = [
    "plan=fer32+emotiw", "recipe.batch_norm=frozen", "recipe.augment.mirror=true", "recipe.batch_size=39",
    "recipe.class_weights=balanced", "recipe.keep=best", "runtime.progress=lines",
]  # fmt: skip
COMPARED = ("epoch", "train_loss", "train_accuracy", "selection_loss", "selection_accuracy", "lr")


@contextlib.contextmanager
def torchrun(processes, folder, *overrides):
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    process = subprocess.Popen(
        [*command, "-m", "fer_transfer.cli.train", *overrides],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def alone(tiny, store, *overrides):
    return train(compose("train", [*tiny, *STAGE, *overrides, f"runtime.store={store}"])).jobs[-1].folder


def finished(store):
    [folder] = [path.parent for path in store.glob("*/result.json")]
    return folder


def check_equal(folder, expected):
    """The same loss curve and weights, to what the order of additions changes."""
    one, other = (read_metrics(where / "metrics.csv") for where in (folder, expected))
    one, other = ([[float(row[name]) for name in COMPARED] for row in rows] for rows in (one, other))
    assert np.allclose(one, other, rtol=1e-5, atol=1e-6), (one, other)
    one, other = (load_file(where / "weights.safetensors") for where in (folder, expected))
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-5) for name in one)


@pytest.mark.long
def test_two_processes_train_what_one_trains(tiny, tmp_path):
    more = [
        "recipe.sharpness=0.05",
        "recipe.progressive.start=0.5",
    ]  # twice through each batch, and batches of two sizes
    with torchrun(2, tmp_path, *tiny, *STAGE, *more, "logger=wandb", f"runtime.store={tmp_path / 'two'}") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "error" not in err and "warning" not in err.lower()
    assert [out.count(f" {epoch}/2 loss") for epoch in (1, 2)] == [1, 1], "the first process speaks alone"
    check_equal(finished(tmp_path / "two"), alone(tiny, tmp_path / "one", *more).path)
    assert len(list((tmp_path / "two" / "submissions").iterdir())) == 1


@pytest.mark.cluster
@pytest.mark.parametrize(("rank", "processes"), [(0, 1), (0, 2), (1, 1), (1, 3)])
def test_a_killed_process_ends_the_others_and_any_number_goes_on(tiny, tmp_path, rank, processes):
    options = [*tiny, *STAGE, "recipe.epochs=60", f"runtime.store={tmp_path / 'two'}", "runtime.checkpoint_minutes=0"]
    with torchrun(2, tmp_path, *options) as process:
        for line in process.stdout:
            if " 2/60 loss" in line:
                break
        pids = children(process)
        os.kill(pids[rank], signal.SIGKILL)
        killed = time.monotonic()
        _, err = process.communicate(timeout=120)
    seconds = time.monotonic() - killed
    print(f"all ended {seconds:.1f} s after process {rank} was killed")
    assert process.returncode == 1 and seconds < 60
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert ("error: Another of the 2 processes" in err) == (rank == 1)
    if processes == 1:
        resumed = alone(tiny, tmp_path / "two", "recipe.epochs=60").path
    else:
        with torchrun(processes, tmp_path, *options, "runtime.checkpoint_minutes=10") as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "to resume" in out and " 1/60 loss" not in out
        resumed = finished(tmp_path / "two")
    check_curve(resumed, alone(tiny, tmp_path / "one", "recipe.epochs=60").path)


def check_curve(folder, expected):
    """As above, to what sixty epochs make of it."""
    one, other = (read_metrics(where / "metrics.csv") for where in (folder, expected))
    assert [row["epoch"] for row in one] == [row["epoch"] for row in other]
    losses = [[float(row["train_loss"]) for row in rows] for rows in (one, other)]
    assert np.allclose(*losses, rtol=1e-3), losses


@pytest.mark.cluster
@pytest.mark.parametrize("to", ["all", "one"])
def test_a_signal_to_one_or_all_stops_all_at_one_batch(tiny, tmp_path, to):
    options = [*tiny, *STAGE, "recipe.epochs=100000", f"runtime.store={tmp_path / 'two'}"]
    with torchrun(2, tmp_path, *options) as process:
        for line in process.stdout:
            if " 2/100000 loss" in line:
                break
        os.kill(process.pid if to == "all" else children(process)[1], signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert err.count("stopped by SIGTERM; what is done is kept, repeat the command to go on") == 1
    assert "error:" not in err
    if to == "one":
        assert "exitcode  : 143" in err
    [path] = (tmp_path / "two" / ".work").glob("*/last.ckpt")
    assert torch.load(path, weights_only=True)["fer_transfer"]


@pytest.mark.cluster
def test_an_error_of_the_first_is_one_message_and_ends_all(tiny, tmp_path):
    for wrong, message in (
        ("recipe.optimizer.lr=1e30", "diverged|became"),  # found while they train
        ("runtime.faces.emotiw=nowhere", "fer-prepare"),  # found before
        ("recipe.batchsize=3", "batch_size"),  # found by all
    ):
        with torchrun(2, tmp_path, *tiny, *STAGE, f"runtime.store={tmp_path / 'two'}", wrong) as process:
            _, err = process.communicate(timeout=90)
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and any(word in errors[0] for word in message.split("|")), err
        assert process.returncode == 1 and not list((tmp_path / "two").glob("*/result.json"))


def as_torchrun(monkeypatch, rank, processes, here=None):
    values = {"TORCHELASTIC_RUN_ID": "x", "RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": here or processes}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_more_devices_than_processes_are_refused_with_the_command(tiny, command):
    code, _, err = command("train", *tiny, *STAGE, "runtime.devices=2")
    assert code == 1 and "Expected a process for each of runtime.devices=2, but there is one. Start them so" in err
    assert "torchrun --nproc-per-node=2 -m fer_transfer.cli.train" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_sweep_under_torchrun_is_refused_once(tiny, command, monkeypatch, rank):
    as_torchrun(monkeypatch, rank, 2)
    monkeypatch.setattr("fer_transfer.ranks.time.sleep", lambda seconds: None)
    code, _, err = command("train", "-m", *tiny, "plan=emotiw,fer28")
    assert code == 1 and (rank == 0) == ("without torchrun" in err) and len(err.splitlines()) == 1 - rank


@pytest.mark.parametrize(("devices", "accepted"), [(1, True), (3, True), (2, False), (0, False)])
def test_devices_are_the_processes_of_torchrun(monkeypatch, devices, accepted):
    as_torchrun(monkeypatch, 0, 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with contextlib.nullcontext() if accepted else pytest.raises(ConfigError, match="number of processes, 3"):
        Runtime(devices=devices)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    as_torchrun(monkeypatch, 0, 4, here=2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="each of the 2 processes on this machine, but torch sees 1"):
        Runtime()
    assert Runtime(device="cpu").accelerator == "cpu"


def test_a_record_says_how_many_processes_made_a_number(monkeypatch):
    assert "processes" not in environment("cpu")["device"]
    as_torchrun(monkeypatch, 0, 3)
    assert environment("cpu")["device"].startswith("3 processes, each: ")


@pytest.mark.parametrize(
    ("override", "processes", "message"),
    [
        ("recipe.batch_norm=train", 2, "recipe.batch_norm=frozen"),
        ("recipe.batch_norm=frozen", 40, "each of 40 processes.*have 39"),
    ],
)
def test_what_processes_cannot_share_is_told_before_training(tiny, tmp_path, override, processes, message):
    config = compose("train", [*tiny, *STAGE, override])
    together = Together(Ranks(0, processes, processes))
    runner = Runner(Runtime(**plain(config.runtime)), study_from(plain(config.study)), together=together)
    with pytest.raises(ConfigError, match=message):
        runner.run_plan(plan_from(config))
    assert not list((tmp_path / "store").glob("*/recipe.json"))


def test_apples_gpu_is_a_device(monkeypatch):
    with pytest.raises(ConfigError, match="Apple's GPU"):
        Runtime(device="mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    runtime = Runtime(device="mps")
    assert (runtime.accelerator, runtime.torch_device) == ("mps", torch.device("mps"))
    assert Runtime().accelerator != "mps", "auto takes none that nothing was measured on"
    as_torchrun(monkeypatch, 0, 2)
    with pytest.raises(ConfigError, match="each of the 2 processes"):
        Runtime(device="mps")
