"""The notebooks: executed on synthetic faces, the same as their texts, by public names alone, and fit to be handed on."""

import ast
import importlib.util
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

import fer_transfer

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
_SPEC = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
execute = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(execute)
NAMES = execute.NAMES

#: Run here; make notebooks runs all of them, with all their faces.
SHORTEST = ("1_quickstart", "4_from_a_frame_to_a_face")
FEWER = {
    "{Training: 560, PublicTest: 70, PrivateTest: 70}": "{Training: 105, PublicTest: 14, PrivateTest: 14}",
    "{Train: 140, Val: 84, Test: 14}": "{Train: 42, Val: 28, Test: 7}",
}


@pytest.fixture(params=NAMES)
def committed(request):
    """A notebook as it is handed on."""
    return nbformat.read(FOLDER / f"{request.param}.ipynb", as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def texts(notebook):
    """Everything readable that a notebook shows."""
    for output in outputs(notebook):
        yield output.get("text", "")
        yield from (str(value) for kind, value in output.get("data", {}).items() if not kind.startswith("image/"))


def test_there_are_four():
    assert len(NAMES) == 4 and set(SHORTEST) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_text(name):
    text, notebook = jupytext.read(FOLDER / f"{name}.py"), nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in text.cells
    ], f"{name}.ipynb is not what {name}.py says: python notebooks/execute.py {name} writes it again"


def test_it_was_run_from_its_beginning_and_ends_with_a_picture(committed):
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for output in outputs(committed) if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in code[-1].outputs)


def test_it_is_small_names_no_machine_and_says_that_faces_are_synthetic(committed):
    assert len(nbformat.writes(committed)) < 1_000_000
    said = "\n".join(texts(committed))
    assert not re.search(r"/(root|home|work|tmp|Users|usr|opt)/|site-packages|Warning", said)
    for cell in committed.cells:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
            assert re.search(r'suptitle\(f?"SYNTHETIC', cell.source)
    assert "synthetic" in committed.cells[0].source.lower()
    tables = [output.data["text/html"] for output in outputs(committed) if "text/html" in output.get("data", {})]
    assert all("synthetic" in table.lower() for table in tables)


@pytest.mark.parametrize("name", NAMES)
def test_it_uses_public_names_alone(name):
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("fer_transfer")
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("fer_transfer") or (alias.name, alias.asname) == ("fer_transfer", "ft")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ft":
            assert node.attr in fer_transfer.__all__


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


def with_fewer_faces(name, read=execute.read):
    notebook = read(name)
    for cell in notebook.cells:
        for count, less in FEWER.items():
            cell.source = cell.source.replace(count, less)
    return notebook


@pytest.mark.long
@pytest.mark.parametrize("name", SHORTEST)
def test_it_runs(name, folder, monkeypatch, mesh_model):
    monkeypatch.setattr(execute, "read", with_fewer_faces)
    assert name != SHORTEST[0] or all(count in (FOLDER / f"{name}.py").read_text() for count in FEWER)
    notebook = execute.executed(name, folder)
    assert any("image/png" in output.get("data", {}) for output in notebook.cells[-1].outputs)
