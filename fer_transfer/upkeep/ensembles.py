"""The ensembles of a study, resolved in a store: which records at which seeds, and the weights of their mean.

An ensemble counts seed by seed: at every seed that all of its rows were run with, it is the mean of their networks of that seed.
So it has a spread over seeds as any row has, and weights that are fitted are fitted at each seed anew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.ensemble import fit_weights, found_by_all
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.stages.lineage import Prepared
from fer_transfer.stages.record import Record
from fer_transfer.stages.rows import StoredRow, row_called
from fer_transfer.stages.scored import Together, scored_together
from fer_transfer.study import Ensemble, Study


class EnsembleError(StoreError):
    """An ensemble that cannot be made of what the store holds.

    Attributes:
        word: a few words for a narrow cell.
        rows: those of its rows that there are.
    """

    def __init__(self, word: str, why: str, rows: Sequence[StoredRow] = ()) -> None:
        super().__init__(why)
        self.word, self.rows = word, tuple(rows)


@dataclass(frozen=True)
class Fit:
    """The split that weights were fitted on: which preparation, its name, and how many found faces."""

    prepared: Prepared
    split: str
    count: int

    def shares(self, prepared: Prepared, split: str) -> bool:
        """Whether a split may hold faces that the weights were fitted on: then it is no evaluation."""
        return self.prepared.shares((self.split,), prepared, split)


@dataclass(frozen=True)
class Composed:
    """An ensemble of a store's rows.

    Attributes:
        name: its own.
        rows: that it is made of.
        by_seed: at each seed that all rows have, a record of each row.
        weights: at each seed those of the rows, summing to 1; none where it could not be made.
        says: of what it is an ensemble, and how its rows count.
        together: at each seed what the records say of each split, in the order of the rows.
        fit: what weights were fitted on; None: they are alike.
        notes: what is left out of it, and why.
        word: why it could not be made, in a few words.
    """

    name: str
    rows: tuple[StoredRow, ...]
    by_seed: Mapping[str, tuple[Record, ...]]
    weights: Mapping[str, tuple[float, ...]]
    says: str
    together: Mapping[str, tuple[Together, ...]] = field(default_factory=dict)
    fit: Fit | None = None
    notes: tuple[str, ...] = ()
    word: str = ""


def composed(name: str, of: Ensemble, rows: Sequence[StoredRow], store: Path, study: Study) -> Composed:
    """Resolve one ensemble: its rows, their common seeds, and their weights.

    Args:
        name: its own.
        of: as the study declares it.
        rows: of the store.
        store: its folder.
        study: that declares it.

    Raises:
        EnsembleError: if a row was not run, no seed is common to all, they have other classes or no faces in common, or weights
            cannot be fitted.
        StoreError: if predictions that weights are fitted on are missing or damaged.
    """
    members = _members(name, of, rows, store)
    by_seed = _by_seed(name, members)
    _refuse_other_classes(name, members)
    records = [record for records in by_seed.values() for record in records]
    common, notes = _common(name, members, records)
    weights, fit = {seed: (1 / len(members),) * len(members) for seed in by_seed}, None
    if of.weights == "fitted":
        split = _selection(name, members, records, common, study)
        weights, fit = _fitted(name, members, tuple(by_seed), records, split, store)
    says = "".join([_says(members, weights, fit), *_crops(records, common)])
    together = {
        seed: tuple(scored_together(records[part], [of[part] for of in common]))
        for seed, part in _parts(by_seed, members)
    }
    return Composed(name, members, by_seed, weights, says, together, fit, notes)


def _fitted(
    name: str,
    members: Sequence[StoredRow],
    seeds: Sequence[str],
    records: Sequence[Record],
    split: Together,
    store: Path,
) -> tuple[dict[str, tuple[float, ...]], Fit]:
    """Weights on the faces of a split that every finder found, as temperatures are fitted, and what they were fitted on."""
    try:
        found = {
            seed: found_by_all([Predictions.read(store / of.file, of.sha256) for of in split[part]])
            for seed, part in _parts(seeds, members)
        }
        weights = {seed: fit_weights(predictions) for seed, predictions in found.items()}
    except ValueError as error:
        raise EnsembleError("not fitted", f"{_named(name)} cannot be fitted: {error}", members) from None
    prepared = records[0].faces[split[0].faces].prepared
    return weights, Fit(prepared, split[0].split, len(next(iter(found.values()))[0]))


def _parts(seeds: Iterable[str], members: Sequence[StoredRow]) -> Iterator[tuple[str, slice]]:
    """Where those of each seed stand among all records, seed by seed."""
    for number, seed in enumerate(seeds):
        yield seed, slice(number * len(members), (number + 1) * len(members))


def _says(members: Sequence[StoredRow], weights: Mapping[str, Sequence[float]], fit: Fit | None) -> str:
    of = f"ensemble of {' + '.join(row.name for row in members)}"
    left_out = ", ".join(dict.fromkeys(seed for row in members for seed in row.seeds if seed not in weights))
    of += f" (without seed {left_out}, which not all have)" if left_out else ""
    if fit is None:
        return f"{of}: mean of their probabilities, seed by seed"
    by_seed = "; ".join(f"seed {seed}: {', '.join(f'{w:.2f}' for w in each)}" for seed, each in weights.items())
    where = f"the {fit.count} found faces of {fit.prepared.release}/{fit.split}, where it has no score"
    return f"{of}: weights fitted on {where} ({by_seed})"


def _crops(records: Sequence[Record], common: Sequence[Together]) -> Iterator[str]:
    """Of each release that rows know from several crops the digests of these, by which tables tell how faces were cut."""
    crops: dict[str, dict[str, None]] = {}
    for together in (of for of in common if len({one.faces for one in of}) > 1):
        release = records[0].faces[together[0].faces].release
        crops.setdefault(release, {}).update(dict.fromkeys(of.faces[:8] for of in together))
    for release, digests in crops.items():
        yield f"; {release} from {len(digests)} preparations ({', '.join(digests)})"


def _named(name: str) -> str:
    return f"Ensemble {name!r}"


def _members(name: str, of: Ensemble, rows: Sequence[StoredRow], store: Path) -> tuple[StoredRow, ...]:
    found, missing = [], []
    for word in of.rows:
        try:
            found.append(row_called(word, rows, store))
        except StoreError as error:
            missing.append(str(error))
    if taken := [row.name for row in rows if name == row.plan]:
        raise EnsembleError("name taken", f"{_named(name)} has the name of a plan ({taken[0]}). Give it another.")
    if missing:
        raise EnsembleError("member not run", f"{_named(name)}: {' '.join(missing)}", found)
    if len({row.records[0].row_id for row in found}) < len(found):
        meant = ", ".join(f"{word} is {row.name}" for word, row in zip(of.rows, found, strict=True))
        raise EnsembleError("a row twice", f"{_named(name)} names one row twice: {meant}. Name each once.", found)
    return tuple(found)


def _by_seed(name: str, members: Sequence[StoredRow]) -> dict[str, tuple[Record, ...]]:
    records = [{record.seed: record for record in row.records} for row in members]
    by_seed = {seed: tuple(of[seed] for of in records) for seed in records[0] if all(seed in of for of in records)}
    if not by_seed:
        seeds = "; ".join(f"{row.name}: {', '.join(row.seeds)}" for row in members)
        why = f"{_named(name)} needs a seed that all of its rows were run with, but got {seeds}. Run one with all."
        raise EnsembleError("no common seed", why, members)
    return by_seed


def _refuse_other_classes(name: str, members: Sequence[StoredRow]) -> None:
    classes = [row.records[0].classes for row in members]
    if len(set(classes)) > 1:
        each = "; ".join(f"{row.name}: {', '.join(of)}" for row, of in zip(members, classes, strict=True))
        why = f"{_named(name)} needs rows of one label set, but got {each}. Their probabilities cannot be averaged."
        raise EnsembleError("other classes", why, members)


def _common(
    name: str, members: Sequence[StoredRow], records: Sequence[Record]
) -> tuple[list[Together], tuple[str, ...]]:
    """What all records were scored on, and of which releases they have faces of other pictures."""
    common = scored_together(records)
    apart = []
    for release in dict.fromkeys(records[0].faces[of.faces].release for of in records[0].predictions):
        every = [_scored_faces(row, release) for row in members]
        if all(every) and not any(all(any(of.shows(one) for of in known) for known in every) for one in every[0]):
            digests = [", ".join(sorted(of.digest[:8] for of in known)) for known in every]
            each = "; ".join(f"{row.name}: {of}" for row, of in zip(members, digests, strict=True))
            apart.append(f"rows were scored on other faces of {release} ({each})")
    if not common:
        why = (
            f"{_named(name)} needs predictions of the same faces: {'; '.join(apart) or 'its rows have none in common'}. "
            "Train its rows on the same prepared faces, or on other crops of the same files."
        )
        raise EnsembleError("other faces", why, members)
    return common, tuple(apart)


def _scored_faces(row: StoredRow, release: str) -> list[Prepared]:
    """The faces of a release on which a row was scored."""
    digests = {of.faces: record.faces[of.faces].prepared for record in row.records for of in record.predictions}
    return [prepared for prepared in digests.values() if prepared.release == release]


def _selection(
    name: str, members: Sequence[StoredRow], records: Sequence[Record], common: Sequence[Together], study: Study
) -> Together:
    """The split that every row was selected on, that none was trained on, and that the study does not protect."""
    pairs = {together: list(zip(records, together, strict=True)) for together in common}
    shared = [of for of in common if all((one.faces, one.split) in record.selection for record, one in pairs[of])]
    free = [of for of in shared if not any(record.trained_on(one.faces, one.split) for record, one in pairs[of])]
    if not free:
        each = "; ".join(f"{row.name}: {', '.join(_selected(row.records[0])) or 'none'}" for row in members)
        why = f"{_named(name)} needs one selection split that all of its rows have predictions of, but got {each}."
        raise EnsembleError("not fitted", f"{why} Give weights: mean.", members)
    names = [(records[0].faces[of[0].faces].release, of[0].split) for of in free]
    allowed = [of for of, split in zip(free, names, strict=True) if not study.protects(*split)]
    if not allowed:
        why = f"{_named(name)} would fit its weights on {'/'.join(names[0])}, which study {study.name!r} protects."
        raise EnsembleError("not fitted", f"{why} Select on another split, or give weights: mean.", members)
    return allowed[0]


def _selected(record: Record) -> list[str]:
    return sorted(f"{used.release}/{split}" for used in record.lineage.stages[-1].faces for split in used.selected_on)
