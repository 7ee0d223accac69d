"""The study's claims: each as pairs of plans, with the difference, what it may be, and a verdict from stated rules."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from fer_transfer.evaluation.verdict import CANNOT_BE_TOLD, NOT_SHOWN, SHOWN
from fer_transfer.reports.cells import level_text
from fer_transfer.reports.claims import published_difference
from fer_transfer.reports.claims_table import p_text, rules
from fer_transfer.reports.finding import Finding
from fer_transfer.reports.page.blocks import Block, Cell, DataTable, Figure, Heading, Section, Tone, Words
from fer_transfer.reports.page.charts import both, chart_of, of_lines, of_whom, percents, said, spec, two_colours
from fer_transfer.reports.page.lines import over
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group

_WHOSE = ("ours", "published")
_TONES: dict[str, Tone] = {SHOWN: "good", NOT_SHOWN: "bad", CANNOT_BE_TOLD: "open"}


def section(report: Report) -> Section | None:
    """By group: a picture of the differences, and the verdicts."""
    if not report.study.claims or not report.groups:
        return None
    judged = [(group, found) for group, found in report.findings.items() if any(of.run for of in found)]
    blocks: list[Block] = []
    for group, found in judged:
        blocks += [Heading(group.title), *_figure(report, group, found), _table(report, group, found)]
    blocks += [] if judged else [Words("No claim has both its plans run.", "quiet")]
    lead = f"Of each pair the first plan should be the better one. Points of accuracy on {over(report)}."
    notes = [Words(rule, "note") for rule in rules(report)]
    return Section("claims", "Claims", (*blocks, *notes), lead)


def _figure(report: Report, group: Group, found: Sequence[Finding]) -> list[Figure]:
    """The differences with their intervals; nothing where there is no comparison."""
    values = [value for of in found for value in _values(report, group, of)]
    if not any(of.points for of in found):
        return []
    caption = (
        f"Differences in points with {level_text(report.level)} intervals, {said(values)}; above 0 the first is better."
    )
    return [
        Figure(_chart(both(values)), {"differences": values}, caption, f"{caption} The table below has every number.")
    ]


def _values(report: Report, group: Group, of: Finding) -> list[dict[str, Any]]:
    pair, values = f"{of.better}\nagainst {of.worse}", []
    if of.points:
        low, high = of.interval
        point = {"points": round(of.mean_and_sd[0], 2), "low": low, "high": high, "said": f"{low:.1f} to {high:.1f}"}
        values.append({"pair": pair, "whose": "ours", "verdict": of.verdict, **point})
    if paper := published_difference(report.published, report.study, group.backbone, of.better, of.worse):
        point = {"points": float(paper), "low": float(paper), "high": float(paper), "said": "not given"}
        values.append({"pair": pair, "whose": "published", "verdict": "", **point})
    return values


@cache
def _chart(legend: bool) -> dict[str, Any]:
    base = chart_of("differences").encode(
        y=alt.Y("pair:N", sort=None, title=None, axis=of_lines(2)),
        yOffset=of_whom(*_WHOSE),
        color=two_colours(*_WHOSE, legend=legend),
        tooltip=["pair:N", "whose:N", "points:Q", alt.Tooltip("said:N", title="interval"), "verdict:N"],
    )
    shape = alt.Shape("whose:N", scale=alt.Scale(domain=list(_WHOSE), range=["circle", "diamond"]))
    nought = alt.Chart(alt.InlineData(values=[{"low": 0}])).mark_rule().encode(x="low:Q")
    interval = base.mark_rule(strokeWidth=2).encode(x=percents("low", "Difference, points"), x2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x="points:Q", shape=shape)
    return spec(nought + interval + points, height=alt.Step(16))


def _table(report: Report, group: Group, found: Sequence[Finding]) -> DataTable:
    paper = report.study.networks if report.published and report.study.first.published else {}
    own = [group.backbone] if group.backbone in paper else list(paper)
    rows = [(_claim(of), _verdict(of), _ours(of), _p(of), *_paper(report, own, of)) for of in found]
    heading = [f"Published\n{' / '.join(paper[name] for name in own)}"] if own else []
    columns = ("Claim", "Verdict", "Ours", "p (Holm)", *heading)
    return DataTable(f"Claims of {report.study.title}: {group.title}", columns, tuple(rows))


def _claim(of: Finding) -> Cell:
    return Cell(of.says, (f"{of.better} against {of.worse}",))


def _paper(report: Report, backbones: Sequence[str], of: Finding) -> list[Cell]:
    told = [
        published_difference(report.published, report.study, name, of.better, of.worse) or "-" for name in backbones
    ]
    return [Cell(" / ".join(told))] if backbones else []


def _ours(of: Finding) -> Cell:
    if not of.points:
        return Cell("-", tone="quiet")
    (mean, spread), (low, high) = of.mean_and_sd, of.interval
    seeds = f"{len(of.seeds)} seeds, sd {spread:.1f}" if len(of.seeds) > 1 else f"seed {of.seeds[0]}"
    return Cell(f"{mean:+.1f}", (f"[{low:.1f}, {high:.1f}]", f"{of.faces} faces, {seeds}"))


def _p(of: Finding) -> Cell:
    if of.adjusted is None or of.p is None:
        return Cell("-", tone="quiet")
    alone = (f"alone {p_text(of.p)}",) if of.among > 1 else ()
    return Cell(p_text(of.adjusted), (*alone, f"{of.only_better} faces against {of.only_worse}"))


def _verdict(of: Finding) -> Cell:
    under = tuple(text for text in (of.rests_on, of.details) if text and text != of.verdict)
    return Cell(of.verdict, under, tone=_TONES.get(of.verdict, "quiet"))
