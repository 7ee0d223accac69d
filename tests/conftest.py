"""Fixtures that every test can use."""

from pathlib import Path

import pytest

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
