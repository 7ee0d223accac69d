"""Pages made when the site is built: settings from ``conf/``, model files, the API page by page, changes from CHANGELOG.md."""

from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import fer_transfer
from fer_transfer.models import MODELS
from fer_transfer.reference import Choice, Group, Setting, reference

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fer_transfer"

_ABOUT = {
    "prepare": "turns a release into prepared faces",
    "train": "trains the stages of a plan",
    "report": "makes the tables of a store",
    "predict": "looks at pictures with what was trained",
    "export": "writes what was trained as ONNX, safetensors and a model card",
    "weights": "looks at a file of weights, and writes it with the record of its input",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the packages' pages stand below the first of the API."""
    python = next(entry["Python"] for entry in config.nav if "Python" in entry)
    python += [{name: f"api/{name}.md"} for name in packages()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages: dict[str, str] = {f"settings/{root}.md": settings_page(root) for root in _ABOUT}
    pages |= {f"api/{name}.md": api_page(name) for name in packages()}
    pages["models.md"] = models_page()
    pages["changes.md"] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    before = files.get_file_from_path("api/index.md")
    assert before is not None
    pages["api/index.md"] = before.content_string + public_names()
    files.remove(before)
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def public_names() -> str:
    """What ``import fer_transfer`` shows, each name from where it is defined; the module's own page is where links go."""
    places, once = fer_transfer._PLACE, "\n    options: {skip_local_inventory: true}"
    return "\n\n".join(f"::: {places[name]}.{name}{once}" for name in fer_transfer.__all__ if name in places) + "\n"


def packages() -> list[str]:
    """Packages and modules of the root that are documented, all but what commands and imports need."""
    found = [path for path in PACKAGE.iterdir() if not path.name.startswith(("_", "."))]
    return sorted(path.stem for path in found if (path / "__init__.py").exists() or path.suffix == ".py")


def api_page(name: str) -> str:
    """Modules of a package, each with its members."""
    folder = PACKAGE / name
    modules = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__") if folder.is_dir() else []
    blocks = [f"::: fer_transfer.{name}"] if not modules else []
    blocks += [f"::: fer_transfer.{name}.{module}" for module in modules]
    return "\n\n".join([f"# fer_transfer.{name}", *blocks, ""])


def models_page() -> str:
    """Every model file that can be used and does not come with the package."""
    lines = [
        "# Model files",
        "",
        "What can be used and does not come with the package; `fer-weights` prints the same. Nothing is fetched unless asked "
        "for: `fer-weights model=yunet fetch=true`. `fer-weights model=yunet file=FILE` says whether a file is the published one "
        "([how](howto/backbone.md#model-files)).",
        "",
        "| model= | file | for | bytes | SHA-256 | licence |",
        "|---|---|---|---:|---|---|",
    ]
    for model in MODELS.values():
        archive = " (in this archive)" if model.packed else ""
        cells = [f"`{model.short}`", f"[{_escaped(model.name)}]({model.address}){archive}", _escaped(model.purpose)]
        cells += ["not stated" if model.size is None else f"{model.size:,}", f"`{model.sha256 or 'not stated'}`"]
        lines.append(f"| {' | '.join([*cells, _escaped(model.licence)])} |")
    return "\n".join(lines) + "\n"


def settings_page(root: str) -> str:
    """Every setting of a command: default, meaning, file."""
    known = reference(root)
    lines = [
        f"# Settings of fer-{root}",
        "",
        f"`fer-{root}` {_ABOUT[root]}. `fer-{root} --settings` prints this page.",
        "",
    ]
    lines += _table(known.settings, f"conf/{root}.yaml")
    for group in known.groups:
        lines += _group(group)
    return "\n".join(lines) + "\n"


def _group(group: Group) -> Iterator[str]:
    yield from (f"## {group.name}", "", f"{_capital(group.says)}.", "")
    yield from (
        f"- [`{group.name}={choice.name}`](#{_anchor(group, choice)}){_mark(group, choice)}" for choice in group.choices
    )
    yield ""
    for choice in group.choices:
        yield from (f"### {group.name}={choice.name} {{ #{_anchor(group, choice)} }}", "", _escaped(choice.says), "")
        if choice.target:
            yield from (f"`{choice.target}`", "")
        yield from _table(choice.settings, f"conf/{choice.file}")


def _table(settings: tuple[Setting, ...], file: str) -> Iterator[str]:
    if settings:
        yield from (f"From `{file}`:", "", "| setting | default | meaning |", "|---|---|---|")
        for s in settings:
            yield f"| `{s.path}` | `{_cell(s.default)}` | {_escaped(_cell(s.meaning))} |"
        yield ""


def _mark(group: Group, choice: Choice) -> str:
    return " (default)" if choice.name == group.chosen else ""


def _anchor(group: Group, choice: Choice) -> str:
    return f"{group.name}-{choice.name}".replace("/", "-").replace("+", "-and-").lower()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    """What Markdown would read as markup."""
    for character in "*_<[`":
        text = text.replace(character, f"\\{character}")
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
