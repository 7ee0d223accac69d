"""What a store has finished, read back: one row per record, checked, with its predictions.

A record is ``<store>/submissions/<hash>.json`` and names the predictions files. Reports read nothing else.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.config import published_csv
from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions

RECORD_VERSION = 1

#: The six plans, in the order in which the paper builds its argument.
PLANS = ("emotiw", "fer28", "fer32", "fer32+emotiw", "fer28_emotiw", "fer32_emotiw")

_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "plan": str,
    "backbone": str,
    "seed": int,
    "settings_id": str,
    "settings": dict,
    "stages": list,
    "predictions": dict,
    "faces": dict,
    "selected_on": list,
    "trained_on": list,
    "environment": dict,
}
_COPIED = ("plan", "backbone", "seed", "settings_id", "settings", "stages", "environment")
_AGAIN = "Delete it and run fer-train again."


@dataclass(frozen=True, eq=False)
class Row:
    """One finished plan with one seed.

    Attributes:
        record: the file it was read from.
        plan, backbone, seed: what was run.
        settings_id: the same for rows that differ only in plan and seed.
        row_id: the same for rows that differ only in seed.
        settings: printable values by name.
        stages: name, key, and where known seconds and epochs of each.
        predictions: by split, as ``emotiw/Val``.
        caveats: what must stand beside any number of this row.
        trained_on: splits that are no evaluation, because a stage was trained on them.
        selected_on: splits on which an epoch was chosen.
        environment: device and versions.
    """

    record: Path
    plan: str
    backbone: str
    seed: int
    settings_id: str
    row_id: str
    settings: dict[str, Any]
    stages: list[dict[str, Any]]
    predictions: dict[str, Predictions]
    caveats: tuple[str, ...]
    trained_on: tuple[str, ...]
    selected_on: tuple[str, ...]
    environment: dict[str, Any]

    @property
    def name(self) -> str:
        """A file name of its own: plan, backbone, settings and seed."""
        return re.sub(r"[^\w.+#-]", "-", f"{self.plan}_{self.backbone}_{self.settings_id[:8]}_seed{self.seed}")


@dataclass(frozen=True)
class Published:
    """A row of the paper's table; numbers that it does not give are None.

    Attributes:
        submission: number, or a name for rows that were not submitted.
        backbone: the architecture.
        plan: its plan, as here.
        val, test: percent, correct images, images.
        val_macro_recall: percent.
        source: where it stands.
    """

    submission: str
    backbone: str
    plan: str
    val: tuple[float | None, int | None, int | None]
    test: tuple[float | None, int | None, int | None]
    val_macro_recall: float | None
    source: str


@dataclass(frozen=True)
class Group:
    """Rows that belong in one table: one backbone and one set of settings, any plan and seed."""

    backbone: str
    settings_id: str
    rows: tuple[Row, ...]

    @property
    def caveats(self) -> tuple[str, ...]:
        """The caveats of all rows, each once."""
        return tuple(dict.fromkeys(caveat for row in self.rows for caveat in row.caveats))

    @property
    def plans(self) -> tuple[str, ...]:
        """The paper's six, whether run or not (as often as with settings of its own), then any other that was run."""
        run = sorted({row.plan for row in self.rows})
        variants = {plan: [name for name in run if base_plan(name) == plan] for plan in PLANS}
        others = [name for name in run if base_plan(name) not in PLANS]
        return tuple(name for plan in PLANS for name in variants[plan] or [plan]) + tuple(others)

    def of(self, plan: str) -> tuple[Row, ...]:
        """The rows of a plan, by seed."""
        return tuple(row for row in self.rows if row.plan == plan)


def base_plan(plan: str) -> str:
    """The plan's own name, without the identity that tells apart rows with settings of their own.

    >>> base_plan("fer28_emotiw#1a2b3c")
    'fer28_emotiw'
    """
    return plan.partition("#")[0]


def load_groups(store: Path) -> list[Group]:
    """All finished rows of a store.

    Raises:
        StoreError: if there is no store, nothing finished in it, or a record or predictions file is damaged.
    """
    folder = store / "submissions"
    records = sorted(folder.glob("*.json"))
    if not records:
        found = "it holds no finished plan" if store.is_dir() else "there is no such folder"
        raise StoreError(
            f"Expected finished plans in {folder}, but {found}. "
            "Train one with fer-train, or name the store: store=<folder>."
        )
    rows, problems = [], []
    for record in records:
        try:
            rows.append(_load_row(record, store))
        except StoreError as error:
            problems.append(str(error))
    if problems:
        total = f"({len(problems)} damaged of {len(records)} records in {folder}.)"
        raise StoreError("\n".join([*problems[:3], total]))
    by_group: dict[tuple[str, str], list[Row]] = {}
    for row in _named_apart(rows):
        by_group.setdefault((row.backbone, row.settings_id), []).append(row)
    return [
        Group(*key, tuple(sorted(of, key=lambda row: (row.plan, row.seed)))) for key, of in sorted(by_group.items())
    ]


def _named_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows whose plan was run with several settings of its own get the identity after the plan: ``fer28#1a2b3c``.

    Such settings (a rate given inside the plan) are no part of ``settings_id``; under one name they would be taken for
    seeds of one row.
    """
    identities: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        identities.setdefault((row.backbone, row.settings_id, row.plan), set()).add(row.row_id)
    apart = [
        replace(row, plan=f"{row.plan}#{row.row_id[:6]}")
        if len(identities[row.backbone, row.settings_id, row.plan]) > 1
        else row
        for row in rows
    ]
    seen: dict[tuple[str, str, str, int], Row] = {}
    for row in apart:
        first = seen.setdefault((row.backbone, row.settings_id, row.plan, row.seed), row)
        if first is not row:
            raise StoreError(
                f"Expected one record of {row.plan} with seed {row.seed} and settings {row.settings_id[:8]}, but got "
                f"{first.record} and {row.record}. Delete the outdated one."
            )
    return apart


def _load_row(path: Path, store: Path) -> Row:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"Expected a JSON record in {path}, but got: {error}. {_AGAIN}") from None
    if not isinstance(record, dict) or record.get("version") != RECORD_VERSION:
        found = record.get("version") if isinstance(record, dict) else type(record).__name__
        raise StoreError(f"Expected a record of version {RECORD_VERSION} in {path}, but got {found!r}. {_AGAIN}")
    wrong = [key for key, kind in _REQUIRED.items() if not isinstance(record.get(key), kind)]
    if wrong:
        raise StoreError(
            f"Expected {', '.join(_REQUIRED)} in {path}, but {', '.join(wrong[:3])} ({len(wrong)} in all) "
            f"missing or of the wrong type. {_AGAIN}"
        )
    files, faces = record["predictions"], record["faces"]
    caveats = [f"{name}: {text}" for name, of in faces.items() for text in of.get("caveats", [])]
    caveats += record.get("caveats", [])
    return Row(
        record=path,
        row_id=str(record.get("row_id", "")),
        predictions={split: _load_predictions(store / str(file)) for split, file in files.items()},
        caveats=tuple(dict.fromkeys(caveats)),
        trained_on=tuple(record["trained_on"]),
        selected_on=tuple(record["selected_on"]),
        **{key: record[key] for key in _COPIED},
    )


def _load_predictions(path: Path) -> Predictions:
    try:
        predictions = Predictions.read(path)
    except (ValueError, IndexError) as error:  # a cut line, a word for a number; ReleaseError is a ValueError
        raise StoreError(f"Expected predictions in {path}, but got: {error}. Run fer-train again.") from None
    sums = predictions.probabilities.sum(axis=1)
    wrong = np.flatnonzero(~(np.isfinite(sums) & (np.abs(sums - 1) < 1e-3)))
    if wrong.size:
        raise StoreError(
            f"Expected probabilities that sum to 1 in {path}, but got {sums[wrong[:3]].tolist()} for "
            f"{', '.join(predictions.ids[wrong[:3]].tolist())} ({wrong.size} faces). Run fer-train again."
        )
    return predictions


def load_published(path: Path | None = None) -> list[Published]:
    """The paper's own rows, in their order, from ``published.csv``."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    def count(text: str) -> int | None:
        return int(text) if text else None

    with (path or published_csv()).open(newline="") as file:
        return [
            Published(
                line["submission"],
                line["backbone"],
                line["plan"],
                (number(line["val_percent"]), count(line["val_k"]), count(line["val_n"])),
                (number(line["test_percent"]), count(line["test_k"]), count(line["test_n"])),
                number(line["val_macro_recall"]),
                line["source"],
            )
            for line in csv.DictReader(file)
        ]
