"""Text of the report's cells and headings: scores, published numbers, caveats."""

import math
from collections.abc import Sequence

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.reports.results import Row, base_plan
from fer_transfer.reports.scores import Score
from fer_transfer.study import Numbers, Published, Reported, Study

#: Signs beside a number, and what each means.
_SELECTED, _PART = "†", "‡"
_MARKS = {
    _SELECTED: "an epoch was chosen on this split: the number is optimistic.",
    _PART: "over n faces that are spread evenly over the split: it says nothing about the split as a whole.",
}


def caveat_line(caveats: Sequence[str]) -> str:
    """The caveats as one line that cannot be overlooked; empty without any.

    >>> caveat_line(["emotiw: synthetic faces"])
    'SYNTHETIC FACES. CAVEATS: emotiw: synthetic faces'
    """
    if not caveats:
        return ""
    loud = "SYNTHETIC FACES. " if any("synthetic" in caveat.lower() for caveat in caveats) else ""
    return f"{loud}CAVEATS: {'; '.join(caveats)}"


def published_cell(numbers: Numbers, level: float) -> str:
    """A published score: percent, k/n and interval as far as the paper gives them."""
    percent, k, n = numbers
    if percent is None:
        return "-"
    if k is None or n is None:
        return _as_published(percent)
    low, high = wilson_interval(k, n, level)
    return f"{_as_published(percent)} {k}/{n}\n[{100 * low:.1f}, {100 * high:.1f}]"


def published_percent(published: Sequence[Published], column: Reported, backbone: str, plan: str) -> str:
    """The published percentage of a column for a network and plan, or a dash."""
    rows = [row for row in published if (row.backbone, row.plan) == (backbone, base_plan(plan))]
    percents = [row.numbers[column.published][0] for row in rows if column.published]
    return _as_published(percents[0]) if percents and percents[0] is not None else "-"


def _as_published(percent: float) -> str:
    """With the paper's one decimal, or the two that it gives of the baseline."""
    return f"{percent:.1f}" if round(percent, 1) == percent else f"{percent:g}"


def score_cell(found: Score | str, level: float, marks: str = "") -> str:
    """Our score: mean (± sd over several seeds) with its marks, k by seed / n, interval."""
    if isinstance(found, str):
        return found
    low, high = found.interval(level)
    separator = " " if len(found.seeds) == 1 else "\n"
    return f"{mean_text(found.percent)}{marks}{separator}{_counted(found)}\n[{low:.1f}, {high:.1f}]"


def _counted(found: Score) -> str:
    """Images right, by seed as far as there is room, of all."""
    by_seed = ", ".join(map(str, found.correct))
    if len(found.seeds) > 2:
        by_seed = f"{min(found.correct)}..{max(found.correct)}"
    return f"{by_seed}/{max(found.count)}"


def short_score_cell(found: Score | str, marks: str = "") -> str:
    """Our score in a narrow column: without k/n, unless it is of a part of the split."""
    if isinstance(found, str):
        return found
    return short_cell(found.percent, marks) + (f"\n{_counted(found)}" if _PART in marks else "")


def short_cell(mean_and_sd: tuple[float, float], marks: str = "") -> str:
    """A mean with its marks above its standard deviation over seeds, for narrow columns."""
    mean, spread = mean_and_sd
    return f"{mean:.1f}{marks}" + ("" if math.isnan(spread) else f"\n± {spread:.1f}")


def marks_of(rows: Sequence[Row], split: str) -> str:
    """The signs beside a score of rows on a split; ``marks_notes`` says what each means."""
    return _SELECTED * is_selected(rows, split) + _PART * any(row.is_part(split) for row in rows)


def is_selected(rows: Sequence[Row], split: str) -> bool:
    """Whether an epoch of one of the rows was chosen on the split, which makes its score optimistic."""
    return any(row.selected_on(split) for row in rows)


def wide_columns(study: Study) -> list[Reported]:
    """The columns with k/n and an interval: the first, those with published numbers and those of protected splits."""
    return [
        column
        for column in study.reported
        if column is study.first or column.published or study.protects(*column.split.split("/"))
    ]


def column_heading(column: Reported, study: Study) -> str:
    """Heading of our numbers in a wide column, with the faces they are over where the study has both."""
    return _heading(column, study.reported, "ours")


def published_heading(column: Reported, study: Study) -> str:
    """Heading of the published numbers of a column; the faces only where there are published numbers over both."""
    return _heading(column, [other for other in study.reported if other.published], "paper")


def short_heading(column: Reported, study: Study) -> str:
    """Heading of a narrow column of accuracies alone, with the faces where the study has both."""
    heading = column.heading.replace(" ", "\n")
    return f"{heading}\n{column.over}\nfaces" if _has_both(column, study.reported) else heading


def _heading(column: Reported, columns: Sequence[Reported], whose: str) -> str:
    heading = f"{column.heading} {whose}\n{column.over} faces"
    return heading if _has_both(column, columns) else f"{column.heading}\n{whose}"


def _has_both(column: Reported, columns: Sequence[Reported]) -> bool:
    return sum(other.split == column.split for other in columns) > 1


def published_networks(study: Study) -> dict[str, str]:
    """Headings of the published networks that have a column beside the first; none where that one has no numbers."""
    return study.networks if study.first.published else {}


def marks_notes(rows: Sequence[Sequence[str]]) -> list[str]:
    """The footnotes of the marks that the cells have."""
    text = "".join(cell for row in rows for cell in row)
    return [f"{mark} {says}" for mark, says in _MARKS.items() if mark in text]


def mean_text(mean_and_sd: tuple[float, float]) -> str:
    """A mean with one decimal, and ± its standard deviation where there is one."""
    mean, spread = mean_and_sd
    return f"{mean:.1f}" if math.isnan(spread) else f"{mean:.1f} ± {spread:.1f}"


def level_text(level: float) -> str:
    """A confidence level in percent."""
    return f"{100 * level:g} %"
