"""Reads what a stage wrote of its epochs, without torch."""

import csv
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a ``metrics.csv``, one an epoch."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
