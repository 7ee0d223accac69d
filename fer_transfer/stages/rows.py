"""The rows of a store by name: records that differ in their seeds alone, and what they are called."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fer_transfer.config import nearest
from fer_transfer.errors import StoreError
from fer_transfer.stages.record import Record


@dataclass(frozen=True)
class StoredRow:
    """A finished row: a plan with a backbone, and all the seeds it was run with.

    Attributes:
        name: ``plan/backbone``; with ``#`` and digits where one name was run with several settings.
        plan, backbone, evaluation: what was run.
        submission: of the study's table, or None.
        records: one a seed.
    """

    name: str
    plan: str
    backbone: str
    evaluation: str
    submission: str | None
    records: tuple[Record, ...]

    @property
    def seeds(self) -> tuple[str, ...]:
        """Its seeds."""
        return tuple(record.seed for record in self.records)

    @property
    def names(self) -> tuple[str, ...]:
        """Words that mean it, where no other row has them too."""
        submissions = [self.submission, f"sub{self.submission}"] if self.submission else []
        return (self.name, f"{self.plan}/{self.backbone}", self.plan, *submissions)


def stored_rows(records: Iterable[Record]) -> tuple[StoredRow, ...]:
    """The rows that some records make, by name."""
    by_row: dict[str, list[Record]] = {}
    for record in records:
        by_row.setdefault(record.row_id, []).append(record)
    rows = [_row(of) for of in by_row.values()]
    names = [row.name for row in rows]
    named = [
        replace(row, name=f"{row.name}#{row.records[0].row_id[:6]}") if names.count(row.name) > 1 else row
        for row in rows
    ]
    return tuple(sorted(named, key=lambda row: row.name))


def row_called(name: str, rows: Sequence[StoredRow], store: Path, others: Iterable[str] = ()) -> StoredRow:
    """The row of a name.

    Args:
        name: ``plan/backbone``, a plan alone, a submission (``sub3``), or more of these where one is not enough.
        rows: of the store.
        store: its folder, for messages.
        others: what else has a name, for messages.

    Raises:
        StoreError: if there is none, with the nearest name; or several.
    """
    found = [row for row in rows if row.name == name] or [row for row in rows if name in row.names]
    if len(found) == 1:
        return found[0]
    if found:
        raise StoreError(
            f"Expected one row, but {len(found)} are called {name!r}: {', '.join(row.name for row in found[:5])}. Say which."
        )
    known = [*(row.name for row in rows), *others]
    some = f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else "none yet"
    near = nearest(name, [*others, *(word for row in rows for word in row.names)])
    raise StoreError(f"There is no finished row {name!r} in {store}.{near} Rows there: {some}. fer-train runs others.")


def _row(records: Sequence[Record]) -> StoredRow:
    first = records[0]
    ordered = tuple(sorted(records, key=lambda record: record.seeds))
    submission = next((record.submission for record in records if record.submission), None)
    return StoredRow(
        f"{first.plan}/{first.backbone}", first.plan, first.backbone, first.evaluation, submission, ordered
    )
