"""A table of text cells, one line a row: what every printed table is before it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len


@dataclass(frozen=True)
class Column:
    """A heading with the cells below it.

    Attributes:
        heading: one line, or several one above the other.
        cells: one line each, as many as the table has rows.
        spare: 0: never left out; otherwise the larger, the sooner it is left out where there is no room.
        numbers: whether the cells stand under each other by their ends.
    """

    heading: str
    cells: tuple[str, ...]
    spare: int = 0
    numbers: bool = True

    @property
    def width(self) -> int:
        """Characters of its widest line."""
        return max(map(cell_len, [*self.heading.split("\n"), *self.cells]))


@dataclass(frozen=True)
class Table:
    """Columns under a title.

    Attributes:
        name: in lower case, with hyphens; unique in a report.
        title: one line.
        caveats: what must stand with it.
        columns: at least one.
        brief: what stands below it wherever it is shown.
        legend: what its cells mean; the same of several tables stands once where they are shown together.
        notes: further ones, for whoever asks for details.
    """

    name: str
    title: str
    caveats: tuple[str, ...]
    columns: tuple[Column, ...]
    brief: tuple[str, ...] = ()
    legend: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def headings(self) -> tuple[str, ...]:
        """Each in one line."""
        return tuple(column.heading.replace("\n", " ") for column in self.columns)

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Cells row by row."""
        return tuple(zip(*(column.cells for column in self.columns), strict=True))


def table_of(rows: Sequence[Sequence[str]], headings: Sequence[str], words: Sequence[int] = (0,)) -> tuple[Column, ...]:
    """Columns from rows, none of them spare.

    Args:
        rows: cells row by row.
        headings: one a column.
        words: columns that hold words, not numbers.
    """
    cells = zip(*rows, strict=True) if rows else ((),) * len(headings)
    return tuple(
        Column(heading, tuple(of), numbers=number not in words)
        for number, (heading, of) in enumerate(zip(headings, cells, strict=True))
    )


def width_of(table: Table, gap: int = 2) -> int:
    """Characters of a line of the table."""
    return sum(column.width + gap for column in table.columns) - gap


def fitted(table: Table, width: int, gap: int = 2) -> tuple[Table, list[str]]:
    """The table without the spare columns for which there is no room, and the headings of these.

    Args:
        table: as wide as it is.
        width: characters that there are.
        gap: characters between two columns.
    """
    columns, left_out = list(table.columns), []
    while width_of(replace(table, columns=tuple(columns)), gap) > width and any(column.spare for column in columns):
        out = max(columns, key=lambda column: column.spare)
        columns.remove(out)
        left_out.append(out)
    return replace(table, columns=tuple(columns)), [
        heading
        for heading, column in zip(table.headings, table.columns, strict=True)
        if any(column is of for of in left_out)
    ]
