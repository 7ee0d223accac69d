"""torchvision can be imported beside any build of torch, and nothing is done where it could be anyway."""

import subprocess
import sys
from pathlib import Path

import pytest

from fer_transfer import _torchvision
from fer_transfer._torchvision import _BeforeTorchvision, _library_loads, install


def python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_is_enough_and_imports_nothing_heavy(tmp_path):
    code = (
        "import sys, fer_transfer\n"
        "assert not {'torch', 'torchvision', 'numpy'} & set(sys.modules)\n"
        "import torch, torchvision.transforms.v2, torchvision.models\n"
        "assert not any(type(finder).__name__ == '_BeforeTorchvision' for finder in sys.meta_path)\n"
        "print(torch.ops.torchvision.nms.default)"
    )
    assert "torchvision.nms" in python(code, tmp_path)


@pytest.fixture
def meta_path(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return sys.meta_path


@pytest.mark.parametrize("loads", [True, False])
def test_schemas_are_declared_only_where_the_library_does_not_load(loads, meta_path, monkeypatch):
    declared = []
    monkeypatch.setattr(_torchvision, "_library_loads", lambda folder: loads)
    monkeypatch.setattr(_torchvision, "_declare_schemas", lambda: declared.append(True))
    finder = _BeforeTorchvision()
    meta_path.insert(0, finder)
    assert finder.find_spec("torch", None) is None and finder.find_spec("torchvision.ops", None) is None
    assert finder in meta_path and not declared
    spec = finder.find_spec("torchvision", None)
    assert spec is not None and spec.name == "torchvision"
    assert bool(declared) is not loads and finder not in meta_path


def test_without_torchvision_the_import_fails_as_it_always_does(meta_path, monkeypatch):
    monkeypatch.setattr("importlib.machinery.PathFinder.find_spec", lambda *_: None)
    meta_path.insert(0, _BeforeTorchvision())
    assert meta_path[0].find_spec("torchvision", None) is None


def test_libraries_that_load_and_that_do_not(tmp_path):
    assert _library_loads(tmp_path)  # none to load
    (tmp_path / "_C.so").write_bytes(b"no library")
    assert not _library_loads(tmp_path)


def test_installed_once_and_only_before_torchvision(meta_path, monkeypatch):
    def hooks():
        return [finder for finder in sys.meta_path if isinstance(finder, _BeforeTorchvision)]

    monkeypatch.setitem(sys.modules, "torchvision", None)  # already there, in some way
    monkeypatch.setattr(sys, "meta_path", [finder for finder in meta_path if finder not in hooks()])
    install()
    assert not hooks()
    monkeypatch.delitem(sys.modules, "torchvision")
    install()
    install()
    assert len(hooks()) == 1
