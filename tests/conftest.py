"""Fixtures that every test can use."""

import functools
import gc
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.util import get_temp_dir
from pathlib import Path

import cv2
import pytest
from hydra.core.hydra_config import HydraConfig
from starting import Runs
from tiny import SPLITS, overrides, write_faces
from trained import Trained, write_trained

from fer_transfer.cli.demo import pipeline_at_hand
from fer_transfer.detection import frame_process

Command = Callable[..., tuple[int, str, str]]

_SHARED = Path(__file__).resolve().parents[2] / "shared"


#: What takes longest begins first, so that no worker is left with it at the end.
_LONGEST = (
    "test_mistakes.py",
    "test_saliency.py",
    "test_runner.py",
    "test_reader.py",
    "test_train.py",
    "test_lineage.py",
    "test_report.py",
    "test_hostile_releases.py",
    "test_sweep.py",
    "test_trouble.py",
    "test_tracker_trouble.py",
    "test_export.py",
    "test_checkpoint.py",
    "test_wandb_runs.py",
    "test_in_a_browser.py",
    "test_own_data_set.py",
    "test_prepare.py",
)


def pytest_configure() -> None:
    """What a shell ignores in the background (SIGINT; SIGHUP under nohup), commands that tests start would ignore too."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules stay together: what they share is made once."""
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look through it again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A temporary directory of the tests' own: processes that are killed leave wandb's folders in the system's otherwise."""
    get_temp_dir()  # multiprocessing's own, which it removes itself, at its end
    folder = tmp_path_factory.mktemp("t")
    before, os.environ["TMPDIR"], tempfile.tempdir = os.environ.get("TMPDIR"), str(folder), str(folder)
    yield
    tempfile.tempdir = None
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before


def _folder_or_skip(name: str) -> Path:
    folder = _SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real files in {folder}, which are not part of the repository")
    return folder


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout; the test is skipped where it is absent."""
    return _folder_or_skip("data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real weights beside the checkout; the test is skipped where it is absent."""
    return _folder_or_skip("weights")


@pytest.fixture(scope="session")
def mesh_model() -> None:
    """The mesh of pipeline=aligned; the test is skipped where the installed mediapipe carries none."""
    if pipeline_at_hand():
        pytest.skip("needs the mesh model, which only mediapipe 0.10.14 carries (Python up to 3.12)")


@pytest.fixture
def caffe_importer() -> None:
    """OpenCV's reader of Caffe's files; the test is skipped where there is none."""
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip(f"needs OpenCV 4, which reads Caffe's files; this is {cv2.__version__}")


@pytest.fixture(scope="session")
def faces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``fer2013`` and ``emotiw`` of prepared faces with all their splits, a few dozen faces each."""
    folder = tmp_path_factory.mktemp("faces")
    for name in SPLITS:
        write_faces(folder / name, name)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A store with rows that were trained on rendered frames; nothing may be written to it."""
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that read frames are forked of one that has imported what they need: a fifth of the time.

    Spawned, as they are for a user, they are where a command is started (``starting``).
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fer_transfer.detection.frame_process", "fer_transfer.detection.detectors"])
    monkeypatch.setattr(frame_process, "get_context", lambda method: context)


@pytest.fixture
def tiny(faces_folder: Path, tmp_path: Path) -> list[str]:
    """Overrides of fer-train: a tiny network on tiny faces, two epochs a stage, a store of its own."""
    return overrides(faces_folder, tmp_path / "store")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


@pytest.fixture
def command(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Call the entry point of a command by its name, without starting Python again: (exit code, stdout, stderr)."""
    return functools.partial(_called, monkeypatch, capfd)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Runs:
    """As ``command``, in ``tmp_path`` and with what ``starting.run`` returns."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess([name, *words], *_called(monkeypatch, capfd, name, *words))

    return call


def _called(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", [f"fer-{name}", *words])
    code = 0
    try:
        importlib.import_module(f"fer_transfer.cli.{name}").main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        HydraConfig.instance().cfg = None  # which a process of its own would not have left
    return code, *capfd.readouterr()
