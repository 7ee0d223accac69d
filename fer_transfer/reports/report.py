"""What every outlet is made from: a study, its published numbers, what a store has finished, and what is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.labels import words_for
from fer_transfer.published import Published
from fer_transfer.reports.claims import findings
from fer_transfer.reports.ensembles import with_ensembles
from fer_transfer.reports.finding import Finding
from fer_transfer.reports.folds import with_folds
from fer_transfer.reports.missing import Missing, rows_not_run, stages_not_finished, stages_of
from fer_transfer.reports.notes import settings_apart
from fer_transfer.reports.pictures import Pictures
from fer_transfer.reports.results import Group, Row, base_plan, load_groups
from fer_transfer.study import Study, published_rows
from fer_transfer.upkeep.contents import Kept, open_store

#: Of networks by the keys of their stages, of faces (uint8 [N, H, W]) and of classes (int64 [N]): what spoke for these in those,
#: float32 [N, H, W], 0..1. A report computes no maps itself: that takes the weights and torch.
Explain = Callable[[Sequence[str], NDArray[np.uint8], NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Report:
    """All that the terminal, the files, the page and the dashboards say comes from this.

    Attributes:
        store: where it was read from.
        study: whose columns, claims and grid it has.
        published: the study's published rows, in their order.
        groups: finished rows, those of one backbone, sweep and faces together, with their ensembles; empty where none ran.
        stages: finished stages of these rows by key, as far as they can be read.
        level: of intervals, 0..1; one less it bounds p for the claims.
        missing: what there is no number for, and why.
        with_published: whether published rows that were not run are shown too.
        pictures: of the faces, where these are at hand and may be shown.
        explain: what spoke for a row's mistakes in these pictures; None: that was not asked for.
    """

    store: Path
    study: Study
    published: tuple[Published, ...]
    groups: tuple[Group, ...]
    stages: Mapping[str, Kept]
    level: float
    missing: tuple[Missing, ...] = ()
    with_published: bool = True
    pictures: Pictures = field(default_factory=Pictures)
    explain: Explain | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """All finished rows, by group."""
        return tuple(row for group in self.groups for row in group.rows)

    @cached_property
    def findings(self) -> dict[Group, tuple[Finding, ...]]:
        """What each group says of the study's claims, all of them judged together; every outlet asks."""
        return findings(self.groups, self.study, self.level)

    @cached_property
    def apart(self) -> dict[Group, str]:
        """Settings of each group that are others than those of most of its backbone; every outlet says them."""
        return dict(zip(self.groups, settings_apart(self.groups), strict=True))

    def apart_note(self, group: Group) -> str:
        """The same in a sentence; empty where there are none."""
        said = self.apart[group]
        return said and f"Of the tables of {group.backbone} this one has {said}."

    @cached_property
    def words(self) -> tuple[str, str]:
        """What a class of its rows, and several, are called (``labels.words_for``); an ensemble's are its members'."""
        trained = [row.record for row in self.rows if row.record.lineage.stages]
        return words_for(name for record in trained for name in record.classes)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must stand beside numbers of ours, each once."""
        return tuple(dict.fromkeys(caveat for group in self.groups for caveat in group.caveats))


def load_report(
    store: Path,
    study: Study,
    level: float,
    *,
    with_published: bool = True,
    faces: Mapping[str, Path] | None = None,
    explain: Explain | None = None,
) -> Report:
    """Read a store for a study. What is damaged, failed or missing is told in the report and keeps nothing else out of it.

    Args:
        store: its folder.
        study: checked.
        level: of intervals, above 0 and below 1.
        with_published: see ``Report``.
        faces: folders of prepared faces by the word that plans use for them, for pictures; none needs to be there.
        explain: see ``Report``.

    Raises:
        StoreError: if there is no store, it is of a newer version, or its folder cannot be listed.
        ConfigError: if the study's published numbers cannot be read.
    """
    held = open_store(store)
    groups, missing = load_groups(store)
    groups = _of_the_study(groups, study, missing)
    rows = [row for group in groups for row in group.rows]
    stages = stages_of(held, (row.record for row in rows), missing)
    missing += stages_not_finished(held)
    missing += rows_not_run(study, ((row.backbone, base_plan(row.plan)) for row in rows))
    groups = with_folds(with_ensembles(groups, study, store, missing), level, missing)
    published, pictures = tuple(published_rows(study)), Pictures(faces or {})
    return Report(
        store,
        study,
        published,
        tuple(groups),
        stages,
        level,
        tuple(dict.fromkeys(missing)),
        with_published,
        pictures,
        explain,
    )


def _of_the_study(groups: list[Group], study: Study, missing: list[Missing]) -> list[Group]:
    """Groups without rows of other data sets, which would stand there without a number; all of them, if there are no others."""
    releases = {column.split.partition("/")[0] for column in study.reported}
    others: dict[str, list[Row]] = {}
    for row in (row for group in groups for row in group.rows):
        if base_plan(row.plan) not in study.plans and row.releases and not row.releases & releases:
            others.setdefault(base_plan(row.plan), []).append(row)
    left = {id(row) for rows in others.values() for row in rows}
    kept = [replace(group, rows=tuple(row for row in group.rows if id(row) not in left)) for group in groups]
    if not any(group.rows for group in kept):
        return groups
    for plan, rows in others.items():
        of = ", ".join(sorted(set().union(*(row.releases for row in rows))))
        why = f"scored on {of}, of which study {study.name} reports nothing, so left out here."
        missing.append(Missing("elsewhere", f"{plan} ({len(rows)} row{'s' * (len(rows) > 1)})", why))
    return [group for group in kept if group.rows]
