"""What every command answers at once, before Hydra is imported: ``--help``, ``--version``, ``--settings``; misspelt options."""

import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import fer_transfer

_OURS = ("--help", "-h", "--version", "--settings")

#: Hydra's options.
_HYDRAS = (
    "--hydra-help", "--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r", "--multirun", "-m", "--shell-completion",
    "-sc", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--experimental-rerun", "--info", "-i",
)  # fmt: skip

#: As they are written out, and cut short as argparse takes them.
_CONFIG_DIR = ("-cd", "--config-d", "--config-di", "--config-dir")

_CFG = ("job", "hydra", "all")


def help_text(uses: str, choices: Sequence[str], done: str) -> str:
    """A help of a command that Hydra configures: its uses, the groups to choose from, and where every setting is told.

    Args:
        uses: what the command is for, and its commonest uses.
        choices: groups of ``conf/``.
        done: what ``--cfg job`` does nothing of: "nothing is trained".
    """
    width = max(map(len, choices))
    return "\n".join(
        [
            uses,
            "Choices (GROUP=NAME):",
            *(f"  {group:<{width}}   {{{group}}}" for group in choices),
            "",
            "  --settings [WORD]    every setting: default, meaning, choices",
            f"  --cfg job            the configuration that would run; nothing is {done}",
            "",
        ]
    )


def front(command: str, text: str, root: str | None = None) -> None:
    """Answer what needs no configuration, and end the process; otherwise return.

    Args:
        command: its name: ``fer-train``.
        text: of ``--help``; ``{GROUP}`` at the end of a line becomes the names to choose from.
        root: of its settings in ``conf/``; None: Hydra has no part in it.
    """
    with nobody_reads("end"):
        answered = _answered(command, text, root, sys.argv[1:])
        sys.stdout.flush()
    if answered:
        sys.exit(0)


def _answered(command: str, text: str, root: str | None, words: Sequence[str]) -> bool:
    """Print what is asked for, if anything is."""
    if "--version" in words:
        print(f"{command} {fer_transfer.__version__}")
    elif "-h" in words or "--help" in words:
        print(filled(text), end="")
    elif "--settings" in words and root:
        print(_settings(command, root, words[words.index("--settings") + 1 :]))
    else:
        _check_options(command, words, _HYDRAS if root else ())
        return False
    return True


@contextmanager
def nobody_reads(answer: str) -> Iterator[None]:
    """What writing to a closed pipe (``fer-train -h | head``) does: ``end`` the process quietly, or an ``error``."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL if answer == "end" else signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def filled(text: str) -> str:
    """A help with the names of groups put in, on as many lines as they need."""
    return "\n".join(map(_filled, text.splitlines())) + "\n"


def _filled(line: str) -> str:
    if found := re.search(r"\{([\w/]+)\}$", line):
        from fer_transfer.reference import choices, wrapped

        start = line[: found.start()]
        return "\n".join(wrapped(start + " ".join(choices(found[1])), "", " " * len(start)))
    return line


def _settings(command: str, root: str, words: Sequence[str]) -> str:
    from fer_transfer.reference import as_text, names

    if text := as_text(root, words):
        return text
    _refuse(command, f"There is no setting with {' or '.join(words)} in its name.", words[0], names(root))


def _check_options(command: str, words: Sequence[str], hydras: Sequence[str]) -> None:
    known = (*_OURS, *hydras)
    for word in words:
        option = word.partition("=")[0]
        if (
            option.startswith("-")
            and option not in known
            and not any(o.startswith(option) for o in known if len(option) > 2)
        ):
            _refuse(command, f"There is no option {option}.", option, known)
    joined = [(option, value) for option, is_joined, value in (word.partition("=") for word in words) if is_joined]
    for option, value in [*pairwise(words), *joined] if hydras else ():
        if option in ("--cfg", "-c") and value not in _CFG:
            _refuse(command, f"Expected {option} {'|'.join(_CFG)}, but got {value!r}.", value, _CFG)
        if option in _CONFIG_DIR:
            _check_folder(command, value)


def _check_folder(command: str, value: str) -> None:
    if not Path(value).is_dir():
        from fer_transfer.files.nearby import near_path

        _refuse(command, f"Expected a folder of configurations at {value}, but there is none.{near_path(value)}")
    if hidden := _hidden(Path(value)):
        _refuse(
            command,
            f"Expected names of your own in {value}, but {len(hidden)} are those of fer_transfer's configurations, which are "
            f"read in their place: {', '.join(hidden[:3])}. Rename them.",
        )


def _hidden(folder: Path) -> list[str]:
    """Files of a folder of one's own that Hydra does not read, for the package has others of the same names."""
    from fer_transfer.config import conf_dir

    names = (path.relative_to(conf_dir()) for path in sorted(conf_dir().rglob("*.yaml")))
    return [
        str(name)
        for name in names
        if (folder / name).is_file() and (folder / name).read_bytes() != (conf_dir() / name).read_bytes()
    ]


def _refuse(command: str, what: str, word: str = "", known: Sequence[str] = ()) -> NoReturn:
    from fer_transfer.config import nearest
    from fer_transfer.files.names import shown_text

    print(f"error: {shown_text(what)}{nearest(word, known)} {command} --help shows what there is.", file=sys.stderr)
    sys.exit(1)
