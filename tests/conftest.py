"""Fixtures that every test can use."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_transfer.faces.writer import FacesWriter
from fer_transfer.labels import UNLABELLED

Command = Callable[..., tuple[int, str, str]]

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def _folder_or_skip(name: str) -> Path:
    folder = _SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real files in {folder}, which are not part of the repository")
    return folder


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout; the test is skipped where it is absent."""
    return _folder_or_skip("data")


@pytest.fixture
def shared_weights() -> Path:
    """The folder of real weights beside the checkout; the test is skipped where it is absent."""
    return _folder_or_skip("weights")


def _write_faces(folder: Path, name: str, size: int, splits: dict[str, int]) -> None:
    """Faces that a network can tell apart: a bright bar whose height is the expression, in noise."""
    random = np.random.default_rng(size)
    with FacesWriter(folder, name, (size, size), sum(splits.values())) as writer:
        writer.caveats = ["synthetic"]
        writer.settings = {"ferplus": False} if name == "fer2013" else {}
        for i, split in enumerate(s for s, count in splits.items() for _ in range(count)):
            label = int(random.integers(7))
            pixels = random.integers(0, 120, (size, size), dtype=np.uint8)
            pixels[label * size // 7 : (label + 1) * size // 7] += 100
            shown = UNLABELLED if split == "Test" else label
            writer.add(pixels, f"{name}_{i:04}.png", split, shown, found=i % 20 != 0)


@pytest.fixture(scope="session")
def faces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``fer2013`` and ``emotiw`` of prepared faces with all their splits, a few dozen faces each."""
    folder = tmp_path_factory.mktemp("faces")
    _write_faces(folder / "fer2013", "fer2013", 48, {"Training": 128, "PublicTest": 40, "PrivateTest": 40})
    _write_faces(folder / "emotiw", "emotiw", 64, {"Train": 64, "Val": 40, "Test": 20})
    return folder


@pytest.fixture
def tiny(faces_folder: Path, tmp_path: Path) -> list[str]:
    """Overrides of fer-train: a tiny network on tiny faces, two epochs a stage, a store of its own."""
    return [
        "backbone=timm",
        "recipe.backbone.name=test_resnet",
        "recipe.augment.resize=36",
        "recipe.augment.crop=32",
        "recipe.batch_size=32",
        "recipe.epochs=2",
        "recipe.optimizer.lr=0.02",
        f"runtime.store={tmp_path / 'store'}",
        f"runtime.faces.fer2013={faces_folder / 'fer2013'}",
        f"runtime.faces.emotiw={faces_folder / 'emotiw'}",
    ]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


@pytest.fixture
def command(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Call the entry point of a command by its name, without starting Python again: (exit code, stdout, stderr)."""

    def call(name: str, *overrides: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"fer-{name}", *overrides])
        code = 0
        try:
            importlib.import_module(f"fer_transfer.cli.{name}").main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return call
