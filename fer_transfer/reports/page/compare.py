"""Any two rows face by face: what the reader's browser counts from, with the tests of all pairs, computed here.

Rows are comparable where they were scored on the same labelled faces, at the seeds that both have. The page keeps of each face
its class, of each row and seed what it said (a character a face) and how sure it was (percent).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.colour import as_bgr
from fer_transfer.evaluation.comparison import compare
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.thumbnails import webp
from fer_transfer.reports.cells import level_text
from fer_transfer.reports.page.blocks import Compare, Section
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import base_plan

#: Rows at most: every pair of them is tested.
MOST_ROWS = 24

#: Pictures of faces at most, as many as one of FER-2013's test splits has, and some more: about 3 MB.
MOST_PICTURES = 4000


@dataclass(frozen=True, eq=False)
class _Row:
    """A row with its predictions of the first column by seed: faces by ascending id, at every seed the same."""

    line: Line
    digest: str
    by_seed: Mapping[str, Predictions]

    @property
    def ids(self) -> list[str]:
        """Of the faces."""
        ids: list[str] = next(iter(self.by_seed.values())).ids.tolist()
        return ids

    @property
    def labels(self) -> NDArray[np.int8]:
        """Of the faces."""
        return next(iter(self.by_seed.values())).labels

    @property
    def faces(self) -> tuple[str, tuple[str, ...], bytes]:
        """The same of rows that are comparable: which preparation, which faces, with which labels."""
        return self.digest, tuple(self.ids), self.labels.tobytes()

    def content(self, number: int) -> dict[str, Any]:
        """Plain data; ``number`` of the faces."""
        said = {seed: _characters(of.predicted) for seed, of in self.by_seed.items()}
        sure = {
            seed: np.rint(100 * of.probabilities.max(axis=1)).astype(int).tolist() for seed, of in self.by_seed.items()
        }
        return {"set": number, "said": said, "sure": sure, "caveats": "; ".join(self.line.caveats)}


def section(report: Report) -> Section | None:
    """Two lists to choose from, and what the two chosen rows differ in; None where there are no two rows with predictions."""
    every = list(_rows(report))
    rows = every[:MOST_ROWS]
    if len(rows) < 2:
        return None
    kinds = {row.faces: row for row in rows}
    numbers = {faces: number for number, faces in enumerate(kinds)}
    content = {
        "level": level_text(report.level),
        "rows": [row.content(numbers[row.faces]) for row in rows],
        "sets": [_faces(report, row) for row in kinds.values()],
        "pairs": {
            f"{i} {j}": found
            for i, j in combinations(range(len(rows)), 2)
            if (found := _pair(report, rows[i], rows[j]))
        },
    }
    pictures = tuple(_pictures(report, row) for row in kinds.values())
    names = tuple(f"{row.line.name}, {row.line.seeds}" for row in rows)
    lead = (
        f"{over(report)}. Beside each {report.words[0]} stands how sure the row was of it, 0 to 1. p is of the chosen pair "
        "alone; whoever looks through many pairs finds some below 0.05 by chance. "
        "Claims, which stood before the runs, are corrected for their number."
    )
    if len(every) > len(rows):
        lead += f" The first {len(rows)} of {len(every)} rows."
    block = Compare(names, _chosen(report, rows), content, pictures)
    return Section("compare", "Two rows, face by face", (block,), lead)


def _rows(report: Report) -> Iterator[_Row]:
    column = report.study.first
    for line in lines_of(report):
        scored = [row for row in line.rows if column.split in row.predictions]
        predictions = [_by_id(of) for of in line.predictions(column)]
        if not predictions or len(predictions) != len(scored):
            continue
        by_seed = {row.seed: of for row, of in zip(scored, predictions, strict=True)}
        found = _Row(line, line.group.faces[_release(report)], by_seed)
        if all(np.array_equal(of.ids, found.ids) and np.array_equal(of.labels, found.labels) for of in predictions):
            yield found


def _by_id(of: Predictions) -> Predictions:
    order = np.argsort(of.ids)
    return of.of(order)


def _release(report: Report) -> str:
    return report.study.first.split.partition("/")[0]


def _characters(classes: NDArray[np.integer]) -> str:
    """A character a face: digits, and behind 9 what follows it in Unicode."""
    return "".join(chr(ord("0") + label) for label in classes.tolist())


def _faces(report: Report, row: _Row) -> dict[str, Any]:
    why = report.pictures.missing(_release(report), row.digest)
    classes = next(iter(row.by_seed.values())).classes
    return {"ids": row.ids, "truth": _characters(row.labels), "classes": classes, "why": why or ""}


def _pictures(report: Report, row: _Row) -> dict[int, bytes]:
    """WebP by place of the face."""
    place = {id: number for number, id in enumerate(row.ids[:MOST_PICTURES])}
    found = report.pictures.of(_release(report), row.digest, place)
    return {place[id]: webp(as_bgr(pixels)) for id, pixels in found.items()}


def _pair(report: Report, one: _Row, other: _Row) -> dict[str, Any] | None:
    """The test of a pair at the seeds that both have; points are the first less the second. None: not comparable."""
    seeds = [seed for seed in one.by_seed if seed in other.by_seed]
    if one.faces != other.faces or not seeds:
        return None
    found = compare([one.by_seed[seed] for seed in seeds], [other.by_seed[seed] for seed in seeds])
    low, high = found.estimate.interval(report.level)
    points = (round(100 * value, 2) for value in (found.estimate.mean, low, high))
    return {"seeds": seeds, "points": list(points), "p": float(f"{found.p:.3g}")}


def _chosen(report: Report, rows: Sequence[_Row]) -> tuple[int, int]:
    """The first pair that a claim of the study compares in one group; otherwise the first two rows."""
    pairs = [tuple(pair) for claim in report.study.claims for pair in claim.pairs]
    for pair in pairs:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                plans = base_plan(one.line.plan), base_plan(other.line.plan)
                if one.line.group is other.line.group and plans == pair:
                    return i, j
    return 0, 1
