"""Fixtures that every test can use."""

from pathlib import Path

import pytest
from tiny import SPLITS, overrides, write_faces

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


@pytest.fixture(scope="session")
def faces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``fer2013`` and ``emotiw`` of prepared faces with all their splits, a few dozen faces each."""
    folder = tmp_path_factory.mktemp("faces")
    for name in SPLITS:
        write_faces(folder / name, name)
    return folder


@pytest.fixture
def tiny(faces_folder: Path, tmp_path: Path) -> list[str]:
    """Overrides of fer-train: a tiny network on tiny faces, two epochs a stage, a store of its own."""
    return overrides(faces_folder, tmp_path / "store")
