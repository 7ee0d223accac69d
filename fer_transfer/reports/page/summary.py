"""What the page says first: what was run, the best row, and how many claims show."""

from fer_transfer.evaluation.verdict import CANNOT_BE_TOLD, NOT_SHOWN, SHOWN
from fer_transfer.reports.cells import level_text
from fer_transfer.reports.page.blocks import Pairs, Section
from fer_transfer.reports.page.lines import Line, lines_of, network, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.scores import Score

_ORDER = (SHOWN, NOT_SHOWN, CANNOT_BE_TOLD)


def section(report: Report) -> Section:
    """At a glance."""
    lines = lines_of(report)
    facts = [
        ("Rows", _rows(report, lines)),
        ("Scored on", f"{over(report)} ({_faces(report, lines)})"),
        *_best(report, lines),
        *_claims(report),
        ("Left out", _left_out(report)),
    ]
    return Section("glance", "At a glance", (Pairs(tuple(facts)),))


def _rows(report: Report, lines: list[Line]) -> str:
    grid = len(report.study.plans) * max(1, len(report.study.grid.get("backbone", ())))
    trained = [line for line in lines if not line.made_of]
    seeds = sum(len(line.rows) for line in trained)
    networks = ", ".join(dict.fromkeys(line.group.backbone for line in trained)) or "none"
    count = len(lines) - len(trained)
    ensembles = f", and {count} ensemble{'s' * (count > 1)}" if count else ""
    with_seeds = f"{seeds} seed{'s' * (seeds != 1)} in all"
    return f"{len(trained)} run with {with_seeds}{ensembles}; the study's grid has {grid}. Networks: {networks}"


def _faces(report: Report, lines: list[Line]) -> str:
    counts = sorted(
        {n for line in lines if isinstance(found := line.score(report.study.first), Score) for n in found.count}
    )
    return " or ".join(f"{n} faces" for n in counts) or "nothing yet"


def _best(report: Report, lines: list[Line]) -> list[tuple[str, str]]:
    scored = [(found, line) for line in lines if isinstance(found := line.score(report.study.first), Score)]
    if not scored:
        return []
    found, line = max(scored, key=lambda of: of[0].percent[0])
    low, high = found.interval(report.level)
    words = f"{line.name}, {line.seeds}: {found.percent[0]:.1f} % [{low:.1f}, {high:.1f}] ({level_text(report.level)} interval)"
    return [("Best row here", f"{words}. Chosen on these faces: optimistic.")]


def _left_out(report: Report) -> str:
    kinds = [one.kind for one in report.missing]
    found = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    return f"{', '.join(found)} (listed under What is missing)" if found else "nothing"


def _claims(report: Report) -> list[tuple[str, str]]:
    """How many comparisons came out how, by group."""
    said = []
    for group in report.groups:
        verdicts = [of.verdict for of in report.findings[group] if of.judged]
        words = [word for word in dict.fromkeys((*_ORDER, *verdicts)) if word in verdicts]
        counts = ", ".join(f"{verdicts.count(word)} {word}" for word in words)
        said += [f"{network(report, group.backbone)}: {counts}"] if verdicts else []
    return [("Claims, by pair of plans", "; ".join(said))] if said else []
