"""What becomes of a training whose tracker fails: it ends as without one, and says so once."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_store import add_row
from wandb_files import read_all
from wandb_server import wandb_server

from fer_transfer.cli.train import train
from fer_transfer.config import plain
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.settings import compose
from fer_transfer.stages.progress import EpochLog
from fer_transfer.study import study_from
from fer_transfer.tracking import follower as follower_module
from fer_transfer.tracking.follower import Follower
from fer_transfer.tracking.trackers import wandb_tracker

ASKED = ["logger=wandb", "logger.offline=false", "logger.timeout=1", "logger.head_start=0"]


@contextmanager
def server(how: str) -> Iterator[str]:
    """A loopback address that refuses, takes connections and never answers, or breaks them off."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if how != "refuses":
            listening.listen(50)
            threading.Thread(target=_serve, args=(listening, how), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _serve(listening: socket.socket, how: str) -> None:
    held = []
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        if how == "hangs":
            held.append(connection)
        else:
            connection.close()


def fit(tiny, *overrides):
    return train(compose("train", [*tiny, "plan=emotiw", "recipe.epochs=1", *overrides]))


@pytest.fixture
def logged_in(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)


@pytest.mark.long
def test_training_goes_on_beside_a_server_that_never_answers(tiny, tmp_path, monkeypatch, capfd, logged_in):
    with server("hangs") as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        finished = fit(tiny, *ASKED)
    assert finished.trained == 1 and finished.jobs[0].folder.is_finished()
    out, err = capfd.readouterr()
    assert err.count("warning: wandb") == 1 and "did not answer in 1 s" in err and "sent later" in err
    assert "2 runs are not sent" in out and "wandb sync" in out
    runs = read_all(tmp_path / "store")
    assert [run.run.job_type for run in runs.values()] == ["stage", "row"]
    assert [row["epoch"] for row in runs[finished.jobs[0].key].history if "train/loss" in row] == [0]


@pytest.mark.parametrize("how", ["refuses", pytest.param("breaks off", marks=pytest.mark.long)])
def test_a_server_that_cannot_be_reached_is_one_warning(tmp_path, monkeypatch, capfd, logged_in, how):
    with server(how) as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        write_rows(tmp_path / "store", 2)
    assert capfd.readouterr().err.count("warning: wandb") == 1
    assert len(read_all(tmp_path / "store")) == 2


def test_what_a_server_does_not_take_in_the_end_is_one_warning(tmp_path, monkeypatch, capfd, logged_in):
    """It takes the runs, and refuses what is logged: wandb's client says so in its own log alone."""
    with wandb_server(400) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        told = write_rows(tmp_path / "store", 2, timeout=60.0)
    err = capfd.readouterr().err
    assert err.count("warning: wandb") == 1 and "400 Bad Request" in err and "to be sent later" in err
    assert "2 runs are not sent" in told and len(read_all(tmp_path / "store")) == 2


def test_nobody_logged_in_is_offline_with_a_line(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    write_rows(tmp_path / "store", 1)
    err = capfd.readouterr().err
    assert err.count("warning: wandb") == 1 and "wandb login" in err
    [run] = read_all(tmp_path / "store").values()
    assert run.summary["Val (found)/published"] == 46.9 and run.summary["Val (found)/difference"] != 0


def write_rows(store, count, timeout=1.0):
    """Rows of a store without stages, to a server that is asked for, and waited for so long."""
    for plan in ("fer28", "fer32")[:count]:
        add_row(store, plan, 0.6, backbone="bvlc_alexnet")
    study = study_from(plain(compose("report").study))
    tracker = wandb_tracker(study, False, "p", None, False, True, 0, timeout, 0.0, 0.0, str(store))
    tracker.whole_store(store)
    return tracker.close()


def test_what_cannot_be_written_is_one_warning(tiny, tmp_path, capfd):
    (tmp_path / "file").write_text("no folder")
    finished = fit(tiny, "logger=wandb", f"logger.folder={tmp_path / 'file'}")
    assert finished.trained == 1
    assert capfd.readouterr().err.count("warning: wandb") == 1


def test_a_full_disk_is_one_warning(tiny, monkeypatch, capfd):
    """No file of the follower, nor of wandb's own process, may grow beyond 3000 bytes."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); "
    monkeypatch.setattr("fer_transfer.tracking.follower._CHILD", limit + follower_module._CHILD)
    assert fit(tiny, "logger=wandb").trained == 1
    err = capfd.readouterr().err
    assert err.count("warning: wandb") == 1 and err.count("\n") == 1 and "File too large" in err


def test_a_follower_that_never_reads_is_not_waited_for(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_transfer.tracking.follower._CHILD", "import time; time.sleep(600)")
    began = time.monotonic()
    follower = Follower({"kind": "none"}, print)
    for _ in range(10_000):
        follower.tell({"epoch": "x" * 100})  # a megabyte; a pipe holds 64 KiB
    assert time.monotonic() - began < 5
    follower.process.kill()
    assert follower.wait(time.monotonic() + 10)


def test_a_follower_has_a_head_start_unless_nothing_follows(monkeypatch):
    monkeypatch.setattr("fer_transfer.tracking.follower._CHILD", "import sys; sys.stdin.read()")
    later, now = (Follower({"kind": "none"}, print, seconds) for seconds in (600.0, 0.2))
    later.tell({"epoch": 1}), now.tell({"epoch": 1})
    until = time.monotonic() + 60
    while not now.runs and time.monotonic() < until:
        time.sleep(0.02)
    assert now.runs and not later.runs
    for follower in (later, now):
        follower.end()
        assert follower.wait(time.monotonic() + 60) and not follower.runs


def weight(pid):
    """Of the session that a process leads, as ``nice 19``; None where this system does not weigh them."""
    path = Path(f"/proc/{pid}/autogroup")
    return path.read_text().partition(" ")[2].strip() if path.exists() else None


def test_a_follower_leaves_the_processors_to_the_training_until_it_is_waited_for(monkeypatch):
    monkeypatch.setattr("fer_transfer.tracking.follower._CHILD", "import sys; sys.stdin.read()")
    follower = Follower({"kind": "none"}, print)
    assert weight(follower.process.pid) in ("nice 19", None)
    assert not follower.wait(time.monotonic())
    assert weight(follower.process.pid) in ("nice 0", None)
    follower.end()
    assert follower.wait(time.monotonic() + 60)


def test_a_follower_that_dies_changes_nothing(tiny, monkeypatch):
    monkeypatch.setattr("fer_transfer.tracking.follower._CHILD", "raise SystemExit(1)")
    assert fit(tiny, "logger=wandb").trained == 1


def test_a_process_that_cannot_be_started_is_one_warning(tiny, monkeypatch, capfd):
    monkeypatch.setattr("fer_transfer.tracking.follower.sys.executable", "/nowhere/python")
    assert fit(tiny, "logger=wandb").trained == 1
    assert capfd.readouterr().err.count("warning: wandb") == 1


@pytest.mark.long
def test_a_resumed_stage_goes_on_with_its_run(tiny, tmp_path, monkeypatch):
    original = EpochLog.on_train_epoch_end

    def interrupted(self, trainer, module):
        if trainer.current_epoch == 2:
            raise OSError("killed")
        original(self, trainer, module)

    monkeypatch.setattr(EpochLog, "on_train_epoch_end", interrupted)
    monkeypatch.setattr("fer_transfer.tracking.trackers._STOP", 120)  # on a busy machine
    options = ["logger=wandb", "recipe.epochs=4"]
    with pytest.raises(StoreError, match="killed"):
        fit(tiny, *options)
    [before] = read_all(tmp_path / "store").values()
    assert before.exit_code == 1 and [row["epoch"] for row in before.history] == [0, 1]
    monkeypatch.undo()
    finished = fit(tiny, *options)
    after = read_all(tmp_path / "store")[finished.jobs[0].key]  # which finds no two folders of one id
    assert after.exit_code == 0 and [row["epoch"] for row in after.history if "train/loss" in row] == [0, 1, 2, 3]


def test_names_of_projects(tmp_path):
    with pytest.raises(ConfigError, match=r"logger\.project"):
        wandb_tracker(None, True, "a/b", None, True, True, 0, 1, 1, 0, str(tmp_path))
