"""The faces that a row is most surely wrong, and most surely right, about: as pictures where they may be shown."""

from collections.abc import Iterator, Sequence

import numpy as np

from fer_transfer.detection.colour import as_bgr
from fer_transfer.errors import FerTransferError
from fer_transfer.faces.heat import heated
from fer_transfer.faces.thumbnails import reduced, webp
from fer_transfer.reports.page.blocks import Beside, Block, Cell, DataTable, Fold, Section, Shot, Shots, Words
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.surest import SureFace, Surest, surest

#: Faces wrong, and right, of an expression.
MOST = 4

_WHOLE = 10_000  # side of a picture that is not reduced


def section(report: Report) -> Section | None:
    """By row, the first of them open: pictures, or the ids of the wrong ones where there are no pictures."""
    lines = [(line, found) for line in lines_of(report) if (found := _surest(report, line))]
    if not lines:
        return None
    blocks = tuple(
        Fold(f"{line.name}, {line.seeds}", tuple(_blocks(report, line, found)), opened=number == 0, printed=False)
        for number, (line, found) in enumerate(lines)
    )
    lead = (
        f"{over(report)}: by {report.words[0]} the {MOST} faces that were taken most surely for another, and the {MOST} most "
        "surely for their own; the names of the wrong ones alone where there are no pictures. The number is the probability of "
        "what was said, a mean over the seeds."
    ) + (
        " Beside the wrong ones what spoke for the mistake, the more the brighter: purple, red, yellow."
        if report.explain
        else ""
    )
    return Section("surest", "Surely wrong, surely right", blocks, lead)


def _surest(report: Report, line: Line) -> list[Surest]:
    """In the study's order of classes; empty without labelled predictions, or where seeds were scored on other faces."""
    try:
        found = surest(line.predictions(report.study.first), MOST)
    except ValueError:
        return []
    names = line.names(report)
    return sorted(found, key=lambda of: names.index(of.name))


def _blocks(report: Report, line: Line, found: Sequence[Surest]) -> Iterator[Block]:
    if line.caveats:
        yield Words("; ".join(line.caveats), "quiet")
    release = report.study.first.split.partition("/")[0]
    faces = release, line.group.faces[release]
    if why := report.pictures.missing(*faces):
        yield Words(why, "quiet")
        yield _ids(line, found)
        return
    seeds = len(line.rows)
    pictures = {
        id: webp(as_bgr(pixels))
        for id, pixels in report.pictures.of(
            *faces, [face.id for of in found for face in (*of.wrong, *of.right)]
        ).items()
    }
    try:
        maps = _maps(report, line, faces, [face for of in found for face in of.wrong])
    except FerTransferError as error:
        yield Words(f"What spoke for the mistakes is not shown: {error}", "quiet")
        maps = {}
    for of in found:
        kinds = {"Most surely wrong": of.wrong, "Most surely right": of.right}
        shots = [
            Shots(title, tuple(_shot(face, pictures.get(face.id, b""), seeds) for face in some))
            for title, some in kinds.items()
        ]
        if mapped := tuple(_mapped(face, maps[face.id]) for face in of.wrong if face.id in maps):
            shots.insert(1, Shots("What spoke for the mistake", mapped))
        yield Beside(of.name, tuple(shots))
    yield Fold("File names of the wrong ones", (_ids(line, found),), printed=False)


def _maps(report: Report, line: Line, of: tuple[str, str], wrong: Sequence[SureFace]) -> dict[str, bytes]:
    """Faces under what spoke for the expression that they were taken for, by id; none where that was not asked for."""
    keys = [key for row in line.rows for key in row.last_stages]
    whole = report.pictures.of(*of, [face.id for face in wrong], side=_WHOLE) if report.explain and keys else {}
    if report.explain is None or not whole:
        return {}
    said = {face.id: face.predicted for face in wrong}
    pixels, classes = np.stack(list(whole.values())), np.array([said[id] for id in whole])
    values = report.explain(keys, pixels, classes)
    return {id: webp(reduced(heated(*of))) for id, *of in zip(whole, pixels, values, strict=True)}


def _mapped(face: SureFace, picture: bytes) -> Shot:
    return Shot(picture, f"{face.id}: brightest where most spoke for {face.said}", (f"for {face.said}",))


def _shot(face: SureFace, picture: bytes, seeds: int) -> Shot:
    word = "rightly" if face.truth == face.predicted else "wrongly"
    alt = f"{face.id}: {face.bears}, {word} taken for {face.said} with probability {face.probability:.2f}"
    agreeing = f"{face.agreeing}/{seeds} seeds" if seeds > 1 else ""
    return Shot(picture, alt, tuple(filter(None, (face.said, f"{face.probability:.2f}", agreeing))))


def _ids(line: Line, found: Sequence[Surest]) -> DataTable:
    rows = tuple(
        (
            Cell(face.id, tone="file"),
            Cell(of.name),
            Cell(face.said),
            Cell(f"{face.probability:.2f}"),
            Cell(f"{face.agreeing} of {len(line.rows)}"),
        )
        for of in found
        for face in of.wrong
    )
    return DataTable(f"Most surely wrong: {line.name}", ("Face", "Is", "Said", "Probability", "Seeds"), rows)
