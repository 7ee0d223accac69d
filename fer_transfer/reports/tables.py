"""The report's tables as text cells; how they are drawn is in ``terminal``, ``markdown`` and ``latex``.

Which columns there are is the study's to say. Every table carries the caveats of its faces, and what the study leaves open with
the choice made here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from fer_transfer.evaluation.metrics import recall_per_class
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.faces.held_out import split_said
from fer_transfer.labels import words_for
from fer_transfer.reports.cells import (
    between,
    columns_shown,
    counted_text,
    has_numbers,
    heading_of,
    interval_text,
    legend_of,
    level_text,
    macro_text,
    marks_notes,
    marks_of,
    percent_text,
    published_networks,
    published_row,
    published_text,
    score_text,
    seeds_text,
)
from fer_transfer.reports.claims_table import claims_text
from fer_transfer.reports.notes import settings_notes
from fer_transfer.reports.published import published_table
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, Row, base_plan
from fer_transfer.reports.scores import Score, score
from fer_transfer.reports.table import Column, Table, table_of
from fer_transfer.study import Reported, Study

#: How soon a column of ours is left out of a narrow table: the other splits before what belongs to the first.
_OTHERS, _COUNTED, _SEEDS, _INTERVAL, _MACRO = 50, 4, 3, 2, 1


def at_a_glance(report: Report) -> list[Table]:
    """What a reader wants first: the plans that ran beside the paper's numbers, then the claims; the paper's rows if none ran."""
    tables = [table for group in report.groups for table in (plans_table(group, report), *_claims(group, report))]
    return tables or [published_table(report)]


def all_tables(report: Report) -> list[Table]:
    """For each group its plans, claims, recalls and other splits, then the published rows beside ours (``with_published``)."""
    tables = []
    for group in report.groups:
        others, recalls = others_table(group, report), recalls_table(group, report)
        tables += [plans_table(group, report), *_claims(group, report)]
        tables += [table for table in (recalls, others) if table is not None]
    published = report.published and (report.with_published or not report.groups)
    return [*tables, *([published_table(report)] if published else [])]


def plans_table(group: Group, report: Report) -> Table:
    """The plans of one group that ran, those outside the study's grid first, beside the published numbers."""
    study, first = report.study, report.study.first
    plans = [plan for plan in group.plans(study) if group.of(plan)]
    shown = columns_shown(study, report.groups)
    whole = [_scored(group, plans, column) for column in shown]
    others = list(zip(shown[1:], whole[1:], strict=True))
    kept = [(column, found) for column, found in others if has_numbers(found)]
    numbers = [_percents(group, plans, column, found, shown, _OTHERS + n) for n, (column, found) in enumerate(kept)]
    columns = [
        Column("Plan", tuple(_named(group, plan) for plan in plans), numbers=False),
        *_papers(group, plans, report),
        *_of_first(group, plans, first, whole[0], shown, report.level),
        *numbers,
    ]
    rows = tuple(cell for column in columns for cell in column.cells)
    return Table(
        f"plans-{group.backbone}-{group.settings_id[:8]}"
        + ("" if group.alone else f"-{'-'.join(d[:6] for d in group.faces.values())}"),
        group.title,
        group.caveats,
        tuple(columns),
        brief=tuple(
            filter(None, (report.apart_note(group), *_made_of(group), *_not_shown(group, plans, others, study)))
        ),
        legend=(legend_of(report.study, report.level, report.words[1]), *marks_notes([rows])),
        notes=tuple(settings_notes(group, study)),
    )


def _named(group: Group, plan: str) -> str:
    """A plan, or what is made of several as that."""
    kind = next((row.kind for row in group.of(plan) if row.ensemble), "")
    return f"{plan} ({kind})" if kind else plan


def _made_of(group: Group) -> Iterator[str]:
    """What rows are made of that were not trained."""
    yield from dict.fromkeys(f"{row.plan}: {row.ensemble}." for row in group.rows if row.ensemble)


def _scored(group: Group, plans: Sequence[str], column: Reported) -> list[Score | str]:
    return [score(group.of(plan), column.split, column.over) for plan in plans]


def _marks(group: Group, plans: Sequence[str], column: Reported) -> list[str]:
    return [marks_of(group.of(plan), column.split) for plan in plans]


def _papers(group: Group, plans: Sequence[str], report: Report) -> Iterator[Column]:
    """The paper's number of the same network, or those of all its networks where it has none of this one."""
    networks, first = published_networks(report.study), report.study.first
    own = group.backbone in networks
    for backbone, name in networks.items():
        if backbone == group.backbone or not own:
            rows = [published_row(report.published, backbone, base_plan(plan)) for plan in plans]
            cells = tuple(published_text(row.numbers[first.published or ""] if row else None) for row in rows)
            if not own and set(cells) == {"-"}:
                continue
            yield Column(f"{first.heading if own else name}\npaper", cells)


def _of_first(
    group: Group,
    plans: Sequence[str],
    first: Reported,
    found: Sequence[Score | str],
    shown: Sequence[Reported],
    level: float,
) -> list[Column]:
    marks = _marks(group, plans, first)
    return [
        _percents(group, plans, first, found, shown, 0),
        Column(f"{level_text(level)} interval\nours", tuple(interval_text(one, level) for one in found), _INTERVAL),
        Column("k/n\nours", tuple(counted_text(one) for one in found), _COUNTED),
        Column("Seeds\nours", tuple(seeds_text(one) for one in found), _SEEDS),
        Column("Macro\nours", tuple(macro_text(one, of) for one, of in zip(found, marks, strict=True)), _MACRO),
    ]


def _percents(
    group: Group,
    plans: Sequence[str],
    column: Reported,
    found: Sequence[Score | str],
    shown: Sequence[Reported],
    spare: int,
) -> Column:
    marks = _marks(group, plans, column)
    cells = tuple(percent_text(one, of) for one, of in zip(found, marks, strict=True))
    return Column(heading_of(column, shown, "ours"), cells, spare)


def _not_shown(
    group: Group, plans: Sequence[str], others: Sequence[tuple[Reported, Sequence[Score | str]]], study: Study
) -> Iterator[str]:
    """Columns without a number, and plans of the grid that did not run."""
    words: dict[str, list[str]] = {}
    for column, found in others:
        if not has_numbers(found):
            of_rows = zip(plans, found, strict=True)
            words_of = [str(one) for plan, one in of_rows if any(row.predictions for row in group.of(plan))]
            word = " or ".join(dict.fromkeys("no predictions" if one == "-" else one for one in words_of)) or "no row"
            words.setdefault(word, []).append(column.heading)
    if words:
        yield "; ".join(f"{', '.join(headings)}: {word}" for word, headings in words.items()) + "."
    if not_run := [plan for plan in group.plans(study) if not group.of(plan)]:
        yield f"Not run: {', '.join(not_run)}."


def others_table(group: Group, report: Report) -> Table | None:
    """Splits at hand that the study does not report: another release, another preparation; None where there are none."""
    splits = group.other_splits(report.study)
    if not splits:
        return None
    plans = [plan for plan in group.plans(report.study) if group.of(plan)]
    columns = [Column("Plan", tuple(_named(group, plan) for plan in plans), numbers=False)]
    for split in splits:
        rows = [group.of(plan) for plan in plans]
        cells = tuple(score_text(score(of, split, "all"), report.level, marks_of(of, split)) for of in rows)
        columns.append(Column(f"{split_said(split)}\nours", cells))
    says = f"Over all faces of a split, {level_text(report.level)} interval. Study {report.study.name} does not report these."
    marks = marks_notes([column.cells for column in columns])
    name = f"others-{group.backbone}-{group.settings_id[:8]}"
    return Table(name, f"Other splits: {group.title}", group.caveats, tuple(columns), legend=(says, *marks))


def recalls_table(group: Group, report: Report) -> Table | None:
    """Recall of each class on the study's first column, mean over seeds; None where nothing there is labelled.

    A network that never says Disgust shows here and hides in the accuracy.
    """
    study, rows = report.study, list[tuple[str, ...]]()
    counts, names, order = np.zeros(0, np.int64), list[str](), list[int]()
    for plan in group.plans(study):
        if said := [of for row in group.of(plan) if (of := _chosen(row, study.first)) is not None]:
            names, order = _order(said[0], study)
            counts = said[0].matrix.sum(axis=1)
            recall = np.mean([recall_per_class(of.matrix) for of in said], axis=0)
            marks = marks_of(group.of(plan), study.first.split)
            rows.append(
                (
                    f"{_named(group, plan)}{marks}",
                    *("-" if np.isnan(recall[i]) else f"{100 * recall[i]:.0f}" for i in order),
                )
            )
    if not rows:
        return None
    over = f"{study.first.heading}, {study.first.over} faces"
    return Table(
        f"recalls-{group.backbone}-{group.settings_id[:8]}",
        f"Recall in percent by {words_for(names)[0]}: {group.title}",
        group.caveats,
        table_of(rows, ("Plan", *(f"{name}\nn {counts[i]}" for name, i in zip(names, order, strict=True)))),
        legend=(f"Ours. {over}, mean over seeds.", *marks_notes(rows)),
    )


def _order(said: Predictions, study: Study) -> tuple[list[str], list[int]]:
    """The classes in the study's order, and the place of each in the label set."""
    names = study.ordered(said.classes)
    return names, [said.classes.index(name) for name in names]


def _chosen(row: Row, column: Reported) -> Predictions | None:
    """What a row says on a column; None where it has no predictions there, or labels are withheld."""
    predictions = row.predictions.get(column.split)
    if predictions is None or row.without(column.split):
        return None
    chosen = predictions.only_found() if column.over == "found" else predictions
    return chosen if len(chosen) and chosen.labelled else None


def _claims(group: Group, report: Report) -> list[Table]:
    """The table of a group's claims; none where no claim has both its plans run."""
    run = any(finding.run for finding in report.findings[group])
    return [claims_table(group, report)] if run else []


def claims_table(group: Group, report: Report) -> Table:
    """Whether the study's claims show in a group, each with its difference and p."""
    text = claims_text(group, report)
    columns = table_of(text.rows, text.headings, (0, 1, len(text.headings) - 1))
    return Table(
        f"claims-{group.backbone}-{group.settings_id[:8]}",
        f"The claims of {report.study.title}: {group.title}",
        group.caveats,
        tuple(replace(column, spare=1) if column.heading == "Paper" else column for column in columns),
        brief=tuple(text.says),
        legend=(*text.legend, *marks_notes(text.rows)),
        notes=tuple(text.rules),
    )


def confusion_table(row: Row, column: Reported, report: Report) -> Table | None:
    """Counts and recall per class in the study's order; None where labels are unknown."""
    said = _chosen(row, column)
    if said is None:
        return None
    matrix, (names, order) = said.matrix, _order(said, report.study)
    recall, part = recall_per_class(matrix), "‡" if row.is_part(column.split) else ""
    rows = []
    for name, truth in zip(names, order, strict=True):
        n, k = int(matrix[truth].sum()), int(matrix[truth, truth])
        low, high = wilson_interval(k, n, report.level)
        share = (f"{100 * recall[truth]:.1f}", between((100 * low, 100 * high))) if n else ("-", "")
        rows.append((name, *(str(matrix[truth, c]) for c in order), str(n), *share))
    of_row = f"{row.plan}, {row.backbone}, settings {row.settings_id[:8]}, seed {row.seed}"
    made_of = (f"{row.plan}: {row.ensemble}.",) if row.ensemble else ()
    return Table(
        f"confusion-{row.name}-{column.split}-{column.over}",
        f"{of_row}: {column.split}{part}, {column.over} faces",
        row.caveats,
        table_of(rows, ("Truth", *names, "n", "Recall", f"{level_text(report.level)} interval")),
        brief=made_of,
        legend=tuple(marks_notes([[part]])),
    )


def confusion_tables(report: Report) -> list[Table]:
    """The confusion matrix of each row on its labelled splits that matter most, over the first faces reported of each.

    These are the study's first split, those with published numbers, and the protected ones.
    """
    study = report.study
    columns = {
        column.split: column
        for column in reversed(study.reported)
        if column is study.first or column.published or study.protects(*column.split.split("/"))
    }
    drawn = (confusion_table(row, column, report) for row in report.rows for column in reversed(columns.values()))
    return [table for table in drawn if table is not None]
