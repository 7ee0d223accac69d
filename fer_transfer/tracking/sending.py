"""What was written and not sent: where it is, and the command that sends it, parents first."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_RUN = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)")
SENT = ".synced"  # wandb's own mark, beside the file that it has sent


def runs_in(folder: Path) -> Iterator[Path]:
    """Folders of runs in wandb's folder, in the order in which they began: a stage begins after what it starts from has ended."""
    found = [path for path in folder.glob("*run-*") if _RUN.fullmatch(path.name) and path.is_dir()]
    yield from sorted(found, key=began)


def began(run: Path) -> str:
    """When a run began, to the second, as text that can be compared."""
    match = _RUN.fullmatch(run.name)
    return match[1] if match else ""


def id_of(run: Path) -> str:
    """The id of a run, by its folder."""
    match = _RUN.fullmatch(run.name)
    return match[2] if match else ""


def is_sent(run: Path) -> bool:
    """Whether wandb has all of it."""
    return any(run.glob(f"*.wandb{SENT}"))


def unsent(folder: Path) -> list[Path]:
    """Runs that wandb does not have, or not all of, in the order in which they must be sent."""
    return [run for run in runs_in(folder) if run.name.startswith("offline-") and not is_sent(run)]


def how_to_send(options: Mapping[str, Any]) -> list[str]:
    """The command that sends what was not sent, in a line or none.

    A shell sorts the folders by their names, which begin with the time. wandb's own command for all of them differs from version
    to version (``--sync-all`` until 0.29), and newer ones send several at a time.
    """
    if options["kind"] != "wandb":
        return []
    count = len(unsent(Path(options["folder"]) / "wandb"))
    if not count:
        return []
    where = shlex.quote(options["folder"])
    runs = "1 run is" if count == 1 else f"{count} runs are"
    each = f'[ -e "$run"/*{SENT} ] || wandb sync "$run"'
    return [
        f"wandb: {runs} not sent. This sends them, parents first: "
        f"(cd {where} && for run in wandb/offline-run-*; do {each}; done)"
    ]
