"""One row with all that it needs, as a folder that is a store itself."""

import shutil
from dataclasses import replace
from pathlib import Path

from fer_transfer.errors import StoreError
from fer_transfer.faces.aside import Aside, remove_ownerless
from fer_transfer.stages.record import Record
from fer_transfer.stages.store import Store
from fer_transfer.upkeep.contents import Contents, contents, found_by, keys_of
from fer_transfer.upkeep.merging import Merged, merge
from fer_transfer.upkeep.verifying import problems


def row_called(word: str, held: Contents) -> str:
    """Identity of the row that a word names: its beginning, a submission, PLAN, PLAN/BACKBONE or PLAN/BACKBONE/SEED.

    Raises:
        StoreError: if there is none, or several.
    """
    named = [identity for identity, record in held.records.items() if word in _names(record)]
    if len(named) > 1:
        first = ", ".join(f"{i} ({'/'.join(_parts(held.records[i]))})" for i in sorted(named)[:3])
        raise StoreError(
            f"Expected one row, but {len(named)} are called {word!r}: {first}. Name one by its first digits."
        )
    names = {name for record in held.records.values() for name in _names(record)}
    return named[0] if named else found_by(word, held.records, "row", held.root, names)


def _parts(record: Record) -> tuple[str, str, str]:
    return record.plan, record.backbone, record.seed


def _names(record: Record) -> set[str]:
    parts = _parts(record)
    return {"/".join(parts[:count]) for count in (1, 2, 3)} | ({record.submission} if record.submission else set())


def export(held: Contents, identity: str, out: Path, weights: bool = True) -> Merged:
    """Write a row, its stages as far as they are in the store, and its predictions to a new folder.

    It is made beside, looked at, and renamed: there is all of it, or none.

    Args:
        held: the store.
        identity: of the row.
        out: the folder.
        weights: False: all but the weights, for reports.

    Raises:
        StoreError: if there is something already, or something of the row is not as it was written.
    """
    if out.exists():
        raise StoreError(f"Expected a new folder for out, but {out} is there. Give another, or delete it.")
    try:
        remove_ownerless(out)
        aside = Aside(out)
        try:
            outcome = _written(held, identity, Store(aside.path, weights and held.store.weights))
            aside.publish()
        finally:
            aside.discard()
    except OSError as error:
        raise StoreError(f"Cannot write {out}: {error}. Free space, or give another out=FOLDER.") from None
    return outcome


def _written(held: Contents, identity: str, store: Store) -> Merged:
    outcome = merge(of_row(held, identity), store)
    wrong = [*outcome.refused, *problems(contents(store))]
    if wrong:
        raise StoreError(f"Row {identity} was not exported: {wrong[0]} ({len(wrong)} in all)")
    shutil.rmtree(store.work, ignore_errors=True)
    return outcome


def of_row(held: Contents, identity: str) -> Contents:
    """The part of a store that a row was made by way of."""
    record = held.records[identity]
    keys = keys_of(record)
    stages = {key: kept for key, kept in held.stages.items() if key in keys}
    broken = {path: why for path, why in held.broken.items() if path.name in keys}
    return replace(held, stages=stages, records={identity: record}, broken=broken, unfinished=(), aside=())
