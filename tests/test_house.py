"""The plan of the house: packages import only packages before them, and a module's name says what is in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fer_transfer

PACKAGE = Path(fer_transfer.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

#: Packages and modules of the package's root. Each may import what stands before it, and itself.
ORDER = (
    "_torchvision", "_without", "__init__",  # the version, the public names, and what comes before timm and others
    "errors", "config", "conf_files", "settings", "reference", "labels", "signals", "outcome", "ranks",
    "files", "bar", "detection", "faces", "releases", "synthetic",
    "backbones", "models", "data", "training", "evaluation",
    "published", "study", "stages", "upkeep", "reports", "tracking", "sweeps",
    "inference", "export", "running",
    "cli",
)  # fmt: skip

NAMELESS = {"utils", "util", "helpers", "helper", "misc", "common"}


def place(module: Path) -> str:
    """The package of the root that a module lies in, or the module itself."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """Packages and modules of the root that a module imports at its top, in functions, or for types only."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            root, _, inside = name.partition(".")
            if root == "fer_transfer":
                first = inside.partition(".")[0]
                yield first if first in ORDER else "__init__"  # fer_transfer.__version__


def against_the_order() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for module in MODULES:
        here = place(module)
        if here == "__init__":
            continue  # says where public names are defined, and imports them when they are used (inference/test_api.py)
        for there in imported(module.read_text()):
            if ORDER.index(there) > ORDER.index(here):
                found.setdefault((here, there), []).append(str(module.relative_to(PACKAGE)))
    return found


def test_every_module_has_a_place():
    assert {place(module) for module in MODULES} - set(ORDER) == set()


def test_packages_import_only_what_stands_before_them():
    assert not against_the_order()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import fer_transfer.cli.app", ["cli"]),
        ("def f():\n    from fer_transfer.reports.results import Row", ["reports"]),
        ("from fer_transfer import _torchvision, tracking", ["_torchvision", "tracking"]),
        ("import fer_transfer\nfrom fer_transfer import __version__\nimport os.path", ["__init__", "__init__"]),
    ],
)
def test_no_kind_of_import_is_overlooked(source, expected):
    assert list(imported(source)) == expected


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_modules_are_named_after_what_they_hold_and_say_it(module):
    assert module.stem not in NAMELESS and module.parent.name not in NAMELESS
    assert (ast.get_docstring(ast.parse(module.read_text())) or "").strip()
