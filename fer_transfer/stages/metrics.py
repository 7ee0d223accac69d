"""Reads, and fits to a terminal, what a stage wrote of its epochs; without torch."""

import csv
import re
from pathlib import Path

_EPOCH = re.compile(r" *\d+/\d+ (at \d+% )?loss ")


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a ``metrics.csv``, one an epoch."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fitted(name: str, text: str, width: int) -> str:
    """A log's line after what names it; of one that tells of an epoch as many parts as there is room for.

    >>> fitted("emotiw", "3/20 loss 1.234, selection 45.6%, 12 s left", 40)
    'emotiw 3/20 loss 1.234, selection 45.6%'
    """
    first, *others = text.split(", ") if _EPOCH.match(text) else [text]
    line = f"{name} {first}"
    for part in others:
        if len(line) + 2 + len(part) > width:
            break
        line += f", {part}"
    return line
