"""The tables of the README and of experiments are those that the committed CSV files give."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("experiment_tables", ROOT / "experiments" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_table_is_stale(tables):
    stale = [str(path.relative_to(ROOT)) for path in tables.stale()]
    assert not stale, "python experiments/tables.py makes them anew"


def test_a_changed_number_makes_tables_stale(tables, monkeypatch):
    read = tables._read

    def changed(path):
        return [line | {"percent": "99.9"} if line.get("percent") else line for line in read(path)]

    monkeypatch.setattr(tables, "_read", changed)
    stale = {str(path.relative_to(ROOT)) for path in tables.stale()}
    folders = ("alignment", "demo", "paper_cpu", "sfew_like")
    assert stale == {*tables.READMES, *(f"experiments/{name}/table.md" for name in folders)}
