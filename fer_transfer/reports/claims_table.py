"""The table of a group's claims: one line a pair, the rules it goes by, and what would tell; and its lines in claims.csv."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from fer_transfer.evaluation.verdict import POWER
from fer_transfer.published import Published
from fer_transfer.reports.cells import level_text, marks_of, published_networks
from fer_transfer.reports.claims import NOT_RUN, best_against_baseline, published_difference
from fer_transfer.reports.finding import ONE_SEED, Finding
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group
from fer_transfer.study import Study

#: Beside a p where it cannot be told, but the networks at hand differ.
_NETWORKS = "§"

#: The numbers are filled in.
_RULES = (
    "Difference in points, mean over the common seeds, with its {level} interval. It and p know that faces and seeds vary "
    "(normal over faces, Student's t over seeds); with one seed they rest on images only, p is McNemar's exact test, and "
    "another seed may turn it. p is two-sided, and corrected over the study's claims in all tables of this report "
    "(Holm, {among}).",
    "Shown: p < {alpha:.2g}, and the first is better. Not shown: that it is better by {margin:g} points or more is ruled out "
    "(one-sided, corrected likewise), or the reverse is shown. Cannot be told: neither, at this number of faces and seeds, and "
    "always with one seed. What would tell has a chance of {power:.0%} to, at the corrected level, if the difference is the one "
    "seen or {margin:g} points, whichever is more.",
)


class ClaimsText(NamedTuple):
    """What a table of claims says, as text.

    Attributes:
        headings, rows: cells, one line a pair.
        says: the claims in words, what they are compared on, and why a pair has no verdict.
        legend: what the signs in the cells mean.
        rules: what the columns are and the rules of the verdicts; then of each pair how large the difference is, or what would
            tell; then the best plan against the baseline.
    """

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    says: list[str]
    legend: list[str]
    rules: list[str]


def claims_text(group: Group, report: Report) -> ClaimsText:
    """The claims of a group's rows."""
    study, published, found = report.study, report.published, report.findings[group]
    numbers = {claim.says: number for number, claim in enumerate(study.claims, 1)}
    paper = group.backbone in published_networks(study)
    rows = []
    for one in found:
        marks = [marks_of(group.called(plan), study.first.split) for plan in (one.better, one.worse)]
        pair = f"{one.better}{marks[0]} > {one.worse}{marks[1]}"
        beside = [published_difference(published, study, group.backbone, one.better, one.worse) or "-"] if paper else []
        rows.append((str(numbers[one.says]), pair, *beside, _difference(one), _p(one), _word(one)))
    return ClaimsText(
        ("", "Better > worse", *(["Paper"] if paper else []), "Ours", "p", "Verdict"),
        rows,
        _says(group, found, published, study),
        _legend(found, report),
        _rules(group, report),
    )


def _difference(of: Finding) -> str:
    if not of.points:
        return "-"
    low, high = of.interval
    return f"{of.mean_and_sd[0]:+.1f} [{low:.1f}, {high:.1f}]"


def _p(of: Finding) -> str:
    return "-" if of.adjusted is None else p_text(of.adjusted) + _NETWORKS * _only_networks(of)


def _word(of: Finding) -> str:
    """The verdict in a narrow column; why there is none stands below."""
    if of.judged and not of.part:
        return of.verdict
    return "no verdict" if of.run else NOT_RUN


def p_text(p: float) -> str:
    """A p in three decimals, or that it is below them.

    >>> p_text(0.0123), p_text(1e-9), p_text(1.0)
    ('.012', '<.001', '1.000')
    """
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _only_networks(of: Finding) -> bool:
    return of.networks_differ and of.judged is not None and of.verdict == of.judged.word and bool(of.needed)


def _says(group: Group, found: Sequence[Finding], published: Sequence[Published], study: Study) -> list[str]:
    seeds = dict.fromkeys(" ".join(of.seeds) for of in found if of.seeds)
    return [
        *(
            _claim_note(number, group, published, study)
            for number, claim in enumerate(study.claims, 1)
            if any(of.says == claim.says for of in found)
        ),
        f"{study.first.heading}, {study.first.over} faces; common seeds {' or '.join(seeds) or 'none'}.",
        *(f"{of.better} > {of.worse}: {of.details}." for of in found if of.run and (of.reason or of.part)),
    ]


def _legend(found: Sequence[Finding], report: Report) -> list[str]:
    bound = f"p < {1 - report.level:.2g}"
    legend = [
        f"Claims: points with their {level_text(report.level)} interval; p is corrected over the study's claims (Holm, "
        f"{_among(report)}). Shown: {bound}, and better; not shown: better by {report.study.margin:g} points or more is ruled "
        "out, or the reverse shows; else it cannot be told."
    ]
    if any(len(of.seeds) == 1 for of in found):
        legend.append(
            "With one seed p and interval rest on images only: another seed may turn it, and nothing can be told."
        )
    if any(_only_networks(of) for of in found):
        legend.append(
            f"{_NETWORKS} The networks at hand differ by more than the chance of the faces (exact test, Holm, {bound}); "
            "another seed may turn it."
        )
    return legend


def rules(report: Report) -> list[str]:
    """What the columns of a table of claims are, and the rules of its verdicts."""
    numbers = {"level": level_text(report.level), "alpha": 1 - report.level, "margin": report.study.margin}
    return [rule.format(**numbers, among=_among(report), power=POWER) for rule in _RULES]


def _among(report: Report) -> str:
    """How many comparisons the report corrects for; those over several seeds are not burdened with those of one."""
    found = [of for group in report.findings.values() for of in group if of.judged]
    several, every = sum(len(of.seeds) > 1 for of in found), len(found)
    if 0 < several < every:
        return f"{comparisons_text(several)} over several seeds; those of one seed, over all {every}"
    return comparisons_text(every)


def comparisons_text(number: int) -> str:
    """A number of comparisons.

    >>> comparisons_text(1), comparisons_text(14)
    ('1 comparison', '14 comparisons')
    """
    return f"{number} comparison{'s' * (number != 1)}"


def _rules(group: Group, report: Report) -> list[str]:
    found = [of for of in report.findings[group] if of.judged and not of.part and of.details]
    best = best_against_baseline(group, report.study, report.level)
    said = [*rules(report), *(f"{of.better} > {of.worse}: {of.details}." for of in found)]
    return said if best is None else [*said, _best_note(best, report.study)]


def _claim_note(number: int, group: Group, published: Sequence[Published], study: Study) -> str:
    """A claim with its number, and what the paper's networks say of it where the group's own is none of them."""
    claim, networks = study.claims[number - 1], published_networks(study)
    says = claim.says if claim.says.startswith(f"{number}.") else f"{number}. {claim.says}"
    if group.backbone in networks:
        return f"{says}."
    pairs = [[published_difference(published, study, of, *pair) or "-" for of in networks] for pair in claim.pairs]
    told = ", ".join(" / ".join(of) for of in pairs)
    return f"{says}. Paper ({' / '.join(networks.values())}): {told}." if networks else f"{says}."


def _best_note(best: Finding, study: Study) -> str:
    assert best.adjusted is not None
    rests = f", {ONE_SEED}" if len(best.seeds) == 1 else ""
    return (
        f"Best plan here, {best.better}, against {best.worse}: {_difference(best)} points, p {p_text(best.adjusted)} (Holm over "
        f"{comparisons_text(best.among)}{rests}; seed {best.seeds[0]}: {best.only_better} images against {best.only_worse}). "
        f"Chosen on the same {study.first.heading}: optimistic."
    )


def claim_lines(report: Report) -> list[dict[str, Any]]:
    """One line per claim and group, points and intervals in percentage points; what is not known is empty."""
    return [
        {"backbone": group.backbone, "settings_id": group.settings_id}
        | _claim_line(found)
        | {"caveats": "; ".join(group.caveats)}
        for group, every in report.findings.items()
        for found in every
    ]


def claim_names() -> list[str]:
    """The columns of claims.csv, whatever its lines."""
    return ["backbone", "settings_id", *_claim_line(Finding("", "")), "caveats"]


def _claim_line(of: Finding) -> dict[str, Any]:
    """The columns of a finding; ``points`` by seed, and what rests on the first seed alone from ``only_better`` on."""
    mean, sd = of.mean_and_sd
    intervals = {"": of.interval, "bootstrap_": of.bootstrap, "over_seeds_": of.over_seeds}
    return (
        {"claim": of.says, "better": of.better, "worse": of.worse, "seeds": " ".join(of.seeds)}
        | {"faces": of.faces or None, "points": " ".join(f"{value:.4f}" for value in of.points), "mean": mean, "sd": sd}
        | {f"{name}{end}": ends[i] for name, ends in intervals.items() for i, end in enumerate(("low", "high"))}
        | {"p": _exact(of.p), "p_holm": _exact(of.adjusted), "comparisons": of.among if of.points else None}
        | {"verdict": of.verdict, "rests_on": of.rests_on, "equivalence": of.equivalence, "needed": of.needed}
        | {"only_better": of.only_better if of.points else None, "only_worse": of.only_worse if of.points else None}
        | {"p_mcnemar": _exact(of.p_mcnemar), "networks_differ": _yes(of)}
    )


def _exact(p: float | None) -> str | None:
    return None if p is None or math.isnan(p) else f"{p:.6g}"


def _yes(of: Finding) -> str | None:
    return ("yes" if of.networks_differ else "no") if of.points else None
