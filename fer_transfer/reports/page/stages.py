"""The graph of stages: what each row was trained through, and which stages rows share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import altair as alt

from fer_transfer.files.digest import digest
from fer_transfer.reports.page.blocks import Block, Cell, DataTable, Figure, Heading, Section
from fer_transfer.reports.page.charts import LINE, MUTED, OURS, chart_of, spec
from fer_transfer.reports.page.lines import Line, lines_of
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, Row
from fer_transfer.stages.lineage import StageLineage


@dataclass
class Node:
    """A stage with all its seeds; rows of one group that have it share it.

    Attributes:
        name: of the stage.
        depth: how many stages stand before it.
        parent: identity of the node before it, or None.
        data: what it was trained on.
        keys: of its stages, one a seed.
        plans: whose rows go through it.
        ends: of these, the ones that end with it.
        teachers: keys of the stages that it learned from besides, of all its seeds.
        place: from the top of the chart.
    """

    name: str
    depth: int
    parent: str | None
    data: str
    keys: dict[str, None] = field(default_factory=dict)
    plans: dict[str, None] = field(default_factory=dict)
    ends: dict[str, None] = field(default_factory=dict)
    teachers: dict[str, None] = field(default_factory=dict)
    place: float = 0.0


def section(report: Report) -> Section | None:
    """One graph for each group."""
    groups = [group for group in report.groups if group.trained]
    if not groups:
        return None
    lines = [line for line in lines_of(report) if not line.made_of]
    blocks: list[Block] = []
    for group in groups:
        nodes = nodes_of(line for line in lines if line.group is group)
        blocks += [Heading(group.title), _figure(group, nodes), _table(report, group, nodes)]
    lead = "Every stage is trained once; rows that begin alike share it. A stage is found in the store by its key, one a seed."
    return Section("stages", "Stages, and what is shared", tuple(blocks), lead)


def nodes_of(lines: Iterable[Line]) -> dict[str, Node]:
    """The stages of some rows by identity, seeds taken together, in the order of the chains that go through them."""
    nodes: dict[str, Node] = {}
    for line in lines:
        for row in line.rows:
            _add(nodes, line.plan, row)
    _place(nodes)
    return nodes


def _add(nodes: dict[str, Node], plan: str, row: Row) -> None:
    parent, stages = None, row.record.own_stages
    for depth, stage in enumerate(stages):
        identity = _identity(stage, parent)
        node = nodes.setdefault(identity, Node(stage.name, depth, parent, trained_on(stage)))
        node.keys[stage.key] = None
        node.plans[plan] = None
        node.teachers |= dict.fromkeys(teacher.stages[-1].key for teacher in stage.teachers)
        if depth == len(stages) - 1:
            node.ends[plan] = None
        parent = identity


def _identity(stage: StageLineage, parent: str | None) -> str:
    """The same for stages that differ in their seed alone."""
    recipe = {key: value for key, value in stage.recipe.items() if key != "seed"}
    faces = [[used.digest, used.trained_on, used.selected_on] for used in stage.faces]
    return digest([recipe, faces, parent])


def trained_on(stage: StageLineage) -> str:
    """The splits that a stage was trained on, in words."""
    return ", ".join(f"{used.release} {used.training_text(' + ')}" for used in stage.faces if used.trained_on)


def taught_by(node: Node) -> str:
    """The stages that a stage learned from besides, in words; empty where there are none.

    >>> taught_by(Node("emotiw", 0, None, "SFEW Train", teachers={"0123456789abcdef": None}))
    'taught by the stage 01234567'
    """
    keys = [key[:8] for key in node.teachers]
    return f"taught by the stage{'s' * (len(keys) > 1)} {', '.join(keys)}" if keys else ""


def _place(nodes: dict[str, Node]) -> None:
    """Leaves below each other, in order; what they share in the middle of them."""
    children: dict[str | None, list[str]] = {}
    for identity, node in nodes.items():
        children.setdefault(node.parent, []).append(identity)
    next_free = 0

    def place(identity: str) -> float:
        nonlocal next_free
        below = [place(child) for child in children.get(identity, ())]
        if not below:
            below, next_free = [float(next_free)], next_free + 1
        nodes[identity].place = (below[0] + below[-1]) / 2
        return nodes[identity].place

    for identity in children.get(None, ()):
        place(identity)


def _figure(group: Group, nodes: dict[str, Node]) -> Figure:
    weights = ", ".join(dict.fromkeys(row.record.lineage.weights for row in group.trained))
    caption = (
        f"Stages of {group.title}, from the initial weights ({weights}) to the right. Filled: shared by several rows."
    )
    shared = [f"{node.name} is shared by {', '.join(node.plans)}" for node in nodes.values() if len(node.plans) > 1]
    places = [node.place for node in nodes.values() if node.parent is None]
    root = Node("start", -1, None, "", place=(places[0] + places[-1]) / 2)
    drawn = [_drawn(root), *(_drawn(node) for node in nodes.values())]
    data = {"stages": drawn, "edges": _edges(nodes, root)}
    rows = 1 + max(round(node.place) for node in nodes.values())
    return Figure(_chart(rows), data, caption, f"{caption} {'; '.join(shared) or 'No stage is shared'}.")


@cache
def _chart(rows: int) -> dict[str, Any]:
    x = alt.X("depth:Q", axis=None, scale=alt.Scale(nice=False))
    y = alt.Y("place:Q", axis=None, scale=alt.Scale(reverse=True, nice=False, padding=16))
    edges = chart_of("edges").mark_line(color=LINE, strokeWidth=2).encode(x=x, y=y, detail="edge:N")
    base = chart_of("stages").encode(x=x, y=y)
    fill = alt.condition("datum.plans > 1", alt.value(OURS), alt.value("var(--page)"))
    points = base.mark_square(size=150, stroke=OURS, strokeWidth=2, opacity=1).encode(
        fill=fill, tooltip=["stage:N", "trained on:N", "rows:N", "seeds:Q"]
    )
    text = partial(base.mark_text, align="left", baseline="middle", dx=13)
    clear = text(dy=-9, stroke="var(--page)", strokeWidth=5).encode(text="stage:N")  # of the lines that pass below
    names = text(dy=-9).encode(text="stage:N")
    under = text(dy=9, color=MUTED, fontSize=11).encode(text="under:N")
    return spec(edges + points + clear + names + under, height=46 * rows)


def _drawn(node: Node) -> dict[str, Any]:
    plans = ", ".join(node.plans)
    under = f"in {len(node.plans)} rows" if len(node.plans) > 1 else f"row {plans}" if node.ends else ""
    under += ", taught" * bool(under and node.teachers)
    return {
        "depth": node.depth, "place": node.place, "stage": node.name, "under": under, "plans": len(node.plans),
        "trained on": " and ".join(filter(None, (node.data, taught_by(node)))), "rows": plans, "seeds": len(node.keys),
    }  # fmt: skip


def _edges(nodes: dict[str, Node], root: Node) -> list[dict[str, Any]]:
    """Two ends of each line between a stage and what it starts from."""
    return [
        {"edge": identity, "depth": end.depth, "place": end.place}
        for identity, node in nodes.items()
        for end in (nodes[node.parent] if node.parent is not None else root, node)
    ]


def _table(report: Report, group: Group, nodes: dict[str, Node]) -> DataTable:
    rows = []
    for node in nodes.values():
        seconds = [kept.seconds for key in node.keys if (kept := report.stages.get(key)) and kept.seconds is not None]
        after = nodes[node.parent].name if node.parent is not None else "initial weights"
        time = Cell(f"{sum(seconds) / 60:.1f} min", key=sum(seconds)) if seconds else Cell("-", key="")
        keys = ", ".join(key[:8] for key in node.keys)
        rows.append(
            (
                Cell(node.name, (f"after {after}", *filter(None, [taught_by(node)]))),
                Cell(node.data),
                Cell(", ".join(node.plans)),
                time,
                Cell(keys, key=len(node.keys)),
            )
        )
    columns = ("Stage", "Trained on", "Used by the rows", "Training time", "Keys, one a seed")
    return DataTable(f"Stages of {group.title}, and the rows that use them", columns, tuple(rows), sortable=True)
