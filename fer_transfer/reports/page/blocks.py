"""What a section is made of: plain values, each drawn by the macro of its name in ``templates/blocks.html``.

Text is text: the template escapes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Tone = Literal["", "quiet", "loud", "good", "bad", "open", "note", "file"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: its main line.
        under: smaller lines below.
        key: what the column is sorted by: a number, or text; None: the text. Empty cells stand last in either order.
        tone: of the main line.
    """

    text: str = ""
    under: tuple[str, ...] = ()
    key: float | str | None = None
    tone: Tone = ""

    @property
    def sorted_by(self) -> float | str:
        """What stands in the page for sorting."""
        return self.text if self.key is None else self.key


@dataclass(frozen=True)
class DataTable:
    """A table with a caption; the first cell of a row is its heading.

    Attributes:
        caption: what it holds.
        columns: headings; the first is of the rows' names.
        rows: as many cells each as there are columns.
        notes: below it.
        sortable: whether a reader may sort it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    sortable: bool = False


@dataclass(frozen=True)
class Figure:
    """One chart.

    Attributes:
        chart: a Vega-Lite specification, of named data; figures of one kind share it.
        data: rows by the names of the specification's data.
        caption: what it is of; stands under it.
        says: what it shows, for whoever does not see it.
        numbers: the numbers drawn; None where they stand in a table nearby, which ``says`` names.
        size: ``wide``: as the page; ``small``: several beside each other.
        printed: whether the numbers are printed; not where the chart has them itself.
    """

    kind: ClassVar[str] = "figure"
    chart: Mapping[str, Any]
    data: Mapping[str, Sequence[Mapping[str, Any]]]
    caption: str
    says: str
    numbers: DataTable | None = None
    size: Literal["wide", "small"] = "wide"
    printed: bool = True


@dataclass(frozen=True)
class Beside:
    """Blocks beside each other under a title, as many as there is room for, and no more than ``columns``."""

    kind: ClassVar[str] = "beside"
    title: str
    blocks: tuple["Block", ...]
    under: str = ""
    columns: Literal[2, 3] = 3


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown on request; printing opens it where ``printed``, and leaves it out where not and it is closed."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: tuple["Block", ...]
    opened: bool = False
    printed: bool = True


@dataclass(frozen=True)
class Shot:
    """One small picture.

    Attributes:
        picture: WebP; the page keeps each once. Empty: there is none, and ``alt`` is shown.
        alt: what it shows, for whoever does not see it.
        lines: below it.
    """

    picture: bytes
    alt: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Shots:
    """Small pictures in a row, under a title."""

    kind: ClassVar[str] = "shots"
    title: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Compare:
    """Two rows face by face, chosen by the reader (``templates/compare.js``).

    Attributes:
        rows: names of the rows.
        chosen: places of the two that stand there first.
        content: what the script counts from, as plain data (``compare.content``).
        pictures: WebP by place in ``content["sets"]`` and place of the face in it.
    """

    kind: ClassVar[str] = "compare"
    rows: tuple[str, ...]
    chosen: tuple[int, int]
    content: Mapping[str, Any]
    pictures: tuple[Mapping[int, bytes], ...]


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Heading:
    """A heading within a section, such as a group's title, with its caveats."""

    kind: ClassVar[str] = "heading"
    text: str
    under: str = ""


@dataclass(frozen=True)
class Points:
    """A list."""

    kind: ClassVar[str] = "points"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Pairs:
    """Names and what they are."""

    kind: ClassVar[str] = "pairs"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Text as it is typed, such as a command."""

    kind: ClassVar[str] = "code"
    text: str
    title: str = ""


Block = DataTable | Figure | Beside | Fold | Shots | Compare | Words | Heading | Points | Pairs | Code


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        name: in the address: ``#name``.
        title: its heading, and its entry in the contents.
        blocks: in order.
        lead: a sentence below the heading.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""

    def all_blocks(self) -> Iterator[Block]:
        """Its blocks and those within them."""
        return _within(self.blocks)


def _within(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Beside | Fold):
            yield from _within(block.blocks)
