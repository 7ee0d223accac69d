"""A study's claims, each as paired comparisons of two plans on the faces of the study's first column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.comparison import compare
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.verdict import verdicts
from fer_transfer.published import Published
from fer_transfer.reports.finding import Finding
from fer_transfer.reports.results import ACROSS, Group, Row, base_plan
from fer_transfer.study import Reported, Study

#: The reason that a user need not be told again: the table of plans says it.
NOT_RUN = "not run"


def claimed(group: Group, study: Study) -> Iterator[tuple[str, str, str]]:
    """What is claimed of a group's rows, and the two of which the first should be the better one.

    A claim about an ensemble is one of the group that holds it. Ensembles across groups have a group of their own, which has no
    other claims, and none twice: of two such groups that of the first of the two.
    """
    held = {row.plan for row in group.rows if row.ensemble}
    near = {row.plan: row.backbone for row in group.beside if row.ensemble}
    for claim in study.claims:
        for better, worse in claim.pairs:
            about = [name for name in (better, worse) if name in study.ensembles]
            across = [name for name in about if near.get(name, ACROSS) == ACROSS]
            of_this = held.issuperset(about) if group.backbone != ACROSS else bool(across) and across[0] in held
            if of_this and all(name in held or name in near for name in about):
                yield claim.says, better, worse


def findings(groups: Sequence[Group], study: Study, level: float) -> dict[Group, tuple[Finding, ...]]:
    """What each group's rows say of each claim of a study, in its order.

    p is corrected over all of them that can be compared: whoever reads a study sees the claims of all its networks.
    """
    asked = [(group, *claim) for group in groups for claim in claimed(group, study)]
    found = [replace(_of_plans(group, better, worse, study.first), says=says) for group, says, better, worse in asked]
    judged = _judged(found, level, study.margin)
    return {group: tuple(one for (of, *_), one in zip(asked, judged, strict=True) if of is group) for group in groups}


def compared(
    rows_a: Sequence[Row], rows_b: Sequence[Row], column: Reported, level: float = 0.95, margin: float = 3.0
) -> Finding:
    """Compare any two rows on the faces of a column, at each seed at which both have predictions of it.

    Args:
        rows_a: of the first, one a seed; they differ in seed only.
        rows_b: of the second.
        column: split, and over which faces.
        level: of intervals; 1 - level bounds p.
        margin: points that count.
    """
    names = tuple(rows[0].plan if rows else "" for rows in (rows_a, rows_b))
    by_seed = tuple(_by_seed(rows, column) for rows in (rows_a, rows_b))
    found = _compared((names[0], names[1]), (by_seed[0], by_seed[1]))
    part = any(row.is_part(column.split) for row in (*rows_a, *rows_b))
    return _judged((replace(found, part=part),), level, margin)[0]


def against_baseline(group: Group, study: Study, level: float) -> tuple[Finding, ...]:
    """Every plan that was trained against the study's baseline, corrected over them; empty where it has none."""
    if study.baseline is None:
        return ()
    trained = {row.plan for row in group.trained}
    plans = [plan for plan in group.plans(study) if plan != study.baseline and plan in trained]
    return _judged(tuple(_of_plans(group, plan, study.baseline, study.first) for plan in plans), level, study.margin)


def best_against_baseline(group: Group, study: Study, level: float) -> Finding | None:
    """The plan that is most above the study's baseline, against it; None if there is nothing to compare."""
    found = [finding for finding in against_baseline(group, study, level) if finding.points]
    return max(found, key=lambda finding: finding.mean_and_sd[0], default=None)


def _judged(found: Sequence[Finding], level: float, margin: float) -> tuple[Finding, ...]:
    comparisons = [finding.comparison for finding in found if finding.comparison]
    judged = iter(verdicts(comparisons, level, margin / 100))
    return tuple(
        replace(finding, judged=next(judged), level=level, margin=margin) if finding.comparison else finding
        for finding in found
    )


def _of_plans(group: Group, better: str, worse: str, column: Reported) -> Finding:
    rows = [group.called(plan) for plan in (better, worse)]
    by_seed = [_by_seed(of, column, _why_not_run(group, plan)) for of, plan in zip(rows, (better, worse), strict=True)]
    found = _compared((better, worse), (by_seed[0], by_seed[1]))
    return replace(found, part=any(row.is_part(column.split) for of in rows for row in of))


def _why_not_run(group: Group, plan: str) -> str:
    if any(base_plan(row.plan) == plan for row in group.rows):
        return "run with several settings of its own"
    several = any(base_plan(row.plan) == plan.partition("/")[0] for row in group.beside)
    return "is the name of several rows (say PLAN/BACKBONE)" if several else NOT_RUN


def _by_seed(rows: Sequence[Row], column: Reported, without: str = NOT_RUN) -> dict[str, Predictions] | str:
    """Predictions of a column's faces by ascending seed, or why rows have none to compare."""
    if not rows:
        return without
    if word := next(filter(None, (row.without(column.split) for row in rows)), ""):
        return f"{word} {column.split}" if word.endswith(" on") else word
    having = {row.seed: row.predictions[column.split] for row in rows if row.predictions.get(column.split)}
    return {seed: of.only_found() if column.over == "found" else of for seed, of in having.items()} or (
        f"without predictions of {column.split}"
    )


def _compared(
    names: tuple[str, str], by_seed: tuple[Mapping[str, Predictions] | str, Mapping[str, Predictions] | str]
) -> Finding:
    nothing = Finding(*names)
    first, second = by_seed
    if isinstance(first, str) or isinstance(second, str):
        by_reason: dict[str, list[str]] = {}
        for name, found in zip(names, by_seed, strict=True):
            if isinstance(found, str):
                by_reason.setdefault(found, []).append(name)
        reason = "; ".join(f"{' and '.join(of)} {why}" for why, of in by_reason.items())
        return replace(nothing, reason=reason, run=NOT_RUN not in by_reason)
    seeds = tuple(seed for seed in first if seed in second)
    if not seeds:
        return replace(nothing, reason="no common seed")
    rows = [[of[seed] for seed in seeds] for of in (first, second)]
    if not all(predictions.labelled for row in rows for predictions in row):
        return replace(nothing, reason="labels withheld")
    try:
        comparison = compare(*rows)
    except StoreError:
        return replace(nothing, reason="not the same labelled faces")
    if comparison.faces < 2:  # no spread over faces, and nothing that could be told
        return replace(nothing, reason=f"too few faces ({comparison.faces})")
    return replace(nothing, seeds=seeds, comparison=comparison)


def published_difference(published: Sequence[Published], study: Study, backbone: str, better: str, worse: str) -> str:
    """The published difference on the study's first column in points, or an empty string where there is none."""
    column = study.first.published
    percents = {row.plan: row.numbers[column][0] for row in published if row.backbone == backbone and column}
    first, second = percents.get(better), percents.get(worse)
    return f"{first - second:+.1f}" if first is not None and second is not None else ""
