"""The ensembles of a study as rows of a report: the mean of what their members said of the same faces, at each seed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.ensemble import averaged
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.digest import digest
from fer_transfer.reports.missing import Missing
from fer_transfer.reports.results import ACROSS, Group, Row, release_named, split_name
from fer_transfer.stages.lineage import Lineage
from fer_transfer.stages.record import Record, ScoredSplit
from fer_transfer.stages.rows import stored_rows
from fer_transfer.stages.scored import Together
from fer_transfer.study import Ensemble, Study
from fer_transfer.upkeep.ensembles import Composed, EnsembleError, Fit, composed


@dataclass(frozen=True, eq=False)
class EnsembleRow(Row):
    """A row made of rows, at one seed: what is true of one of them is true of it.

    Attributes:
        members: the rows, of this seed.
        says: what it is made of, and how.
        fit: what its weights were fitted on; None: they are alike.
        word: why it could not be made, in a few words; then it has no predictions.
    """

    members: tuple[Row, ...] = ()
    says: str = ""
    fit: Fit | None = None
    word: str = ""

    kind: ClassVar[str] = "ensemble"

    @property
    def ensemble(self) -> str:
        """Of what it is made, and how its members count."""
        return self.says

    @property
    def last_stages(self) -> tuple[str, ...]:
        """Those of all members."""
        return tuple(key for member in self.members for key in member.last_stages)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Those of all members, each once."""
        return tuple(dict.fromkeys(caveat for member in self.members for caveat in member.caveats))

    def without(self, split: str) -> str:
        """See ``Row.without``; where its weights were fitted it is not scored either."""
        return self.word or ("fitted on" if self.fitted_on(split) else super().without(split))

    def fitted_on(self, split: str) -> bool:
        """Whether the weights were fitted on ``release/split``, or may have been."""
        return self.fit is not None and self.fit.shares(*self._prepared(split))

    def trained_on(self, split: str) -> bool:
        """Whether a member, or the weights of the mean, were trained on it."""
        return self.fitted_on(split) or any(member.trained_on(split) for member in self.members)

    def selected_on(self, split: str) -> bool:
        """Whether a member chose its epoch there."""
        return any(member.selected_on(split) for member in self.members)

    def is_part(self, split: str) -> bool:
        """Whether a member may be scored on a part of it only."""
        return any(member.is_part(split) for member in self.members)


def with_ensembles(groups: Sequence[Group], study: Study, store: Path, missing: list[Missing]) -> list[Group]:
    """Groups with the ensembles of a study as further rows.

    An ensemble stands in every group that has all of its members. Where none has, and where they know the same pictures from
    several crops, it stands in a group of such ensembles, which follows.

    Args:
        groups: of trained rows.
        study: that declares them.
        store: of the rows.
        missing: what cannot be made, or is left out, is added to it.
    """
    rows = stored_rows({row.record.identity: row.record for group in groups for row in group.rows}.values())
    of_group: list[list[Row]] = [[] for _ in groups]
    across: list[EnsembleRow] = []
    for name, ensemble in study.ensembles.items():
        try:
            made = composed(name, ensemble, rows, store, study)
            missing += [Missing("ensemble", name, note) for note in made.notes]
        except EnsembleError as error:
            made = _unmade(name, ensemble, error)
            missing.append(Missing("ensemble", name, str(error)))
        except StoreError as error:  # predictions that weights are fitted on
            missing.append(Missing("ensemble", name, str(error)))
            continue
        homes = _homes(groups, made)
        for n in homes:
            of_group[n] += _rows(made, groups[n].rows, groups[n], missing)
        if not homes and made.by_seed:
            across += _across(made, groups, missing)
    own = [replace(group, rows=(*group.rows, *more)) for group, more in zip(groups, of_group, strict=True)]
    return [*own, *_groups_across(across, own)]


def _unmade(name: str, ensemble: Ensemble, error: EnsembleError) -> Composed:
    """What there is of an ensemble that cannot be made: of each row that ran one seed, and the word that says why."""
    first = tuple(row.records[0] for row in error.rows)
    says = f"ensemble of {' + '.join(ensemble.rows)}: not made ({error.word})"
    return Composed(name, error.rows, {first[0].seed: first} if first else {}, {}, says, word=error.word)


def _homes(groups: Sequence[Group], made: Composed) -> list[int]:
    """The groups that have all rows of an ensemble; none where these do not show every split that its rows share."""
    wanted = {row.records[0].row_id for row in made.rows}
    homes = [n for n, group in enumerate(groups) if wanted and wanted <= {row.record.row_id for row in group.rows}]
    for seed, records in made.by_seed.items():
        shared = {(records[0].faces[of[0].faces].release, of[0].split) for of in made.together.get(seed, ())}
        shown = {split for n in homes for split in _shown(groups[n], records)}
        if homes and not shared <= shown:
            return []
    return homes


def _shown(group: Group, records: Sequence[Record]) -> set[tuple[str, str]]:
    """Release and split of what a group tells of each of some records from the same faces, or says to be damaged."""
    identities = {record.identity for record in records}
    rows = [row for row in group.rows if row.record.identity in identities]
    names = set.intersection(*({*row.predictions, *row.damaged} for row in rows)) if rows else set()
    return {(release_named(name), name.partition("/")[2]) for name in names}


def _rows(made: Composed, rows: Sequence[Row], group: Group, missing: list[Missing]) -> Iterator[EnsembleRow]:
    """The ensemble in a group, a row a seed, from rows that hold its members."""
    by_identity = {row.record.identity: row for row in rows}
    for seed, records in made.by_seed.items():
        members = tuple(by_identity[record.identity] for record in records if record.identity in by_identity)
        if len(members) < len(records):  # of one there are two records: told as damaged
            continue
        weights = made.weights.get(seed)
        said = {} if weights is None else dict(_said(made.name, members, weights, group.faces, missing))
        yield _row(made, members, group, said)


def _row(made: Composed, members: tuple[Row, ...], group: Group, said: dict[str, Predictions]) -> EnsembleRow:
    row = EnsembleRow(
        members[0].path, made_record(made.name, group.backbone, members), group.settings_id, made.name, group.faces,
        said, frozenset(split for member in members for split in member.damaged), members, made.says, made.fit, made.word,
    )  # fmt: skip
    return replace(row, predictions={split: of for split, of in said.items() if not row.trained_on(split)})


def _said(
    name: str, members: Sequence[Row], weights: Sequence[float], faces: Mapping[str, str], missing: list[Missing]
) -> Iterator[tuple[str, Predictions]]:
    """The mean on every split of the group's faces that all members have predictions of."""
    for split in members[0].predictions:
        release = split.partition("/")[0]
        if ("@" in release or release in faces) and all(split in member.predictions for member in members):
            yield from _mean(name, split, [member.predictions[split] for member in members], weights, missing)


def _mean(
    name: str, split: str, members: Sequence[Predictions], weights: Sequence[float], missing: list[Missing]
) -> Iterator[tuple[str, Predictions]]:
    try:
        yield split, averaged(members, weights)
    except ValueError:
        why = f"its rows were scored on other faces of {split}: on parts of it (recipe.at_most), or on other shares"
        missing.append(Missing("ensemble", name, why))


def made_record(name: str, backbone: str, members: Sequence[Row]) -> Record:
    """What a report asks of a record; lineage and settings stay with the members."""
    records = [member.record for member in members]
    ways = dict.fromkeys(record.evaluation for record in records)
    return replace(
        records[0],
        submission=None,
        plan=name,
        backbone=backbone,
        evaluation=" and ".join(ways),
        row_id=digest([name, *(record.row_id for record in records)]),
        lineage=Lineage("those of its members", None),
        settings={},
        stages=(),
        faces={key: of for record in reversed(records) for key, of in record.faces.items()},
        predictions=(),
        notes=(),
        environment={},
    )


def _across(made: Composed, groups: Sequence[Group], missing: list[Missing]) -> Iterator[EnsembleRow]:
    """The ensemble from members in several groups, or of several crops: at each seed what they were scored on together."""
    standing: dict[str, list[Row]] = {}
    for row in (row for group in groups for row in group.rows):
        standing.setdefault(row.record.identity, []).append(row)
    whole = {seed: of for seed, of in made.by_seed.items() if all(record.identity in standing for record in of)}
    members = {seed: _members(records, made.together.get(seed, ()), standing) for seed, records in whole.items()}
    faces = _faces(made, [row for rows in members.values() for row in rows])
    home = Group(ACROSS, digest(sorted(faces.items())), faces, ())
    for seed, records in whole.items():  # of a seed that is not, there are two records of one: told as damaged
        said: dict[str, Predictions] = {}
        for split, each in _called(records[0], made.together.get(seed, ()), faces):
            read = [_predictions(standing[record.identity], of) for record, of in zip(records, each, strict=True)]
            known = [of for of in read if of is not None]
            if len(known) == len(read):
                said |= _mean(made.name, split, known, made.weights[seed], missing)
        yield _row(made, members[seed], home, said)


def _members(
    records: Sequence[Record], together: Sequence[Together], standing: Mapping[str, Sequence[Row]]
) -> tuple[Row, ...]:
    """Of the groups that each record stands in, its row in that of most of the faces."""
    wanted = [{of[place].faces for of in together} for place in range(len(records))]
    return tuple(
        max(standing[record.identity], key=lambda row: len(faces & set(row.faces.values())))
        for record, faces in zip(records, wanted, strict=True)
    )


def _faces(made: Composed, members: Sequence[Row]) -> dict[str, str]:
    """Digest by release: of several crops that which sorts first, of several preparations that of most splits.

    Of a release on which they were not scored together it is that of the members, where these agree.
    """
    counted = Counter(
        (records[0].faces[of[0].faces].release, _first(of))
        for seed, records in made.by_seed.items()
        for of in made.together.get(seed, ())
    )
    faces = {release: key for (release, key), _ in reversed(counted.most_common())}
    known: dict[str, set[str]] = {}
    for release, key in (pair for row in members for pair in row.faces.items()):
        known.setdefault(release, set()).add(key)
    return {release: min(keys) for release, keys in known.items() if len(keys) == 1} | faces


def _first(together: Together) -> str:
    return min(of.faces for of in together)


def _called(record: Record, together: Sequence[Together], faces: Mapping[str, str]) -> Iterator[tuple[str, Together]]:
    """Splits by name (``split_name``); one that is there once needs no digest."""
    names = [(record.faces[of[0].faces].release, of[0].split) for of in together]
    for (release, split), of in zip(names, together, strict=True):
        alone = names.count((release, split)) == 1
        yield f"{release}/{split}" if alone else split_name(faces, release, _first(of), split), of


def _predictions(rows: Sequence[Row], scored: ScoredSplit) -> Predictions | None:
    """What a record says of a split, from whichever of its rows has it; None where it is damaged."""
    release = rows[0].record.faces[scored.faces].release
    names = [split_name(row.faces, release, scored.faces, scored.split) for row in rows]
    return next((row.predictions[name] for row, name in zip(rows, names, strict=True) if name in row.predictions), None)


def _groups_across(rows: Sequence[EnsembleRow], groups: Sequence[Group]) -> list[Group]:
    """A group for each choice of faces, with every other row beside it."""
    by_faces: dict[str, list[Row]] = {}
    for row in rows:
        by_faces.setdefault(row.settings_id, []).append(row)
    every = [*(row for group in groups for row in group.rows), *rows]
    return [
        Group(ACROSS, key, of[0].faces, tuple(of), len(by_faces) == 1, tuple(row for row in every if row not in of))
        for key, of in by_faces.items()
    ]
