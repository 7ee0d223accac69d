"""Random damage to a finished store and its faces: whatever happens is told by name and mended, or changes no number.

::

    python tests/damage.py --count 500 --seed 0

Each damage is done to a fresh copy. ``fer-report`` looks at it, then ``fer-train`` is given the same commands as before; where
one of them refuses, what its message asks for is done. In the end every reported number must be what it was.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console
from tiny import SPLITS, TinyFaces, overrides

from fer_transfer.cli.report import report
from fer_transfer.cli.train import train
from fer_transfer.errors import FerTransferError, StoreError
from fer_transfer.faces.prepare import prepare
from fer_transfer.files import checked
from fer_transfer.settings import compose

NAMED, HARMLESS, DIFFERENT, CRASH, NOT_MENDED = "named", "harmless", "SILENTLY DIFFERENT", "traceback", "NOT MENDED"
OUTCOMES = (NAMED, HARMLESS, DIFFERENT, CRASH, NOT_MENDED)

#: What is trained: rows with two seeds, and one whose faces are not all needed.
PLANS = (["plan=emotiw"], ["plan=fer28_emotiw"], ["plan=fer28_emotiw", "recipe.seed=1"])

Numbers = dict[str, str]


class Damage(NamedTuple):
    """One thing that happened: its kind, the file, and what became of it."""

    kind: str
    file: str
    outcome: str
    told: str


class Place:
    """A folder with ``store`` and ``faces``, and the commands on it."""

    def __init__(self, folder: Path, plans: Sequence[list[str]]) -> None:
        self.folder = folder
        given = [*overrides(folder / "faces", folder / "store"), "recipe.epochs=1", "runtime.progress=lines"]
        self._train = [compose("train", [*given, *plan]) for plan in plans]
        self._report = compose("report", [f"store={folder / 'store'}", f"out={folder / 'report'}"])

    def prepare(self) -> None:
        for name in SPLITS:
            prepare(TinyFaces(name), self.folder / "faces" / name, Console(file=io.StringIO()))

    def train(self, repair: bool = False) -> None:
        for config in self._train:
            train(_with(config, repair=repair))

    def report(self) -> Numbers:
        """Every number of the report, as text by file."""
        shutil.rmtree(self.folder / "report", ignore_errors=True)
        if damaged := [one.why for one in report(self._report).missing if one.kind == "damaged"]:
            raise StoreError("\n".join(damaged))  # the rest is reported, with a word of what is left out
        files = sorted((self.folder / "report").rglob("*.csv"))
        return {str(path.relative_to(self.folder / "report")): path.read_text() for path in files}

    def files(self) -> list[Path]:
        parts = (self.folder / "store", self.folder / "faces")
        return sorted(path for part in parts for path in part.rglob("*") if path.is_file())


def _with(config: DictConfig, **changed: Any) -> DictConfig:
    copy = config.copy()
    for key, value in changed.items():
        copy[key] = value
    return copy


# Kinds of damage. Each is given the random numbers, the file, and all files; it returns False where it can do nothing.


def flip_a_bit(rng: random.Random, path: Path, _: Sequence[Path]) -> bool:
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    return bool(data)


def cut(rng: random.Random, path: Path, _: Sequence[Path]) -> bool:
    size = path.stat().st_size
    if size:
        os.truncate(path, rng.choice((0, size - 1, rng.randrange(size))))
    return size > 0


def extend(rng: random.Random, path: Path, _: Sequence[Path]) -> bool:
    with path.open("ab") as file:
        file.write(rng.choice((b"\0", b"\n", b" ", rng.randbytes(rng.randrange(1, 500)))))
    return True


def zero_a_block(rng: random.Random, path: Path, _: Sequence[Path]) -> bool:
    data = bytearray(path.read_bytes())
    if data:
        start = rng.randrange(len(data))
        count = min(len(data) - start, rng.choice((8, 512, 4096)))
        data[start : start + count] = bytes(count)
        path.write_bytes(data)
    return bool(data)


def swap(rng: random.Random, path: Path, files: Sequence[Path]) -> bool:
    alike = _alike(path, files)
    other = rng.choice(alike if alike and rng.random() < 0.8 else [file for file in files if file != path])
    aside = path.with_name("aside")
    for source, target in ((path, aside), (other, path), (aside, other)):
        source.rename(target)
    return True


def delete(_: random.Random, path: Path, __: Sequence[Path]) -> bool:
    path.unlink()
    return True


def replace(rng: random.Random, path: Path, files: Sequence[Path]) -> bool:
    """By another stage's, split's or release's file of the same kind."""
    alike = _alike(path, files)
    if alike:
        shutil.copy2(rng.choice(alike), path)
    return bool(alike)


def edit_json(rng: random.Random, path: Path, _: Sequence[Path]) -> bool:
    if path.suffix != ".json":
        return False
    content = json.loads(path.read_text())
    holder, key = rng.choice(list(_leaves(content)))
    others = [value for value in _others(holder[key]) if value != holder[key]]
    holder[key] = rng.choice(others)
    path.write_text(json.dumps(content))
    return True


def edit_csv(rng: random.Random, path: Path, _: Sequence[Path]) -> bool:
    if path.suffix != ".csv":
        return False
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    row = rng.choice(rows)
    column = rng.randrange(len(row))
    cells = {"0", "1", "Happy", "", "0.99", *(other[column] for other in rows if column < len(other))} - {row[column]}
    row[column] = rng.choice(sorted(cells))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return True


KINDS: dict[str, Callable[[random.Random, Path, Sequence[Path]], bool]] = {
    "flip a bit": flip_a_bit,
    "cut": cut,
    "extend": extend,
    "zero a block": zero_a_block,
    "swap two files": swap,
    "delete": delete,
    "replace": replace,
    "edit a JSON value": edit_json,
    "edit a CSV cell": edit_csv,
}


def _kind(path: Path) -> str:
    """By name; those whose names are digests, by their folder and ending."""
    if path.suffix == ".lock" or path.parent.name in ("predictions", "submissions"):
        return f"{path.parent.name}/*{path.suffix}"
    return path.name


def _alike(path: Path, files: Sequence[Path]) -> list[Path]:
    """Other files of the same kind."""
    return [file for file in files if file != path and _kind(file) == _kind(path)]


def _leaves(content: Any) -> Any:
    """Every value that is no container, as the container that holds it and its key there."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        if isinstance(value, dict | list) and value:
            yield from _leaves(value)
        else:
            yield content, key


def _others(value: Any) -> list[Any]:
    """Other values, mostly of the same kind."""
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, int | float):
        return [value + 1, value - 1, value * 10, str(value), None]
    if isinstance(value, str):
        return [f"{value}x", value[:-1], value.swapcase(), value[::-1], 0, None, []]
    return [[], {}, 1, "x"]


def _try(act: Callable[[], Any], place: Place) -> tuple[str | None, Any]:
    """What a command told where it refused, and else its result; any other end is an error of the package."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return None, act()
    except FerTransferError as error:
        if not re.search(re.escape(str(place.folder)) + r"/(store|faces)/", str(error)):
            raise AssertionError(f"names no file: {error}") from error
        return str(error), None


def outcome(place: Place, before: Numbers, deleted_record: bool) -> tuple[str, str]:
    """What becomes of damage: fer-report, then fer-train and what it asks for, then fer-report; and what was told."""
    told, numbers = _try(place.report, place)
    if told is None and numbers != before and not deleted_record:  # deleting a record is how one leaves a row out
        return DIFFERENT, "fer-report"
    refused, _ = _try(place.train, place)
    told, steps = refused or told, []
    while refused is not None:  # two files that were swapped are told one after the other
        if refused in steps:
            return NOT_MENDED, " THEN ".join([*steps, refused])
        steps.append(refused)
        if "fer-prepare" in refused:
            _try(place.prepare, place)
        if "Delete the file" in refused:
            (place.folder / "store" / "store.json").unlink()
        repair = "repair=true" in refused
        refused, _ = _try(lambda repair=repair: place.train(repair=repair), place)
    last, numbers = _try(place.report, place)
    if last is not None:
        return NOT_MENDED, f"{told} THEN {last}"
    if numbers != before:
        return (DIFFERENT if told is None else NOT_MENDED), "fer-train"
    return (NAMED, told) if told else (HARMLESS, "")


class Whole(NamedTuple):
    """A finished store with its faces, where copies of it are damaged, and what is reported of it."""

    kept: Path
    place: Place
    numbers: Numbers


def build(folder: Path, plans: Sequence[list[str]] = PLANS) -> Whole:
    """Prepare, train and report, under the name that the copies will have, as errors name their files."""
    checked._RACY = 10**7  # nanoseconds: this file system's times tell that apart
    place = Place(folder / "damaged", plans)
    with contextlib.redirect_stdout(io.StringIO()):
        place.prepare()
        place.train()
        numbers = place.report()
    shutil.rmtree(place.folder / "report")
    place.folder.rename(folder / "whole")
    return Whole(folder / "whole", place, numbers)


def damage(whole: Whole, kind: str, rng: random.Random) -> Damage:
    """Do one damage to a fresh copy, and see."""
    place = whole.place
    shutil.rmtree(place.folder, ignore_errors=True)
    shutil.copytree(whole.kept, place.folder)
    if rng.random() < 0.3:  # all of it read before, and known by size and time
        time.sleep(2 * checked._RACY / 1e9)
        with contextlib.redirect_stdout(io.StringIO()):
            place.train()
    files = place.files()
    path = next(path for path in _shuffled(rng, files) if KINDS[kind](rng, path, files))
    name, deleted_record = str(path.relative_to(place.folder)), kind == "delete" and path.parent.name == "submissions"
    try:
        return Damage(kind, name, *outcome(place, whole.numbers, deleted_record))
    except Exception:
        return Damage(kind, name, CRASH, traceback.format_exc())


def _shuffled(rng: random.Random, files: Sequence[Path]) -> list[Path]:
    """In random order; each kind of file is as likely to come first as any other."""
    order = rng.sample(files, len(files))
    kinds = sorted({_kind(path) for path in files})
    return [path for kind in rng.sample(kinds, len(kinds)) for path in order if _kind(path) == kind]


def run(whole: Whole, count: int, seed: int) -> list[Damage]:
    """Damage copies, with each kind as often as any other; the same seed gives the same damages."""
    rng, kinds = random.Random(seed), list(KINDS)
    return [damage(whole, kinds[i % len(kinds)], rng) for i in range(count)]


def table(found: Sequence[Damage]) -> str:
    """Kinds of damage against outcomes."""
    counts = Counter((one.kind, one.outcome) for one in found)
    widths = [20, *(len(of) + 2 for of in OUTCOMES)]
    rows = [("", *OUTCOMES)]
    rows += [(kind, *(str(counts[kind, of]) for of in OUTCOMES)) for kind in KINDS]
    rows += [("all", *(str(sum(counts[kind, of] for kind in KINDS)) for of in OUTCOMES))]
    return "\n".join("".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)


def bad(found: Sequence[Damage]) -> list[Damage]:
    """Those that must not be."""
    return [one for one in found if one.outcome not in (NAMED, HARMLESS)]


def main() -> None:
    """Run, print the table and what must not be; exit with 1 if there is any."""
    parser = argparse.ArgumentParser(description="Random damage to a finished store and its faces.")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--told", action="store_true", help="also print what was told of every damage")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = run(build(Path(folder)), arguments.count, arguments.seed)
    for one in found if arguments.told else bad(found):
        print(f"{one.outcome}: {one.kind}, {one.file}\n{one.told}\n")
    print(table(found))
    print(f"{len(found)} damages in {time.perf_counter() - started:.0f} s")
    sys.exit(1 if bad(found) else 0)


if __name__ == "__main__":
    main()
