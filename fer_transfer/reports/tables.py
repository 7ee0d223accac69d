"""The report's tables as text cells; how they are drawn is in ``render``. Which columns there are is the study's to say.

Every table carries the caveats of its faces, and what the study leaves open with the choice made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_transfer.evaluation.metrics import confusion_matrix, recall_per_class
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.cells import (
    caveat_line,
    column_heading,
    level_text,
    marks_notes,
    marks_of,
    published_cell,
    published_heading,
    published_networks,
    published_percent,
    score_cell,
    short_cell,
    short_heading,
    short_score_cell,
    wide_columns,
)
from fer_transfer.reports.claims import findings
from fer_transfer.reports.claims_table import claim_cells
from fer_transfer.reports.notes import settings_notes
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, Row, base_plan
from fer_transfer.reports.scores import score
from fer_transfer.study import Published, Reported, Study


@dataclass(frozen=True)
class Table:
    """Text cells under headings; a cell's lines stand one above the other in the terminal.

    Attributes:
        title: one line.
        caveats: what must stand above it.
        columns: headings.
        rows: cells, as many a row as there are columns.
        notes: what stands below it.
    """

    title: str
    caveats: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def published_table(groups: Sequence[Group], published: Sequence[Published], study: Study, level: float) -> Table:
    """The published rows in their order, each beside ours; one that was run with several settings has several lines."""
    columns = wide_columns(study)
    rows: list[tuple[str, ...]] = []
    used: list[Group] = []
    for row in published:
        matching = [
            (group, plan)
            for group in groups
            for plan in group.plans(study)
            if group.backbone == row.backbone and base_plan(plan) == row.plan and group.of(plan)
        ]
        used += [group for group, _ in matching if group not in used]
        submission = row.submission if row.submission.isdigit() else "-"
        for group, plan in matching or ((None, row.plan),):
            mark = f" [{used.index(group) + 1}]" if group else ""
            cells = [cell for column in columns for cell in _beside(row, group, plan, column, study, level)]
            rows.append((submission, f"{row.backbone}\n{plan}{mark}", *cells))
    notes = [
        f"Percent, k/n, Wilson {level_text(level)} interval (of the mean); over several seeds mean ± standard "
        "deviation, k by seed.",
        f"{'- : no number. ' if any('-' in row for row in rows) else ''}{study.footnote}".strip(),
        *marks_notes(rows),
    ]
    for number, group in enumerate(used, 1):
        notes.append(f"[{number}] {group.title}, listed below. {caveat_line(group.caveats)}".strip())
    headings = [
        heading(column, study)
        for column in columns
        for heading in ((published_heading, column_heading) if column.published else (column_heading,))
    ]
    return Table(
        f"The published rows ({study.title}) and ours",
        tuple(dict.fromkeys(caveat for group in used for caveat in group.caveats)),
        ("Sub.", "Network, plan", *headings),
        tuple(rows),
        tuple(filter(None, notes)),
    )


def _beside(row: Published, group: Group | None, plan: str, column: Reported, study: Study, level: float) -> list[str]:
    """The published cell of a column, where it has any, and ours; what no plan of the grid can give is a dash."""
    cells = [published_cell(row.numbers[column.published], level)] if column.published else []
    return [*cells, _ours(group, plan, column, level) if row.plan in study.plans else "-"]


def _ours(group: Group | None, plan: str, column: Reported, level: float) -> str:
    rows = group.of(plan) if group else ()
    return score_cell(score(rows, column.split, column.over), level, marks_of(rows, column.split))


def plans_table(group: Group, published: Sequence[Published], study: Study, level: float) -> Table:
    """The plans of one group in the study's columns, beside the published networks; macro recall of the first column."""
    first, wide, networks = study.first, wide_columns(study), published_networks(study)
    rows = []
    for plan in group.plans(study):
        of_plan = group.of(plan)
        seeds = f"\n{len(of_plan)} seeds" if len(of_plan) > 1 else f"\nseed {of_plan[0].seed}" if of_plan else ""
        paper = [published_percent(published, first, backbone, plan) for backbone in networks]
        cells = [
            _ours(group, plan, column, level) if column in wide else _short_accuracy(of_plan, column)
            for column in study.reported
        ]
        found = score(of_plan, first.split, first.over)
        macro = found if isinstance(found, str) else short_cell(found.macro_percent, marks_of(of_plan, first.split))
        rows.append((f"{plan}{seeds}", *paper, *cells, macro))
    headings = [
        column_heading(column, study) if column in wide else short_heading(column, study) for column in study.reported
    ]
    over = f"{first.heading}, {first.over} faces"
    notes = [
        f"Ours: percent, k/n, Wilson {level_text(level)} interval (of the mean); over several seeds mean ± standard "
        f"deviation, k by seed. Macro: mean recall of the expressions, {over}."
        + (f" Paper: {over}." if networks else "")
    ]
    return Table(
        group.title,
        group.caveats,
        ("Plan", *(f"Paper\n{name}" for name in networks.values()), *headings, "Macro\nrecall"),
        tuple(rows),
        (*notes, *marks_notes(rows), *settings_notes(group, study)),
    )


def _short_accuracy(rows: Sequence[Row], column: Reported) -> str:
    return short_score_cell(score(rows, column.split, column.over), marks_of(rows, column.split))


def others_table(group: Group, study: Study, level: float) -> Table | None:
    """Splits at hand that the study does not report: another release, another preparation; None where there are none."""
    splits = group.other_splits(study)
    if not splits:
        return None
    rows = [
        (
            row[0],
            *(score_cell(score(group.of(row[0]), s, "all"), level, marks_of(group.of(row[0]), s)) for s in splits),
        )
        for row in [(plan,) for plan in group.plans(study) if group.of(plan)]
    ]
    return Table(
        f"Other splits: {group.title}",
        group.caveats,
        ("Plan", *(split.replace("/", "\n", 1) for split in splits)),
        tuple(rows),
        (f"Over all faces of a split. Study {study.name} does not report these.", *marks_notes(rows)),
    )


def recalls_table(group: Group, study: Study) -> Table | None:
    """Recall of each expression on the study's first column, mean over seeds; None where nothing there is labelled.

    A network that never says Disgust shows here and hides in the accuracy.
    """
    rows, counts, order = [], None, _order(study)
    for plan in group.plans(study):
        matrices = [m for row in group.of(plan) if (m := _matrix(row, study.first)) is not None]
        if matrices:
            counts = matrices[0].sum(axis=1)
            recall = np.mean([recall_per_class(matrix) for matrix in matrices], axis=0)
            marks = marks_of(group.of(plan), study.first.split)
            rows.append((f"{plan}{marks}", *("-" if np.isnan(recall[i]) else f"{100 * recall[i]:.0f}" for i in order)))
    if counts is None:
        return None
    columns = (f"{EXPRESSIONS[i]}\nn {counts[i]}" for i in order)
    over = f"{study.first.heading}, {study.first.over} faces"
    return Table(
        f"Recall in percent by expression: {group.title}",
        group.caveats,
        ("Plan", *columns),
        tuple(rows),
        (f"{over}, mean over seeds. Confusion matrices by row: confusion/ and table.md.", *marks_notes(rows)),
    )


def _order(study: Study) -> list[int]:
    return [EXPRESSIONS.index(name) for name in study.order]


def _matrix(row: Row, column: Reported) -> np.ndarray | None:
    """Counts of a row on a column; None where it has no predictions there, or labels are withheld."""
    chosen = _chosen(row, column)
    return confusion_matrix(chosen.labels, chosen.predicted) if chosen is not None else None


def _chosen(row: Row, column: Reported) -> Predictions | None:
    predictions = row.predictions.get(column.split)
    if predictions is None:
        return None
    chosen = predictions.only_found() if column.over == "found" else predictions
    return chosen if len(chosen) and chosen.labelled else None


def claims_table(group: Group, published: Sequence[Published], study: Study, level: float) -> Table:
    """Whether the study's claims show in a group, each with its difference and p."""
    columns, rows, notes = claim_cells(group, published, study, level)
    title = f"The claims of {study.title}: {group.title}"
    return Table(title, group.caveats, columns, tuple(rows), (*notes, *marks_notes(rows)))


def confusion_table(row: Row, column: Reported, study: Study, level: float) -> Table | None:
    """Counts and recall per class in the study's order; None where labels are unknown."""
    matrix = _matrix(row, column)
    if matrix is None:
        return None
    recall, part = recall_per_class(matrix), "‡" if row.is_part(column.split) else ""
    rows, order = [], _order(study)
    for truth in order:
        n, k = int(matrix[truth].sum()), int(matrix[truth, truth])
        low, high = wilson_interval(k, n, level)
        share = f"{100 * recall[truth]:.1f} [{100 * low:.1f}, {100 * high:.1f}]" if n else "-"
        rows.append((EXPRESSIONS[truth], *(str(matrix[truth, c]) for c in order), str(n), share))
    return Table(
        f"{row.plan}, {row.backbone}, settings {row.settings_id[:8]}, seed {row.seed}: {column.split}{part}, {column.over} faces",
        row.caveats,
        ("Truth", *study.order, "n", "Recall"),
        tuple(rows),
        tuple(marks_notes([[part]])),
    )


def main_tables(report: Report) -> list[Table]:
    """The published rows (``with_published``), then for each group its plans, other splits, recalls and claims.

    A group in which no claim has both its plans run has no claims table worth printing, and so none.
    """
    groups, published, study, level = report.groups, report.published, report.study, report.level
    tables = [published_table(groups, published, study, level)] if report.with_published and published else []
    for group in groups:
        tables.append(plans_table(group, published, study, level))
        tables += [
            table for table in (others_table(group, study, level), recalls_table(group, study)) if table is not None
        ]
        if any(finding.run for finding in findings(group, study, level)):
            tables.append(claims_table(group, published, study, level))
    return tables


def confusion_tables(report: Report) -> list[Table]:
    """The confusion matrix of each row on the splits of wide columns that are labelled, over the first faces reported of each."""
    columns = {column.split: column for column in reversed(wide_columns(report.study))}
    drawn = (
        confusion_table(row, column, report.study, report.level)
        for row in report.rows
        for column in reversed(columns.values())
    )
    return [table for table in drawn if table is not None]
