"""FER+: ten taggers' votes for every row of ``fer2013.csv``.

========  ==============================================================================================================
What      New labels for FER-2013's pictures, as votes of ten crowd-sourced taggers a picture; no pictures
Made by   Emad Barsoum, Cha Zhang, Cristian Canton Ferrer, Zhengyou Zhang (Microsoft Research)
Licence   MIT
To get    github.com/microsoft/FERPlus, ``fer2013new.csv``; the pictures are FER-2013's (``releases.fer2013``)
Size      35887 rows, as FER-2013; they sum to 10 votes, or to 9 where a tagger is missing
Classes   neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF (no face): their own order,
          not FER-2013's (``FERPLUS_COLUMNS``)
Splits    FER-2013's, repeated in the column Usage
Forms     One csv; joined by row number and by nothing else (``release.ferplus``)
Faults    173 image names are empty, 4 are used twice, and the number in a name is not the row. The votes call at least
          177 pictures no face
Sources   Barsoum et al. 2016, arXiv 1608.01041; names and rows: counted in ``fer2013new.csv``
========  ==============================================================================================================
"""

import csv
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ReleaseError
from fer_transfer.faces.faces import FERPLUS_COLUMNS
from fer_transfer.files.archive import pretender, read_text
from fer_transfer.files.limits import LIMITS, Limits

_HEADER = ["Usage", "Image name", *FERPLUS_COLUMNS]
_TAGGERS = 10


def read_votes(path: Path, usages: Sequence[str], limits: Limits = LIMITS) -> NDArray[np.uint8]:
    """Votes of every row of FER-2013's csv.

    Args:
        path: ``fer2013new.csv``.
        usages: the Usage column of FER-2013's csv, which FER+ repeats and which must agree row by row.
        limits: how much is read at most.

    Returns:
        uint8 [N, 10], in the order of FERPLUS_COLUMNS; rows sum to 10, or to 9 where a tagger is missing.

    Raises:
        ReleaseError: naming the file and row that is damaged or belongs to another release.
    """
    rows = _rows(path, limits, len(usages))
    if len(rows) != len(usages):
        raise ReleaseError(
            f"Expected {len(usages)} rows in {path}, one for each row of FER-2013, but got {_counted(rows, usages)}. "
            "Votes join by row number: give the fer2013new.csv that belongs to this release."
        )
    votes = np.zeros((len(rows), len(FERPLUS_COLUMNS)), np.uint8)
    for number, (row, usage) in enumerate(zip(rows, usages, strict=True), start=1):
        if len(row) != len(_HEADER):
            _bad(path, number, f"{len(_HEADER)} values", str(len(row)))
        if row[0] != usage:
            _bad(path, number, f"Usage {usage}, as in FER-2013", repr(row[0][:20]))
        counts = row[2:]
        if not all(value.isascii() and value.isdigit() and len(value) <= 2 for value in counts):
            _bad(path, number, f"numbers of votes, 0 to {_TAGGERS}", ",".join(counts)[:60])
        if not 0 < sum(map(int, counts)) <= _TAGGERS:
            _bad(path, number, f"1 to {_TAGGERS} votes in all", str(sum(map(int, counts))))
        votes[number - 1] = [int(value) for value in counts]
    return votes


def _counted(rows: list[list[str]], usages: Sequence[str]) -> str:
    return "more" if len(rows) > len(usages) else str(len(rows))


def _rows(path: Path, limits: Limits, count: int) -> list[list[str]]:
    """The rows below the header; of more than ``count`` only one more."""
    data = read_text(path, limits)
    if what := pretender(data):
        raise ReleaseError(f"Expected FER+ votes in {path}, but it is {what}. Get fer2013new.csv again.")
    text = io.StringIO(data.decode("utf-8-sig", "replace"), newline="")
    try:
        header, *rows = islice((row for row in csv.reader(text) if row), count + 2)
    except (csv.Error, ValueError) as error:
        raise ReleaseError(f"Expected FER+ votes in {path}, but got: {error}. Get it again.") from None
    if [name.strip() for name in header] != _HEADER:
        raise ReleaseError(
            f"Expected the columns {','.join(_HEADER)} in {path}, but got {','.join(header)[:80]!r}. "
            "Give FER+'s fer2013new.csv."
        )
    return rows


def _bad(path: Path, number: int, expected: str, got: str) -> NoReturn:
    raise ReleaseError(
        f"Expected {expected} in row {number} of {path} (line {number + 1}), but got {got}. "
        "Get fer2013new.csv again; votes belong to the rows of the original fer2013.csv."
    )
