"""What a store has finished, read back: one row per record, checked, with its predictions, in groups that are one table each.

A record is ``<store>/submissions/<hash>.json`` and names the predictions files; every number comes from these. What is damaged is
left out and told (``missing``), the rest is read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.digest import digest as digest_of
from fer_transfer.reports.missing import Missing
from fer_transfer.stages.lineage import Prepared
from fer_transfer.stages.record import Record, read_record
from fer_transfer.stages.store import check_version
from fer_transfer.study import Study
from fer_transfer.upkeep.contents import listed

#: Bytes of the name of a row's file; file systems take 255.
_LONGEST = 200

#: Stands for the backbone of a group of ensembles whose members stand in several groups.
ACROSS = "ensembles"


@dataclass(frozen=True, eq=False)
class Row:
    """One finished plan with its seeds, scored on the faces of one group.

    Attributes:
        path: the file its record was read from.
        record: the record.
        settings_id: of the group: the same for rows that differ in plan and seed only.
        plan: its name; with ``#`` and the row's identity where one name was run with several settings of its own.
        faces: digest by release, those of the group.
        predictions: by ``release/split``; of other faces of a release that the row was made from, by ``release@digest/split``.
        damaged: splits, named likewise, whose predictions are missing or damaged.
    """

    path: Path
    record: Record
    settings_id: str
    plan: str
    faces: Mapping[str, str]
    predictions: dict[str, Predictions]
    damaged: frozenset[str] = frozenset()

    #: What a row made of rows is called beside its name.
    kind: ClassVar[str] = ""

    @property
    def backbone(self) -> str:
        """Its name."""
        return self.record.backbone

    @property
    def seed(self) -> str:
        """Its seed, or those of its stages where they differ."""
        return self.record.seed

    @property
    def name(self) -> str:
        """A file name of its own: plan, backbone, settings, faces where there are several, and seed."""
        name = re.sub(r"[^\w.+#-]", "-", f"{self.plan}_{self.backbone}_{self.settings_id[:8]}_seed{self.seed}")
        return name if len(name.encode()) < _LONGEST else f"{name[: _LONGEST // 8]}_{digest_of([name])}"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must stand beside any number of this row."""
        record = self.record
        shown = {*self.faces.values(), *record.lineage.faces}
        of_faces = [f"{of.release}: {text}" for key, of in record.faces.items() if key in shown for text in of.caveats]
        return tuple(dict.fromkeys([*of_faces, *record.lineage.caveats, *record.notes]))

    @property
    def releases(self) -> set[str]:
        """Words of the releases on which it was scored, as far as that is known, damaged or not."""
        return {release_named(split) for split in (*self.predictions, *self.damaged)}

    @property
    def ensemble(self) -> str:
        """Of what it is made, and how its members count; empty for a row that was trained."""
        return ""

    @property
    def last_stages(self) -> tuple[str, ...]:
        """Keys of the stages whose weights it was scored with."""
        return (str(self.record.stages[-1]["key"]),)

    def without(self, split: str) -> str:
        """The word that says why it must have no score on ``release/split``, or an empty text."""
        return "trained on" if self.trained_on(split) else ""

    def trained_on(self, split: str) -> bool:
        """Whether a stage was trained on ``release/split``: then it is no evaluation."""
        return self.record.lineage.trained_on(*self._prepared(split))

    def selected_on(self, split: str) -> bool:
        """Whether a stage chose its epoch on ``release/split``: then its score is optimistic."""
        return self.record.lineage.selected_on(*self._prepared(split))

    def is_part(self, split: str) -> bool:
        """Whether it may be scored on a part of ``release/split`` only: on as many faces as its last stage takes of any."""
        at_most = self.record.lineage.stages[-1].at_most
        return at_most is not None and len(self.predictions.get(split, ())) >= at_most

    def _prepared(self, split: str) -> tuple[Prepared, str]:
        release, _, name = split.partition("/")
        release, _, digest = release.partition("@")  # of other faces than the group's
        known = {key: of.prepared for key, of in self.record.faces.items()}
        wanted = [key for key in known if digest and key.startswith(digest)] or [self.faces.get(release, "")]
        return known.get(wanted[0], Prepared(wanted[0], release)), name


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that belong in one table: one backbone, one set of settings, the same faces; any plan and seed.

    Attributes:
        backbone, settings_id: of all rows.
        faces: digest by release.
        rows: by plan and seed.
        alone: whether no other group has the same settings with other faces.
        beside: rows of other groups that claims may compare with these; of ensembles across groups every other row.
    """

    backbone: str
    settings_id: str
    faces: Mapping[str, str]
    rows: tuple[Row, ...]
    alone: bool = True
    beside: tuple[Row, ...] = ()

    @property
    def title(self) -> str:
        """Backbone and settings, and the faces where there are several."""
        of_faces = ", ".join(f"{release} {digest[:8]}" for release, digest in self.faces.items())
        across = self.backbone == ACROSS
        title = "Ensembles across tables" if across else f"{self.backbone}, settings {self.settings_id[:8]}"
        return title + ("" if self.alone else f", faces {of_faces}")

    @property
    def file_name(self) -> str:
        """Backbone and settings, as the name of a file may hold them."""
        return re.sub(r"[^\w.+-]", "-", f"{self.backbone[:100]}-{self.settings_id[:8]}")

    @property
    def caveats(self) -> tuple[str, ...]:
        """The caveats of all rows, each once."""
        return tuple(dict.fromkeys(caveat for row in self.rows for caveat in row.caveats))

    def plans(self, study: Study) -> tuple[str, ...]:
        """Plans run outside the study's grid, the grid's, run or not (as often as with settings of their own), then ensembles."""
        ensembles = list(dict.fromkeys(row.plan for row in self.rows if row.ensemble))
        if self.backbone == ACROSS:
            return tuple(ensembles)
        run = sorted({row.plan for row in self.rows if not row.ensemble})
        variants = {plan: [name for name in run if base_plan(name) == plan] for plan in study.plans}
        others = [name for name in run if base_plan(name) not in study.plans]
        return (*others, *(name for plan in study.plans for name in variants[plan] or [plan]), *ensembles)

    @property
    def trained(self) -> tuple[Row, ...]:
        """Its rows without the ensembles."""
        return tuple(row for row in self.rows if not row.ensemble)

    def called(self, name: str) -> tuple[Row, ...]:
        """The rows that a claim means, by seed: of the group, or beside it (``plan/backbone``); none where names do not tell.

        Of a row that stands in several groups beside it that on the faces of this one, where there is one.
        """
        named = [row for row in (*self.rows, *self.beside) if name in (row.plan, f"{row.plan}/{row.backbone}")]
        meant = [row for row in named if row.faces.items() <= self.faces.items()] or named
        return self.of(name) or (tuple(meant) if len({row.record.row_id for row in meant}) == 1 else ())

    def of(self, plan: str) -> tuple[Row, ...]:
        """The rows of a plan, by seed."""
        return tuple(row for row in self.rows if row.plan == plan)

    def other_splits(self, study: Study) -> tuple[str, ...]:
        """Splits that were predicted and that the study does not report."""
        reported = {column.split for column in study.reported}
        return tuple(dict.fromkeys(s for row in self.rows for s in sorted(row.predictions) if s not in reported))


def base_plan(plan: str) -> str:
    """The plan's own name, without the identity that tells apart rows with settings of their own.

    >>> base_plan("fer28_emotiw#1a2b3c")
    'fer28_emotiw'
    """
    return plan.partition("#")[0]


def load_groups(store: Path) -> tuple[list[Group], list[Missing]]:
    """All finished rows of a store, and what of them is damaged: a record with its row, predictions with their split.

    Raises:
        StoreError: if the store is of a newer version, or its folder cannot be listed.
    """
    check_version(store)
    loaded: list[_Loaded] = []
    missing: list[Missing] = []
    for path in listed(store / "submissions"):
        if path.suffix == ".json" and not path.name.startswith("."):
            try:
                loaded.append(_load(path, store))
            except StoreError as error:
                missing.append(Missing("damaged", f"record {path.stem[:8]}", str(error)))
    missing += [one for of in loaded for one in of.missing]
    sweeps = sorted({(one.record.backbone, sweep) for one in loaded for sweep in one.record.settings_ids})
    groups = [group for backbone, sweep in sweeps for group in _groups(backbone, sweep, loaded, missing)]
    return groups, list(dict.fromkeys(missing))


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A record with its predictions by digest and split; None where they are damaged, and why."""

    path: Path
    record: Record
    predictions: Mapping[tuple[str, str], Predictions | None]
    missing: tuple[Missing, ...]

    @property
    def made_from(self) -> dict[str, set[str]]:
        """Digests by release of the faces that the plan's own stages used."""
        own: dict[str, set[str]] = {}
        for stage in self.record.own_stages:
            for used in stage.faces:
                own.setdefault(used.release, set()).add(used.digest)
        return own

    def belongs(self, faces: Mapping[str, str]) -> bool:
        """Whether its own stages used these faces, as far as they used any of these releases."""
        return all(faces[release] in digests for release, digests in self.made_from.items())


def _load(path: Path, store: Path) -> _Loaded:
    record = read_record(path)
    read: dict[tuple[str, str], Predictions | None] = {}
    missing = []
    for of in record.predictions:
        try:
            read[of.faces, of.split] = Predictions.read(store / of.file, of.sha256)
        except StoreError as error:
            read[of.faces, of.split] = None
            split = f"{record.faces[of.faces].release}/{of.split}"
            missing.append(Missing("damaged", f"{split} of {row_name(record)}", str(error)))
    return _Loaded(path, record, read, tuple(missing))


def row_name(record: Record) -> str:
    """A row in words."""
    return f"{record.plan}, {record.backbone}, seed {record.seed}"


def _groups(backbone: str, sweep: str, loaded: Sequence[_Loaded], missing: list[Missing]) -> list[Group]:
    members = [one for one in loaded if one.record.backbone == backbone and sweep in one.record.settings_ids]
    choices = _choices(members)
    found = []
    for faces in choices:
        rows = _named_apart([_row(one, sweep, faces) for one in members if one.belongs(faces)])
        rows = sorted(_single(rows, missing), key=lambda row: (row.plan, row.record.seeds))
        found.append(Group(backbone, sweep, faces, tuple(rows), len(choices) == 1))
    return [group for group in found if group.rows]


def _choices(members: Sequence[_Loaded]) -> list[dict[str, str]]:
    """Faces by release, as few choices as show every prediction and every row once.

    A row that never used a release belongs to each choice of its faces on which it was scored; one that was trained on faces
    belongs to those.
    """
    digests: dict[str, dict[str, None]] = {}
    for one in members:
        for release, of in one.made_from.items():
            digests.setdefault(release, {}).update(dict.fromkeys(sorted(of)))
        for digest, _ in one.predictions:
            digests.setdefault(one.record.faces[digest].release, {})[digest] = None
    candidates = [dict(zip(digests, choice, strict=True)) for choice in product(*digests.values())]
    shown = [set(_shown(members, faces)) for faces in candidates]
    kept: list[int] = []
    covered: set[Any] = set()
    for index in sorted(range(len(candidates)), key=lambda i: -len(shown[i])):
        if shown[index] - covered:
            kept.append(index)
            covered |= shown[index]
    return [candidates[index] for index in sorted(kept)]


def _shown(members: Sequence[_Loaded], faces: Mapping[str, str]) -> Iterable[tuple[int, str, str]]:
    for number, one in enumerate(members):
        if one.belongs(faces):
            yield number, "", ""
            yield from ((number, digest, split) for digest, split in one.predictions if digest in faces.values())


def split_name(faces: Mapping[str, str], release: str, digest: str, split: str) -> str:
    """What a split is called among the faces of a group, digest by release: of other faces than these with their digest.

    >>> split_name({"emotiw": "d" * 64}, "emotiw", "d" * 64, "Val"), split_name({}, "emotiw", "e" * 64, "Val")
    ('emotiw/Val', 'emotiw@eeeeeeee/Val')
    """
    return f"{release}/{split}" if faces.get(release) == digest else f"{release}@{digest[:8]}/{split}"


def release_named(name: str) -> str:
    """The release of a split that ``split_name`` named.

    >>> release_named("emotiw@eeeeeeee/Val")
    'emotiw'
    """
    return re.split("[@/]", name)[0]


def _row(one: _Loaded, sweep: str, faces: Mapping[str, str]) -> Row:
    predictions, damaged = {}, set()
    for (digest, split), of in one.predictions.items():
        release = one.record.faces[digest].release
        if faces.get(release) != digest and release not in one.made_from:  # another group shows these
            continue
        name = split_name(faces, release, digest, split)
        if of is None:
            damaged.add(name)
        else:
            predictions[name] = of
    return Row(one.path, one.record, sweep, one.record.plan, faces, predictions, frozenset(damaged))


def _named_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows whose plan was run with several settings of its own get the identity after the plan: ``fer28#1a2b3c``.

    Such settings (a rate given inside the plan) are no part of ``settings_id``; under one name they would be taken for
    seeds of one row.
    """
    identities: dict[str, set[str]] = {}
    for row in rows:
        identities.setdefault(row.plan, set()).add(row.record.row_id)
    return [
        replace(row, plan=f"{row.plan}#{row.record.row_id[:6]}") if len(identities[row.plan]) > 1 else row
        for row in rows
    ]


def _single(rows: Sequence[Row], missing: list[Missing]) -> list[Row]:
    """Rows of which there is one record; where there are several of one plan and seed, nobody can tell which is meant."""
    records: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        records.setdefault((row.plan, row.seed), []).append(row)
    for several in (of for of in records.values() if len(of) > 1):
        paths = " and ".join(str(row.path) for row in several[:3])
        why = f"Expected one record of it under settings {several[0].settings_id[:8]}, but got {paths}. Delete the outdated one."
        missing.append(Missing("damaged", row_name(several[0].record), why))
    return [row for of in records.values() if len(of) == 1 for row in of]
