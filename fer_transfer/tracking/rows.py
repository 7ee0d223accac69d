"""The rows of a study as runs: the published number, ours, its interval, and the stages it came of."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_transfer.files.digest import digest
from fer_transfer.published import Published
from fer_transfer.reports.cells import caveat_line, is_selected
from fer_transfer.reports.results import Group, Row, base_plan
from fer_transfer.reports.scores import Score, score
from fer_transfer.study import Reported, Study
from fer_transfer.tracking.runs import ROW, Run, cut, group_name, short_caveats, tags


def row_runs(groups: Sequence[Group], published: Sequence[Published], study: Study, level: float) -> Iterator[Run]:
    """A run for each row, whatever its seeds.

    Args:
        groups: finished rows.
        published: rows of the paper.
        study: whose columns are shown.
        level: of intervals, 0..1.
    """
    for group in groups:
        for plan in dict.fromkeys(row.plan for row in group.rows):
            paper = [of for of in published if (of.backbone, of.plan) == (group.backbone, base_plan(plan))]
            yield _run(group, group.of(plan), paper[0] if paper else None, study, level)


def _run(group: Group, rows: Sequence[Row], paper: Published | None, study: Study, level: float) -> Run:
    plan, record = rows[0].plan, rows[0].record
    caveats = tuple(dict.fromkeys(caveat for row in rows for caveat in row.caveats))
    seeds = [row.seed for row in rows]
    stages = {
        seed: {str(stage["name"]): str(stage["key"]) for stage in row.record.stages}
        for seed, row in zip(seeds, rows, strict=True)
    }
    config = {
        "kind": ROW,
        "study": study.name,
        "plan": plan,
        "backbone": group.backbone,
        "seeds": seeds,
        "submission": record.submission,
        "evaluation": record.evaluation,
        "settings_id": group.settings_id,
        "settings": dict(record.settings),
        "stages": stages,
        "faces": dict(group.faces),
        "level": level,
        "published_source": paper.source if paper else None,
        "ensemble": rows[0].ensemble or None,
        "caveats": list(caveats),
    }
    named = f"seeds {', '.join(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return Run(
        f"row-{digest([group.backbone, group.settings_id, dict(group.faces), plan])}",
        cut(f"{plan}, {group.backbone}, {named}"),
        group_name(base_plan(plan), group.backbone, record.row_id),
        ROW,
        tags(plan, group.backbone, *(f"seed {seed}" for seed in seeds), *group.faces, *short_caveats(caveats)),
        config,
        uses=tuple(dict.fromkeys(key for row in rows for key in row.last_stages)),
        summary=_summary(rows, paper, study, level),
        notes=caveat_line(caveats),
    )


def _summary(rows: Sequence[Row], paper: Published | None, study: Study, level: float) -> dict[str, float | str | int]:
    values: dict[str, float | str | int] = {"seeds": len(rows)}
    for column in study.reported:
        name = column_name(column, study)
        values |= {f"{name}/{key}": value for key, value in _cells(rows, paper, column, level).items()}
    return values


def _cells(
    rows: Sequence[Row], paper: Published | None, column: Reported, level: float
) -> dict[str, float | str | int]:
    """Percent throughout, as in the paper; where there is no score, the word that says why."""
    cells: dict[str, float | str | int] = {}
    if paper and column.published and (percent := paper.numbers[column.published][0]) is not None:
        cells["published"] = percent
    found = score(rows, column.split, column.over)
    if not isinstance(found, Score):
        return {**cells, "ours": found} if found != "-" else cells
    mean, spread = found.percent
    low, high = found.interval(level)
    cells |= {"ours": mean, "low": low, "high": high, "macro_recall": found.macro_percent[0], "faces": max(found.count)}
    cells |= {f"correct_seed_{seed}": k for seed, k in zip(found.seeds, found.correct, strict=True)}
    if len(rows) > 1:
        cells["sd"] = spread
    if "published" in cells:
        cells["difference"] = mean - float(cells["published"])
    if is_selected(rows, column.split):
        cells["optimistic"] = "an epoch was chosen on this split"
    return cells


def column_name(column: Reported, study: Study) -> str:
    """The column's heading, with the faces it is over where the study has both."""
    both = sum(other.split == column.split for other in study.reported) > 1
    return f"{column.heading} ({column.over})" if both else column.heading


def is_of(run: Run, store: Path) -> bool:
    """Whether the stages that a row uses are in a store with their weights: rows alone can be taken along without them."""
    return all((store / key / "result.json").exists() for key in run.uses)
