"""``fer-store``: what a store holds, whether it is as it was written, what can go, and taking it elsewhere.

::

    fer-store list store=demo/store
    fer-store why 0c9b e757
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_transfer.cli.front import front
from fer_transfer.config import override
from fer_transfer.errors import ConfigError, FerTransferError, StoreError
from fer_transfer.files.names import shown_text
from fer_transfer.signals import Stopped, listening

if TYPE_CHECKING:
    from fer_transfer.upkeep.contents import Contents

HELP = """\
fer-store: look after a store of trained stages.

  fer-store list             the stages: what tells them apart, where they come
                             from, which rows refer to them; the rows; the rest
  fer-store show KEY         everything of one stage: lineage, recipe, scores
  fer-store why A B          the fields in which two keys differ
  fer-store verify           read everything; name what is not as it was written
  fer-store prune            what nothing refers to; deleted with yes=true

Between stores:
  merge OTHER...             take stages and rows of other stores into this one
  export ROW out=FOLDER      one row with all it needs, a store by itself
  import FOLDER              take such a folder into this store

A KEY may be cut short where it stays the only one. A ROW is the beginning of
its name in the list, a submission, PLAN, PLAN/BACKBONE or PLAN/BACKBONE/SEED.

  store=store    the folder that fer-train filled
  out=FOLDER     export: a new folder
  weights=true   export, merge into a new store: false leaves the weights out;
                 such a store is for fer-report, and for others without weights
  yes=false      prune: true deletes
  hours=24       prune: what was written within so many is kept, for a sweep
                 that runs may be about to need it
"""


@dataclass(frozen=True)
class Verb:
    """What a word does.

    Attributes:
        act: called with what follows the word, and the settings.
        takes: what follows it, for messages; the last may stand for several.
        settings: those that it knows besides ``store``.
    """

    act: Callable[[Sequence[str], dict[str, str]], None]
    takes: str = ""
    settings: tuple[str, ...] = ()

    def check(self, name: str, words: Sequence[str]) -> None:
        """Refuse too few or too many words.

        Raises:
            ConfigError: naming what is taken.
        """
        expected = self.takes.split()
        enough = len(words) >= len(expected) if self.takes.endswith("...") else len(words) == len(expected)
        if not enough:
            raise ConfigError(
                f"Expected {' '.join(['fer-store', name, *expected])}, but got {len(words)} words after {name}"
                f"{': ' + ' '.join(words[:3]) if words else ''}."
            )


def _list(_: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.upkeep.listing import listing

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    _print(listing(_held(settings), shutil.get_terminal_size().columns if wide else None))


def _show(words: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.upkeep.showing import showing

    held = _held(settings)
    _print(showing(held.stage(words[0]), held))


def _why(words: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.upkeep.difference import why

    held = _held(settings)
    _print(why(held.stage(words[0]), held.stage(words[1]), held))


def _verify(_: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.upkeep.verifying import problems

    held, count = _held(settings), 0
    for problem in problems(held):
        count += 1
        _print([problem])
    if count:
        raise StoreError(
            f"{count} {'things' if count > 1 else 'thing'} in {held.root} not as they were written, named above."
        )
    _print([f"{len(held.stages)} stages and {len(held.records)} rows in {held.root} are as they were written."])


def _prune(_: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.upkeep.listing import size_text
    from fer_transfer.upkeep.pruning import delete, needless

    deletes, hours = _switch(settings, "yes"), _number(settings, "hours", 24)
    held = _held(settings)
    found = needless(held, hours)
    _print([f"{size_text(one.size):>8}  {one.path.relative_to(held.root)}  {one.why}" for one in found])
    total = f"{len(found)} things, {size_text(sum(one.size for one in found))}"
    if not deletes or not found:
        _print([f"{total} would be deleted; yes=true does it" if found else "nothing to delete"])
        return
    kept = delete(held.store, found)
    _print([f"kept: {one.path.relative_to(held.root)}  a job holds its lock" for one in kept])
    _print(
        [f"deleted: {len(found) - len(kept)} things, {size_text(sum(one.size for one in found if one not in kept))}"]
    )


def _merge(words: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.stages.store import Store
    from fer_transfer.upkeep.contents import contents, is_new, open_store
    from fer_transfer.upkeep.merging import merge

    others = [contents(open_store(Path(word).expanduser())) for word in words]
    root = _store(settings)
    weights = _switch(settings, "weights", "true") and all(other.store.weights for other in others)
    store = Store(root, weights) if is_new(root) else open_store(root)
    refused = 0
    for other in others:
        outcome = merge(other, store)
        refused += len(outcome.refused)
        _print([f"{other.root}: {line}" if n == 0 else f"  {line}" for n, line in enumerate(outcome.lines())])
    if refused:
        raise StoreError(f"{refused} things were not taken into {root}, named above; the rest was.")


def _export(words: Sequence[str], settings: dict[str, str]) -> None:
    from fer_transfer.upkeep.exporting import export, row_called

    if not settings.get("out"):
        raise ConfigError(f"Expected a new folder: fer-store export {words[0]} out=FOLDER, but got no out.")
    held, out = _held(settings), Path(settings["out"]).expanduser()
    outcome = export(held, row_called(words[0], held), out, _switch(settings, "weights", "true"))
    command = shlex.join(["fer-report", override("store", out)])
    _print([f"{len(outcome.copied)} stages and 1 row written to {out}: {command} reads it there"])


VERBS = {
    "list": Verb(_list),
    "show": Verb(_show, "KEY"),
    "verify": Verb(_verify),
    "why": Verb(_why, "A B"),
    "prune": Verb(_prune, settings=("yes", "hours")),
    "merge": Verb(_merge, "OTHER...", ("weights",)),
    "export": Verb(_export, "ROW", ("out", "weights")),
    "import": Verb(_merge, "FOLDER", ("weights",)),
}


def run(arguments: Sequence[str]) -> None:
    """Do what the words of a command line say.

    Raises:
        ConfigError: if they say nothing that there is.
        StoreError: if the store is not what it should be, or something in it is not as it was written.
    """
    if not arguments:
        print(HELP, end="")
        return
    words, settings = _parsed(arguments)
    if not words:
        raise ConfigError(f"Expected one of {', '.join(VERBS)}, but got settings only. fer-store --help shows them.")
    name, *words = words
    if name not in VERBS:
        raise ConfigError(f"Expected one of {', '.join(VERBS)}, but got {name!r}.{_nearest(name, list(VERBS))}")
    verb = VERBS[name]
    known = ("store", *verb.settings)
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"There is no setting {key} of fer-store {name}, which knows {', '.join(known)}.{_nearest(key, known)}"
            )
    verb.check(name, words)
    verb.act(words, settings)


def main() -> None:
    """Entry point of the command."""
    front("fer-store", HELP)
    with listening():
        try:
            run(sys.argv[1:])
            sys.stdout.flush()
        except FerTransferError as error:
            sys.stdout.flush()
            print(f"error: {shown_text(str(error))}", file=sys.stderr, flush=True)
            sys.exit(1)
        except BrokenPipeError:  # nobody reads any more; nor could Python write what is left when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except Stopped as stop:
            print(f"stopped by {stop}; what is done is kept, repeat the command to go on", file=sys.stderr, flush=True)
            sys.exit(stop.exit_code)


def _parsed(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Words, and settings by key; a setting that is given twice counts as it was given last."""
    words, settings = [], {}
    for argument in arguments:
        if re.match(r"[A-Za-z_]\w*=", argument):
            key, _, value = argument.partition("=")
            settings[key] = value
        elif argument.startswith("-"):
            raise ConfigError(f"There is no option {argument}. Settings are KEY=VALUE; fer-store --help shows them.")
        else:
            words.append(argument)
    return words, settings


def _held(settings: dict[str, str]) -> "Contents":
    from fer_transfer.upkeep.contents import contents, open_store

    return contents(open_store(_store(settings)))


def _store(settings: dict[str, str]) -> Path:
    if not settings.get("store", "store"):
        raise ConfigError("Expected a path for store, but got ''. Give store=PATH.")
    return Path(settings.get("store", "store")).expanduser()


def _switch(settings: dict[str, str], key: str, default: str = "false") -> bool:
    given = settings.get(key, default).lower()
    if given not in ("true", "false"):
        raise ConfigError(f"Expected {key} to be true or false, but got {settings[key]!r}.")
    return given == "true"


def _number(settings: dict[str, str], key: str, default: float) -> float:
    try:
        given = float(settings.get(key, default))
    except ValueError:
        given = -1.0
    if not given >= 0:
        raise ConfigError(f"Expected {key} to be a number of at least 0, but got {settings[key]!r}.")
    return given


def _nearest(word: str, known: Sequence[str]) -> str:
    from fer_transfer.config import nearest

    return nearest(word, known)


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        print(shown_text(line))


if __name__ == "__main__":
    main()
