"""Calls the commands without starting Python again."""

import importlib
import sys

import pytest


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


@pytest.fixture
def command(elsewhere, monkeypatch, capfd):
    """Call the entry point of a command by its name: (exit code, stdout, stderr)."""

    def call(name, *overrides):
        monkeypatch.setattr(sys, "argv", [f"fer-{name}", *overrides])
        code = 0
        try:
            importlib.import_module(f"fer_transfer.cli.{name}").main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return call
