"""Text of the report's cells and headings, one line each: scores, published numbers, caveats."""

import math
from collections.abc import Sequence

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.published import Numbers, Published
from fer_transfer.reports.results import Group, Row
from fer_transfer.reports.scores import Score, score
from fer_transfer.study import Reported, Study

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


def percent_text(found: Score | str, marks: str = "") -> str:
    """Our accuracy: mean with its marks, ± sd over several seeds; or the word that says why there is none."""
    return found if isinstance(found, str) else marked(found.percent, marks)


def macro_text(found: Score | str, marks: str = "") -> str:
    """Our macro recall likewise."""
    return found if isinstance(found, str) else marked(found.macro_percent, marks)


def marked(mean_and_sd: tuple[float, float], marks: str) -> str:
    """A mean with marks, and ± its standard deviation where there is one."""
    mean, *spread = mean_text(mean_and_sd).partition(" ")
    return f"{mean}{marks}{''.join(spread)}"


def interval_text(found: Score | str, level: float) -> str:
    """Our interval, or nothing."""
    return "" if isinstance(found, str) else between(found.interval(level))


def between(ends: tuple[float, float]) -> str:
    """An interval in percent."""
    return f"[{ends[0]:.1f}, {ends[1]:.1f}]"


def counted_text(found: Score | str) -> str:
    """Images right, by seed as far as there is room, of all; or nothing."""
    if isinstance(found, str):
        return ""
    several = len(set(found.correct)) > 1
    right = f"{min(found.correct)}..{max(found.correct)}" if several else str(found.correct[0])
    return f"{right}/{max(found.count)}"


def seeds_text(found: Score | str) -> str:
    """How many seeds a score is over, or nothing."""
    return "" if isinstance(found, str) else str(len(found.seeds))


def score_text(found: Score | str, level: float, marks: str = "") -> str:
    """Our score in one cell: mean ± sd, interval; k/n instead where it is of a part of the split."""
    if isinstance(found, str):
        return found
    return f"{percent_text(found, marks)} {counted_text(found) if _PART in marks else interval_text(found, level)}"


def published_text(numbers: Numbers | None) -> str:
    """A published percentage with the paper's one decimal (or the two that it gives of the baseline), or a dash."""
    percent = numbers[0] if numbers else None
    if percent is None:
        return "-"
    return f"{percent:.1f}" if round(percent, 1) == percent else f"{percent:g}"


def published_counted(numbers: Numbers) -> str:
    """Images right of all, as far as the paper gives them."""
    _, k, n = numbers
    return "" if k is None or n is None else f"{k}/{n}"


def published_interval(numbers: Numbers, level: float) -> str:
    """Wilson's interval of a published share, as far as the paper gives counts."""
    _, k, n = numbers
    if k is None or n is None:
        return ""
    low, high = wilson_interval(k, n, level)
    return between((100 * low, 100 * high))


def published_row(published: Sequence[Published], backbone: str, plan: str) -> Published | None:
    """The published row of a network and plan, if there is one."""
    return next((row for row in published if (row.backbone, row.plan) == (backbone, plan)), None)


def marks_of(rows: Sequence[Row], split: str) -> str:
    """The signs beside a score of rows on a split; ``marks_notes`` says what each means."""
    return _SELECTED * is_selected(rows, split) + _PART * any(row.is_part(split) for row in rows)


def is_selected(rows: Sequence[Row], split: str) -> bool:
    """Whether an epoch of one of the rows was chosen on the split, which makes its score optimistic."""
    return any(row.selected_on(split) for row in rows)


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


def columns_shown(study: Study, groups: Sequence[Group]) -> list[Reported]:
    """The study's columns, less those over all faces where the same split over the found ones says the same: none was lost.

    One with published numbers of its own stays.
    """
    found = {column.split for column in study.reported if column.over == "found"}
    return [column for column in study.reported if not (column.split in found and _none_lost(column, study, groups))]


def _none_lost(column: Reported, study: Study, groups: Sequence[Group]) -> bool:
    if column.over == "found" or column is study.first or column.published:
        return False
    return all(
        score(group.of(plan), column.split, "all") == score(group.of(plan), column.split, "found")
        for group in groups
        for plan in group.plans(study)
    )


def heading_of(column: Reported, columns: Sequence[Reported], whose: str) -> str:
    """Heading of a column: its own, whose numbers they are, and over which faces where columns differ in that alone."""
    both = sum(other.split == column.split for other in columns) > 1
    return f"{column.heading}{f', {column.over}' if both else ''}\n{whose}"


def published_networks(study: Study) -> dict[str, str]:
    """Headings of the published networks that have a column beside the first; none where that one has no numbers."""
    return study.networks if study.first.published else {}


def has_numbers(found: Sequence[Score | str]) -> bool:
    """Whether any of a column's cells is a number."""
    return any(isinstance(one, Score) for one in found)


def legend_of(study: Study, level: float, classes: str) -> str:
    """What the cells of ours mean."""
    first = study.first
    return (
        f"{first.heading}: {first.split}, {first.over} faces. Percent; over several seeds mean ± standard deviation, the "
        f"{level_text(level)} interval (Wilson) that of the mean, k from..to. Macro: mean recall of the {classes}."
    )
