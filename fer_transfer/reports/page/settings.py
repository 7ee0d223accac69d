"""What makes a number again: settings, machine and versions, and the commands as they are typed."""

from collections.abc import Callable, Iterable, Mapping

from fer_transfer.config import typed_words
from fer_transfer.reports.ending import report_command
from fer_transfer.reports.notes import setting_text
from fer_transfer.reports.page.blocks import Block, Code, Fold, Heading, Pairs, Section, Words
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, Row

_NOT_KEPT = "The store does not say how these rows were trained: it is of a version before commands were kept."


def section(report: Report) -> Section:
    """By group: what all rows share, what differs by plan, where it ran, how to do it again."""
    blocks: list[Block] = []
    for group in (group for group in report.groups if group.trained):
        blocks += [
            Heading(group.title),
            *([Words(apart)] if (apart := report.apart_note(group)) else []),
            Pairs(tuple(_stated(group, report))),
            Fold("All settings", (Pairs(tuple(_by_plan(group.trained, lambda row: row.record.settings))),)),
            Fold("Machine and versions", (Pairs(tuple(_environment(report, group))),)),
            *_training(report, group),
        ]
    page = typed_words(command="fer-report") or report_command(report.store, report.study.name)
    blocks.append(Code(page, "This page:"))
    return Section("settings", "Settings, machine, commands", tuple(blocks))


def _stated(group: Group, report: Report) -> list[tuple[str, str]]:
    """What the study leaves open, and what was chosen; the faces."""
    words = report.study.left_open.words
    settings = _by_plan(group.trained, lambda row: row.record.settings)
    chosen = [(name, value) for name, value in settings if any(word in name.lower() for word in words)]
    known = {digest: of for row in group.trained for digest, of in row.record.faces.items()}
    faces = [
        (f"faces of {release}", f"{known[digest].preparation} (digest {digest[:8]})")
        for release, digest in group.faces.items()
        if digest in known
    ]
    seeds = ", ".join(dict.fromkeys(row.seed for row in sorted(group.trained, key=lambda row: row.record.seeds)))
    return [*faces, ("seeds", seeds), *chosen]


def _by_plan(rows: Iterable[Row], of: Callable[[Row], Mapping[str, object]]) -> list[tuple[str, str]]:
    """Each name once; a value in which plans differ stands beside the plans that have it."""
    by_name: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows:
        for name, value in of(row).items():
            by_name.setdefault(name, {}).setdefault(setting_text(value), {})[row.plan] = None
    return [(name, _one_or_all(values)) for name, values in by_name.items()]


def _one_or_all(values: Mapping[str, Iterable[str]]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({', '.join(plans)})" for value, plans in values.items())


def _environment(report: Report, group: Group) -> list[tuple[str, str]]:
    """Of all stages of the group's rows: a stage may have run elsewhere than the one after it."""
    keys = {stage.key for row in group.trained for stage in row.record.own_stages}
    kept = [of.environment for key in sorted(keys) if (of := report.stages.get(key))]
    found: dict[str, dict[str, None]] = {}
    for environment in kept or [row.record.environment for row in group.trained]:
        for name, value in environment.items():
            if name != "command":
                found.setdefault(str(name), {})[str(value)] = None
    return [(name, "; ".join(values)) for name, values in found.items()]


def _training(report: Report, group: Group) -> list[Block]:
    """The command of every row; stages that other rows had trained already were taken from the store."""
    commands = dict.fromkeys(str(row.record.environment.get("command") or "") for row in group.trained)
    known = [command for command in commands if command]
    if not known:
        return [Words(_NOT_KEPT, "quiet")] if group.trained else []
    return [Code("\n".join(known), "Training, a row each (finished stages are taken from the store):")]
