"""The rows of the page: a plan of a group with all its seeds, and the published row that it stands beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.published import Published
from fer_transfer.reports.cells import published_row
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, Row, base_plan
from fer_transfer.reports.scores import Score, score
from fer_transfer.study import Reported, published_matrices


@dataclass(frozen=True, eq=False)
class Line:
    """One plan of a group, or an ensemble.

    Attributes:
        group: its group.
        network: as the study calls it, or the backbone's own name; with the group's number where several have this network.
        plan: as the group names it.
        rows: its rows, by seed.
        published: the published row of the same network and plan, or None.
    """

    group: Group
    network: str
    plan: str
    rows: tuple[Row, ...]
    published: Published | None

    @property
    def name(self) -> str:
        """Network and plan."""
        return f"{self.network}, {self.row}"

    @property
    def label(self) -> str:
        """The same in two lines, the plan first."""
        return f"{self.row}\n{self.network}"

    @property
    def made_of(self) -> str:
        """Of what it is made, and how its members count; empty for a plan."""
        return self.rows[0].ensemble

    @property
    def row(self) -> str:
        """The plan, or what is made of several as that."""
        return f"{self.plan} ({self.rows[0].kind})" if self.made_of else self.plan

    @property
    def seeds(self) -> str:
        """Its seeds, as text."""
        return f"seed {self.rows[0].seed}" if len(self.rows) == 1 else f"{len(self.rows)} seeds"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must stand beside its numbers, each once."""
        return tuple(dict.fromkeys(caveat for row in self.rows for caveat in row.caveats))

    def score(self, column: Reported) -> Score | str:
        """On a column of the study, or why there is none."""
        return score(self.rows, column.split, column.over)

    def predictions(self, column: Reported) -> list[Predictions]:
        """Labelled predictions of a column's faces, by seed; empty where a stage was trained on them, or none are labelled."""
        if any(row.without(column.split) for row in self.rows):
            return []
        found = [row.predictions[column.split] for row in self.rows if column.split in row.predictions]
        chosen = [of.only_found() if column.over == "found" else of for of in found]
        return [of for of in chosen if len(of) and of.labelled]

    def matrix(self, report: Report) -> NDArray[np.float64] | None:
        """Confusion matrix of the study's first column in the order of ``names``, mean over the seeds; None without labels."""
        said = self.predictions(report.study.first)
        if not said:
            return None
        order = [said[0].classes.index(name) for name in report.study.ordered(said[0].classes)]
        mean: NDArray[np.float64] = np.mean([of.matrix for of in said], axis=0)[np.ix_(order, order)]
        return mean

    def names(self, report: Report) -> list[str]:
        """The classes of the study's first column, in its order; empty without labels."""
        said = self.predictions(report.study.first)
        return report.study.ordered(said[0].classes) if said else []

    def published_matrix(self, report: Report) -> NDArray[np.float64] | None:
        """The published confusion matrix of the row, in the order of ``names``; None where there is none of these classes."""
        if self.published is None or self.names(report) != report.study.order:
            return None
        return published_matrices(report.study).get((self.group.backbone, self.published.plan))


def lines_of(report: Report) -> list[Line]:
    """Every plan that has rows, group by group in the study's order of plans."""
    return [
        Line(group, _named(report, group), plan, rows, published_row(report.published, group.backbone, base_plan(plan)))
        for group in report.groups
        for plan in group.plans(report.study)
        if (rows := group.of(plan))
    ]


def _named(report: Report, group: Group) -> str:
    """The network; with its number where several groups have it."""
    alike = [of for of in report.groups if of.backbone == group.backbone]
    name = network(report, group.backbone)
    return name if len(alike) == 1 else f"{name} [{alike.index(group) + 1}]"


def not_run(report: Report, lines: Sequence[Line]) -> list[Published]:
    """Published rows without one of ours; none where the report leaves them out."""
    beside = [line.published for line in lines]
    return [row for row in report.published if row not in beside] if report.with_published else []


def network(report: Report, backbone: str) -> str:
    """The heading of a published network, or the backbone's own name."""
    return report.study.networks.get(backbone, backbone)


def over(report: Report) -> str:
    """The study's first column in words: ``Val, found faces``."""
    return f"{report.study.first.heading}, {report.study.first.over} faces"
