"""Signals that a launcher listens to as well."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from fer_transfer import signals
from fer_transfer.signals import (
    Stopped,
    announced,
    check,
    deferred,
    ending_with,
    listening,
    received,
    stop_file,
    take_back,
)


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch):
    """What came is forgotten: other tests train in this process."""
    monkeypatch.setattr(signals, "_received", None)


@pytest.fixture
def launcher(monkeypatch):
    """A launcher's handlers of SIGUSR2 and SIGTERM; returns the signals that come to it."""
    came = []
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_a_launcher_listens_to_is_heard_first_and_handed_on(launcher):
    with pytest.raises(Stopped, match="SIGUSR2"), listening():
        with deferred():
            os.kill(os.getpid(), signal.SIGUSR2)
            assert received() == signal.SIGUSR2 and not launcher
        pytest.fail("deferred() ends with what has come")
    assert launcher == [signal.SIGUSR2]
    os.kill(os.getpid(), signal.SIGUSR2)
    assert len(launcher) == 2  # its handler is back


def test_what_nobody_listens_to_is_left_alone():
    with listening():
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_under_submitit_sigterm_announces_and_brings_a_checkpoint_only(launcher, monkeypatch):
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    with listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert announced() and not announced() and received() is None
        check()
    assert not launcher


def test_elsewhere_sigterm_stops_and_comes_to_the_launcher(launcher):
    with pytest.raises(Stopped), listening():
        os.kill(os.getpid(), signal.SIGTERM)
    assert launcher == [signal.SIGTERM]


def test_a_file_that_stops_the_work_is_no_signal_to_the_launcher(launcher, tmp_path):
    (tmp_path / "stop").touch()
    with pytest.raises(Stopped, match="SIGTERM"), listening(), stop_file(tmp_path / "stop"):
        check()
    assert not launcher


def test_handlers_that_others_put_over_ours_are_taken_back(launcher):
    with pytest.raises(Stopped), listening():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        take_back()
        os.kill(os.getpid(), signal.SIGTERM)


def test_listening_within_listening_hands_nothing_to_itself():
    before = signal.getsignal(signal.SIGTERM)
    with listening(), pytest.raises(Stopped), listening():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def _work(launcher, done):
    with ending_with(launcher):
        done.set()


@pytest.mark.parametrize("gone", [False, True])
def test_a_worker_whose_launcher_was_gone_before_its_job_begins_ends_at_once(gone):
    launcher = os.getpid()
    if gone:
        ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
        ended.wait()
        launcher = ended.pid
    context = multiprocessing.get_context("fork")
    done = context.Event()
    worker = context.Process(target=_work, args=(launcher, done))
    worker.start()
    worker.join(20)
    assert (worker.exitcode, done.is_set()) == ((1, False) if gone else (0, True))
