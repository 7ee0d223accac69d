"""Published numbers of a study: rows and confusion matrices, from CSV files beside its own (``conf/study``)."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_transfer.config import config_folders
from fer_transfer.errors import ConfigError

#: Percent, correct faces, faces.
Numbers = tuple[float | None, int | None, int | None]


@dataclass(frozen=True)
class Published:
    """A published row; numbers that it does not give are None.

    Attributes:
        submission: number, or a name for rows that were not submitted.
        backbone, plan: as here.
        numbers: percent, correct faces, faces, by the beginning of the columns (``Reported.published``).
        macro_recall: percent, likewise.
        source: where it stands.
        architecture: as the paper calls it; "" where the file has no such column.
        stages: what it was fine-tuned on, one after the other, in the paper's words; likewise none.
    """

    submission: str
    backbone: str
    plan: str
    numbers: dict[str, Numbers]
    macro_recall: dict[str, float | None]
    source: str
    architecture: str = ""
    stages: tuple[str, ...] = ()


def read_rows(name: str, prefixes: Sequence[str], study: str) -> list[Published]:
    """Published rows, in their order.

    Args:
        name: of the CSV: a path, or a file beside the study's.
        prefixes: beginnings of the columns of numbers.
        study: its name, for messages.

    Raises:
        ConfigError: if the file is not there, lacks columns, holds a word for a number, or one row twice.
    """
    path = _beside(name)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [_published(line, prefixes) for line in csv.DictReader(file)]
    except OSError as error:
        raise ConfigError(
            f"Expected the published numbers of study {study!r} in {name}, but got: {error.strerror}."
        ) from None
    except (KeyError, ValueError, TypeError) as error:
        needed = ["submission", "backbone", "plan", "source", *(f"{prefix}_percent" for prefix in prefixes)]
        raise ConfigError(
            f"Expected columns {', '.join(needed)}, ... and numbers or nothing in them in {path}, but got: "
            f"{type(error).__name__} {error}."
        ) from None
    counts = Counter((row.backbone, row.plan) for row in rows)
    if twice := [of for of, count in counts.items() if count > 1]:
        raise ConfigError(f"Expected each backbone and plan once in {path}, but got {' with '.join(twice[0])} twice.")
    return rows


def read_matrices(name: str, order: Sequence[str], study: str) -> dict[tuple[str, str], list[list[int]]]:
    """Published confusion matrices by backbone and plan, counts by truth and prediction.

    Args:
        name: of the CSV, as for ``read_rows``.
        order: of the expressions.
        study: its name, for messages.

    Raises:
        ConfigError: if the file is not there, lacks columns or an expression, or holds anything but counts.
    """
    path = _beside(name)
    try:
        counts: dict[tuple[str, str], dict[str, list[int]]] = {}
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                of_row = counts.setdefault((line["backbone"], line["plan"]), {})
                of_row[line["truth"]] = [int(line[word]) for word in order]
        matrices = {row: [of[word] for word in order] for row, of in counts.items()}
    except OSError as error:
        raise ConfigError(
            f"Expected the published matrices of study {study!r} in {name}, but got: {error.strerror}."
        ) from None
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f"Expected columns backbone, plan, truth, {', '.join(order)} with counts in them, and a line for each of "
            f"these expressions, in {path}, but got: {type(error).__name__} {error}."
        ) from None
    if odd := [row for row, matrix in matrices.items() if min(map(min, matrix)) < 0]:
        raise ConfigError(f"Expected counts in {path}, but those of {' with '.join(odd[0])} are below 0.")
    return matrices


def _beside(name: str) -> Path:
    """A file of a study: as it is named, or beside the study's own."""
    places = [Path(), *(folder / "study" for folder in config_folders())]
    return next((found for place in places if (found := place / name).exists()), Path(name))


def _published(line: Mapping[str, str], prefixes: Sequence[str]) -> Published:
    def number(column: str) -> float | None:
        return float(line[column]) if line[column] else None

    def count(column: str) -> int | None:
        return int(line[column]) if line[column] else None

    return Published(
        line["submission"],
        line["backbone"],
        line["plan"],
        {prefix: (number(f"{prefix}_percent"), count(f"{prefix}_k"), count(f"{prefix}_n")) for prefix in prefixes},
        {prefix: number(f"{prefix}_macro_recall") if f"{prefix}_macro_recall" in line else None for prefix in prefixes},
        line["source"],
        line.get("architecture") or "",
        tuple(filter(None, map(str.strip, (line.get("fine_tuned_on") or "").split(">")))),
    )
