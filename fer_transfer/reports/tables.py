"""The report's tables as text cells; how they are drawn is in ``render``.

Every table carries the caveats of its faces, and what the paper leaves unknown with the choice made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_transfer.evaluation.metrics import confusion_matrix, recall_per_class
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.labels import EXPRESSIONS, PAPER_ORDER
from fer_transfer.reports.cells import (
    caveat_line,
    dagger_note,
    is_selected,
    level_text,
    published_cell,
    published_percent,
    score_cell,
    settings_notes,
    short_cell,
)
from fer_transfer.reports.claims import CLAIMS, best_against_emotiw, find, published_difference
from fer_transfer.reports.results import Group, Published, Row, base_plan
from fer_transfer.reports.scores import TEST, VAL, score

_PAPER_NETWORKS = {"AlexNet": "bvlc_alexnet", "VGG-CNN-M": "vgg_cnn_m_2048"}
_IN_PAPER_ORDER = tuple(EXPRESSIONS.index(name) for name in PAPER_ORDER)
_FER_SPLITS = ("fer2013/PublicTest", "fer2013/PrivateTest")


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


def published_table(published: Sequence[Published], groups: Sequence[Group], level: float) -> Table:
    """The paper's rows in their order, each beside ours; one that was run with several settings has several lines."""
    rows: list[tuple[str, ...]] = []
    used: list[Group] = []
    for row in published:
        matching = [
            (group, plan)
            for group in groups
            for plan in group.plans
            if group.backbone == row.backbone and base_plan(plan) == row.plan and group.of(plan)
        ]
        used += [group for group, _ in matching if group not in used]
        submission = row.submission if row.submission.isdigit() else "-"
        paper = (published_cell(row.val, level), published_cell(row.test, level))
        if row.plan == "baseline":
            rows.append((submission, f"{row.backbone}\n{row.plan}", paper[0], "-", "-", paper[1], "-"))
            continue
        for group, plan in matching or ((None, row.plan),):
            mark = f" [{used.index(group) + 1}]" if group else ""
            found, everything, test = _ours(group, plan, level)
            rows.append((submission, f"{row.backbone}\n{plan}{mark}", paper[0], found, everything, paper[1], test))
    notes = [
        f"Percent, k/n, Wilson {level_text(level)} interval (of the mean); over several seeds mean ± standard "
        "deviation, k by seed."
    ]
    notes += ["- : no number. Submission 4 is not shown by the paper."]
    notes += dagger_note(rows)
    for number, group in enumerate(used, 1):
        notes.append(f"[{number}] settings {group.settings_id[:8]}, listed below. {caveat_line(group.caveats)}".strip())
    return Table(
        "The paper's rows (Ng et al. 2015, Figure 3) and ours",
        tuple(dict.fromkeys(caveat for group in used for caveat in group.caveats)),
        (
            "Sub.",
            "Network, plan",
            "Val\npaper",
            "Val ours\nfound faces",
            "Val ours\nall faces",
            "Test\npaper",
            "Test\nours",
        ),
        tuple(rows),
        tuple(notes),
    )


def _ours(group: Group | None, plan: str, level: float) -> tuple[str, str, str]:
    rows = group.of(plan) if group else ()
    return (
        score_cell(score(rows, VAL, True), level, is_selected(rows, VAL)),
        score_cell(score(rows, VAL, False), level, is_selected(rows, VAL)),
        score_cell(score(rows, TEST, False), level, is_selected(rows, TEST)),
    )


def plans_table(group: Group, published: Sequence[Published], level: float) -> Table:
    """The plans of one backbone and one set of settings, beside the paper's two networks."""
    rows = []
    for plan in group.plans:
        of_plan = group.of(plan)
        seeds = f"\n{len(of_plan)} seeds" if len(of_plan) > 1 else f"\nseed {of_plan[0].seed}" if of_plan else ""
        val, everything, test = _ours(group, plan, level)
        fer = [_short_accuracy(of_plan, split) for split in _FER_SPLITS]
        found = score(of_plan, VAL, True)
        macro = found if isinstance(found, str) else short_cell(found.macro_percent, is_selected(of_plan, VAL))
        paper = [published_percent(published, backbone, plan) for backbone in _PAPER_NETWORKS.values()]
        rows.append((f"{plan}{seeds}", *paper, val, everything, macro, *fer, test))
    notes = [
        f"Val ours: percent, k/n, Wilson {level_text(level)} interval (of the mean); over several seeds mean ± standard "
        "deviation, k by seed. Macro: mean recall of the expressions, found faces. Public, Private: FER-2013's."
    ]
    return Table(
        f"{group.backbone}, settings {group.settings_id[:8]}",
        group.caveats,
        (
            "Plan",
            *(f"Paper\n{name}" for name in ("AlexNet", "VGG-M")),
            "Val ours\nfound faces",
            "Val ours\nall faces",
            "Macro\nrecall",
            "FER\nPublic",
            "FER\nPrivate",
            "Test\nours",
        ),
        tuple(rows),
        (*notes, *dagger_note(rows), *settings_notes(group)),
    )


def _short_accuracy(rows: Sequence[Row], split: str) -> str:
    found = score(rows, split, False)
    return found if isinstance(found, str) else short_cell(found.percent, is_selected(rows, split))


def recalls_table(group: Group) -> Table | None:
    """Recall of each expression on Val, found faces, mean over seeds; None where no plan has labelled predictions.

    A network that never says Disgust shows here and hides in the accuracy.
    """
    rows, counts = [], None
    for plan in group.plans:
        of_plan = [row.predictions[VAL].only_found() for row in group.of(plan) if VAL in row.predictions]
        matrices = [confusion_matrix(p.labels, p.predicted) for p in of_plan if len(p) and p.labelled]
        if matrices:
            counts = matrices[0].sum(axis=1)
            recall = np.mean([recall_per_class(matrix) for matrix in matrices], axis=0)
            rows.append((plan, *("-" if np.isnan(recall[i]) else f"{100 * recall[i]:.0f}" for i in _IN_PAPER_ORDER)))
    if counts is None:
        return None
    columns = (f"{EXPRESSIONS[i]}\nn {counts[i]}" for i in _IN_PAPER_ORDER)
    return Table(
        f"Recall in percent by expression with {group.backbone}, settings {group.settings_id[:8]}",
        group.caveats,
        ("Plan", *columns),
        tuple(rows),
        ("Val, found faces, mean over seeds. Confusion matrices by row: confusion/ and table.md.",),
    )


def claims_table(group: Group, published: Sequence[Published], level: float) -> Table:
    """Whether the paper's claims show in a group, each with its difference and p."""
    rows = []
    for claim, better, worse in CLAIMS:
        finding = find(group, better, worse)
        paper = [
            published_difference(published, backbone, better, worse) or "-" for backbone in _PAPER_NETWORKS.values()
        ]
        p = f"{finding.p:.2g}\nseed {finding.seeds[0]}" if finding.p is not None else "-"
        daggers = ["†" if is_selected(group.of(plan), VAL) else "" for plan in (better, worse)]
        compared = f"{better}{daggers[0]}\nagainst {worse}{daggers[1]}"
        rows.append((claim, compared, " / ".join(paper), finding.difference() or "-", p, finding.verdict(1 - level)))
    notes = [
        "Points on Val, found faces. p: McNemar's exact test of the same images, first common seed, not "
        f"corrected for several tests. Shows: p < {1 - level:.2g} and every common seed agrees in sign; does not "
        "show: the reverse is so; not resolvable: neither."
    ]
    best = best_against_emotiw(group)
    if best is not None:
        notes.append(
            f"Best plan here, {best.better}, against EmotiW alone: {best.difference()} points, p = {best.p:.2g} "
            f"(seed {best.seeds[0]}: {best.only_better} images against {best.only_worse}). Chosen on the same Val: "
            "optimistic."
        )
    return Table(
        f"The paper's claims with {group.backbone}, settings {group.settings_id[:8]}",
        group.caveats,
        ("Claim", "Compared", "Paper\nAlexNet / VGG", "Ours", "p", "Verdict"),
        tuple(rows),
        (*notes, *dagger_note(rows)),
    )


def confusion_table(row: Row, split: str, level: float) -> Table | None:
    """Counts and recall per class, found faces, in the paper's order; None where labels are unknown."""
    predictions = row.predictions[split].only_found()
    if not len(predictions) or not predictions.labelled:
        return None
    matrix = confusion_matrix(predictions.labels, predictions.predicted)
    recall = recall_per_class(matrix)
    rows = []
    for truth in _IN_PAPER_ORDER:
        n, k = int(matrix[truth].sum()), int(matrix[truth, truth])
        low, high = wilson_interval(k, n, level)
        share = f"{100 * recall[truth]:.1f} [{100 * low:.1f}, {100 * high:.1f}]" if n else "-"
        rows.append((EXPRESSIONS[truth], *(str(matrix[truth, column]) for column in _IN_PAPER_ORDER), str(n), share))
    return Table(
        f"{row.plan}, {row.backbone}, settings {row.settings_id[:8]}, seed {row.seed}: {split}, found faces",
        row.caveats,
        ("Truth", *PAPER_ORDER, "n", "Recall"),
        tuple(rows),
    )


def main_tables(groups: Sequence[Group], published: Sequence[Published], level: float, with_paper: bool) -> list[Table]:
    """The paper's rows (unless left out), then for each group its plans, recalls and claims.

    A group whose only plan is not one of a claim has no claims table worth printing, and so none.
    """
    tables = [published_table(published, groups, level)] if with_paper else []
    for group in groups:
        tables.append(plans_table(group, published, level))
        if (recalls := recalls_table(group)) is not None:
            tables.append(recalls)
        if any(find(group, better, worse).points for _, better, worse in CLAIMS):
            tables.append(claims_table(group, published, level))
    return tables


def confusion_tables(groups: Sequence[Group], level: float) -> list[Table]:
    """The confusion matrix of each row on EmotiW's Val, and on Test where its labels are known."""
    drawn = (
        confusion_table(row, split, level)
        for group in groups
        for row in group.rows
        for split in (VAL, TEST)
        if split in row.predictions
    )
    return [table for table in drawn if table is not None]
