"""Every setting of a command with its default and its meaning, read from the files of ``conf/`` and their comments.

A comment at the end of a setting's line says what it means, otherwise the lines of comment above it do; the comment at the
head of a file says what choosing that file means. ``--settings`` and the pages of settings are made of this.
"""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fer_transfer.config import conf_dir

_WIDTH = 80


@dataclass(frozen=True)
class Setting:
    """One that can be given.

    Attributes:
        path: as on the command line: ``recipe.epochs``.
        default: as the file has it; ``required`` where it has none.
        meaning: in words; empty where no comment says it.
    """

    path: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Choice:
    """A file of a group.

    Attributes:
        name: after ``GROUP=``.
        says: what choosing it means; empty where no comment says it.
        target: the class or function that it configures, or None.
        settings: those that it declares; none of an overlay, which changes those of others.
        file: relative to ``conf/``.
    """

    name: str
    says: str
    target: str | None
    settings: tuple[Setting, ...]
    file: str


@dataclass(frozen=True)
class Group:
    """What can be chosen under one name.

    Attributes:
        name: ``backbone``, ``hydra/launcher``.
        chosen: the choice by default; None: none.
        says: what is chosen.
        choices: by name.
    """

    name: str
    chosen: str | None
    says: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Reference:
    """The settings of a command.

    Attributes:
        settings: of its root.
        groups: in the order of the root's defaults list; those that only other groups choose from follow.
    """

    settings: tuple[Setting, ...]
    groups: tuple[Group, ...]

    def everything(self) -> Iterator[Setting]:
        """Settings of the root, then those of every choice."""
        yield from self.settings
        for group in self.groups:
            for choice in group.choices:
                yield from choice.settings


#: Groups that no user chooses from: what keeps Hydra quiet, and the sweepers.
_OURS = ("hydra/sweeper",)

#: Groups that are chosen from inside other groups, by root.
_INNER = {
    "train": (("data", "the faces that a stage trains and selects on: /data@stages.NAME.data in a plan"),),
    "prepare": (("pipeline/detector", "what finds faces in a frame"),),
    "predict": (("pipeline/detector", "what finds faces in a frame"),),
}


@cache
def reference(root: str) -> Reference:
    """Read the settings of a command.

    Args:
        root: ``train``, ``prepare``, ``predict``, ...: a file of ``conf/``.
    """
    path = conf_dir() / f"{root}.yaml"
    lines, tree = _read(path)
    own = _leaves(tree, lines, "", skip=("defaults", "hydra"))
    groups = [_group(name, chosen, says) for name, chosen, says in _defaults(tree, lines)]
    groups += [_group(name, None, says) for name, says in _INNER.get(root, ())]
    if root in ("train", "prepare"):
        groups.append(
            _group("hydra/launcher", None, "what runs the jobs of -m; by default they run here, one after another")
        )
    return Reference(tuple(own), tuple(groups))


def choices(group: str) -> list[str]:
    """Names of the files of a group.

    >>> choices("scheduler")
    ['step_decay', 'warmup_cosine']
    """
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def names(root: str) -> list[str]:
    """Groups and settings of a command."""
    known = reference(root)
    return [*(group.name for group in known.groups), *dict.fromkeys(setting.path for setting in known.everything())]


def as_text(root: str, words: Sequence[str] = ()) -> str:
    """The settings of a command for a terminal of 80 columns.

    Args:
        root: of the command.
        words: only what has one of these in its name; empty: all.
    """
    known = reference(root)
    lines = [line for setting in known.settings if _wanted(setting.path, words) for line in _shown(setting)]
    for group in known.groups:
        lines += _shown_group(group, words)
    return "\n".join(lines)


def _shown_group(group: Group, words: Sequence[str]) -> list[str]:
    """A group's heading, its choices, and each setting once: as the default choice has it, or the first that has it."""
    whole = _wanted(group.name, words)
    ordered = sorted(group.choices, key=lambda choice: choice.name != group.chosen)
    settings = {setting.path: setting for choice in reversed(ordered) for setting in choice.settings}
    first = [path for choice in ordered for path in dict.fromkeys(setting.path for setting in choice.settings)]
    wanted = [settings[path] for path in dict.fromkeys(first) if whole or _wanted(path, words)]
    if not wanted and not whole:
        return []
    lines = ["", *wrapped(f"{group.name}={group.chosen or 'NAME'}  {group.says}", "", "    ")]
    for choice in ordered if whole else ():
        lines += wrapped(f"{choice.name:<16} {choice.says}".rstrip(), "    ", " " * 21)
    return [*lines, *([""] if whole and wanted else []), *(line for setting in wanted for line in _shown(setting))]


def _shown(setting: Setting) -> list[str]:
    start = f"  {setting.path}={setting.default}"
    lines = wrapped(start, "", "      ")
    if setting.meaning:
        lines += wrapped(setting.meaning, "      ", "      ")
    return lines


def wrapped(text: str, first: str, then: str) -> list[str]:
    """Text in lines of 80 columns, the first and the others with their own indentation."""
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False) or [""]


def _wanted(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def _group(name: str, chosen: str | None, says: str) -> Group:
    folder = conf_dir() / name
    found = [_choice(folder / f"{choice}.yaml", name) for choice in choices(name)]
    meanings: dict[str, str] = {}
    for choice in found:  # what one file says of a setting holds in the others
        for setting in choice.settings:
            if setting.meaning:
                meanings.setdefault(setting.path, setting.meaning)
    return Group(name, chosen, says, tuple(_filled(choice, meanings) for choice in found))


def _filled(choice: Choice, meanings: dict[str, str]) -> Choice:
    settings = (Setting(s.path, s.default, s.meaning or meanings.get(s.path, "")) for s in choice.settings)
    return Choice(choice.name, choice.says, choice.target, tuple(settings), choice.file)


def _choice(path: Path, group: str) -> Choice:
    lines, tree = _read(path)
    head = list(itertools.takewhile(lambda line: not line.startswith("fer-"), _head(lines)))
    packages = [line.removeprefix("@package").strip() for line in head if line.startswith("@package")]
    package = packages[0] if packages else group.replace("/", ".")
    target = next((v.value for k, v in tree.value if k.value == "_target_" and v.value not in ("", "null")), None)
    settings = [] if package == "_global_" else _leaves(tree, lines, package, skip=("defaults", "_target_"))
    says = " ".join(line for line in head if not line.startswith("@package"))
    return Choice(path.stem, says, target, tuple(settings), path.relative_to(conf_dir()).as_posix())


def _read(path: Path) -> tuple[list[str], Any]:
    text = path.read_text(encoding="utf-8")
    return text.splitlines(), yaml.compose(text, Loader=yaml.SafeLoader)


def _defaults(tree: Any, lines: list[str]) -> Iterator[tuple[str, str | None, str]]:
    """Groups of a root's defaults list: name, choice, comment."""
    entries = next(value for key, value in tree.value if key.value == "defaults")
    for entry in entries.value:
        if isinstance(entry, yaml.MappingNode):
            (key, value), *_ = entry.value
            if key.value.startswith("override") or key.value == "hydra":
                continue
            yield key.value, None if value.value == "null" else value.value, _behind(lines, value)


def _leaves(tree: Any, lines: list[str], package: str, skip: Sequence[str] = (), above: str = "") -> list[Setting]:
    """The settings of a mapping, those of mappings inside it that are written over several lines by their dotted paths.

    What is said above such a mapping holds for those in it that say nothing themselves.
    """
    found = []
    for key, value in tree.value:
        if key.value in skip or key.value == "_target_":
            continue
        path = f"{package}.{key.value}" if package else key.value
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            found += _leaves(value, lines, path, above=_meaning(lines, key, value))
        else:
            found.append(Setting(path, _source(lines, value), _meaning(lines, key, value) or above))
    return found


def _source(lines: list[str], value: Any) -> str:
    """A value as it is written; a list of several lines in one."""
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        text = lines[start.line][start.column : end.column]
    elif isinstance(value, yaml.ScalarNode):
        text = value.value
    else:
        text = "[...]"
    return "required" if text == "???" else text


def _meaning(lines: list[str], key: Any, value: Any) -> str:
    one_line = value.start_mark.line == value.end_mark.line
    behind = _behind(lines, value if one_line else key)
    return behind or " ".join(_above(lines, key.start_mark.line))


def _behind(lines: list[str], node: Any) -> str:
    """The comment at the end of a node's line."""
    rest = lines[node.end_mark.line][node.end_mark.column :].lstrip(": ") if node.end_mark.line < len(lines) else ""
    return rest.removeprefix("#").strip() if rest.startswith("#") else ""


def _head(lines: list[str]) -> list[str]:
    """The lines of comment that a file begins with."""
    return [_bare(line) for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]


def _above(lines: list[str], line: int) -> list[str]:
    """The lines of comment right above a line; the head of the file is not about one setting."""
    first = line
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [_bare(text) for text in lines[first:line]] if first > 0 else []


def _bare(line: str) -> str:
    return line.strip().removeprefix("#").strip()
