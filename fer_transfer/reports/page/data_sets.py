"""The data sets: shares of the expressions beside the published ones; faces lost, repeated, and met in another split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from fer_transfer.faces.counts import ByClass, FacesCounts
from fer_transfer.labels import NO_LABEL
from fer_transfer.reports.page.blocks import Beside, Block, Cell, DataTable, Figure, Fold, Section, Words
from fer_transfer.reports.page.charts import chart_of, spec, two_colours
from fer_transfer.reports.report import Report
from fer_transfer.stages.record import ScoredFaces

_WHOSE = ("ours", "published")
_COLUMNS = ("Faces", "In all", "No label", "Lost", "Repeated in it", "Also in an earlier split", "Movies shared")


@dataclass(frozen=True)
class _DataSet:
    """Prepared faces under the name that the page gives them: the release's, with the digest where there are several of it."""

    name: str
    of: ScoredFaces
    counts: FacesCounts


def section(report: Report) -> Section | None:
    """Charts of every data set that rows were made from or scored on, and the table of what is wrong with them."""
    known = _known(report)
    sets = list(_named(known))
    if not known:
        return None
    shares = _shares(report, sets)
    blocks: list[Block] = [shares] if shares else []
    if sets:
        blocks += [_faults(sets), Fold(f"Faces by {report.words[0]}", (_by_class(report, sets),))]
    if unknown := sorted(of.release for of in known if of.counts is None):
        says = "the store is of a version that did not count them. The same fer-train command adds the counts and trains nothing."
        blocks.append(Words(f"What is in {', '.join(unknown)} is not known: {says}", "quiet"))
    beside = " beside those published" if report.study.classes else ""
    lead = f"Shares of the {report.words[1]}{beside}, and what is wrong with the faces."
    return Section("data", "Data sets", tuple(blocks), lead)


def _known(report: Report) -> list[ScoredFaces]:
    """Each preparation once, with its counts where any record has them."""
    found: dict[str, ScoredFaces] = {}
    for row in report.rows:
        for digest, of in row.record.faces.items():
            if digest not in found or found[digest].counts is None:
                found[digest] = of
    return list(found.values())


def _named(known: Sequence[ScoredFaces]) -> Iterator[_DataSet]:
    releases = [of.release for of in known]
    for of in known:
        if of.counts is not None:
            several = releases.count(of.release) > 1
            yield _DataSet(f"{of.release} {of.prepared.digest[:8]}" if several else of.release, of, of.counts)


def _shares(report: Report, sets: Sequence[_DataSet]) -> Block | None:
    """A chart for each release or split whose shares are published; of a release without any, one for each labelled split."""
    figures: list[Figure] = []
    for of in sets:
        charts = _charts(report, of)
        published = {name: counts for name, counts in charts.items() if _published(report, of, name)}
        wanted = published or {name: counts for name, counts in charts.items() if name}
        figures += [_figure(report, of, name, counts) for name, counts in wanted.items()]
    says = "Labelled faces, lost or not" + ("; published: as the study has them." if report.study.classes else ".")
    return Beside("Class shares", tuple(figures), says) if figures else None


def _charts(report: Report, of: _DataSet) -> dict[str, ByClass]:
    """Labelled faces by expression: of each labelled split, and of all of these under the name ""."""
    labelled = {split: counts for split, counts in of.counts.faces.items() if _labelled(counts)}
    names = report.study.ordered(of.of.prepared.classes)
    return {"": {name: sum(counts[name] for counts in labelled.values()) for name in names}} | labelled


def _labelled(counts: ByClass) -> int:
    return sum(count for name, count in counts.items() if name != NO_LABEL)


def _published(report: Report, of: _DataSet, split: str) -> ByClass | None:
    published = report.study.classes.get(f"{of.of.release}/{split}" if split else of.of.release)
    return published if published and set(published) == set(of.of.prepared.classes) else None


def _figure(report: Report, of: _DataSet, split: str, counts: ByClass) -> Figure:
    published = _published(report, of, split)
    names = report.study.ordered(of.of.prepared.classes)
    values = list(_values(names, "ours", counts)) + (list(_values(names, "published", published)) if published else [])
    said = ", ".join(f"{v['class']} {v['share']:.1f} %" for v in values if v["whose"] == "ours")
    caveats = f" ({'; '.join(of.of.caveats)})" if of.of.caveats else ""
    caption = f"{of.name}{f'/{split}' if split else ''}, {_labelled(counts)} labelled faces{caveats}"
    return Figure(
        _bars(bool(published)), {"shares": values}, caption, f"{caption}: {said}.", _numbers(caption, values), "small"
    )


def _values(names: Sequence[str], whose: str, counts: ByClass) -> Iterator[dict[str, Any]]:
    total = _labelled(counts)
    for name in names:
        yield {"class": name, "whose": whose, "faces": counts[name], "share": round(100 * counts[name] / total, 2)}


@cache
def _bars(with_published: bool) -> dict[str, Any]:
    bars = (
        chart_of("shares")
        .mark_bar()
        .encode(
            y=alt.Y("class:N", sort=None, title=None),
            yOffset=alt.YOffset("whose:N", scale=alt.Scale(domain=list(_WHOSE))),
            x=alt.X("share:Q", title="Share, %"),
            color=two_colours(*_WHOSE, legend=with_published),
            tooltip=["class:N", "whose:N", "faces:Q", "share:Q"],
        )
    )
    return spec(bars, height=alt.Step(9))


def _numbers(caption: str, values: Sequence[dict[str, Any]]) -> DataTable:
    rows = [(v["class"], v["whose"], str(v["faces"]), f"{v['share']:.1f}") for v in values]
    cells = tuple(tuple(map(Cell, row)) for row in rows)
    return DataTable(caption, ("Class", "Whose", "Faces", "Share, %"), cells)


def _faults(sets: Sequence[_DataSet]) -> DataTable:
    rows = tuple(_fault_row(of, split) for of in sets for split in of.counts.faces)
    notes = [note for of in sets for note in _notes(of)]
    meaning = (
        "Lost: the detector found no face that fits. Repeated in it, also in an earlier split: the same pixels, among faces that "
        "were found. A picture that was trained on makes a score that it is in too good."
    )
    return DataTable("Faces lost, repeated, and met in another split", _COLUMNS, rows, (*notes, meaning))


def _fault_row(of: _DataSet, split: str) -> tuple[Cell, ...]:
    counts = of.counts
    total, lost = sum(counts.faces[split].values()), sum(counts.lost.get(split, {}).values())
    also = {earlier: count for earlier, count in counts.also_in.get(split, {}).items() if count}
    movies = {pair: len(names) for pair, names in counts.shared_movies.items() if split in pair.split(" and ")}
    return (
        Cell(f"{of.name}/{split}", of.of.caveats),
        Cell(f"{total}"),
        Cell(f"{counts.faces[split].get(NO_LABEL, 0)}"),
        Cell(f"{lost}", (f"{100 * lost / total:.1f} %",) if lost else ()),
        Cell(f"{counts.repeated.get(split, 0)}"),
        _listed(also, "bad"),
        _listed(movies, "bad"),
    )


def _listed(counts: dict[str, int], tone: Any) -> Cell:
    return Cell(", ".join(f"{count} ({name})" for name, count in counts.items()), tone=tone) if counts else Cell("0")


def _notes(of: _DataSet) -> Iterator[str]:
    """Where there is anything to say: pictures with two labels, why faces were lost, the movies that two splits share."""
    counts = of.counts
    found = sum(sum(by_class.values()) for by_class in counts.faces.values())
    found -= sum(sum(by_class.values()) for by_class in counts.lost.values())
    if counts.distinct < found:
        yield f"{of.name}: {counts.distinct} distinct pictures of {found}, {counts.conflicting} of them with two labels or more."
    if counts.lost_for:
        yield f"{of.name}, lost for: " + ", ".join(f"{why} {count}" for why, count in counts.lost_for.items()) + "."
    for pair, movies in counts.shared_movies.items():
        some = ", ".join(movies[:8]) + (", ..." if len(movies) > 8 else "")
        yield f"{of.name}: {len(movies)} movies in {pair}: {some}."


def _by_class(report: Report, sets: Sequence[_DataSet]) -> DataTable:
    every = [name for of in sets for name in report.study.ordered(of.of.prepared.classes)]
    names = (*dict.fromkeys(every), NO_LABEL)
    rows = [
        (Cell(f"{of.name}/{split}"), *(_count(of.counts, split, name) for name in names))
        for of in sets
        for split in of.counts.faces
    ]
    return DataTable(
        f"Faces by split and {report.words[0]}; below them how many of these are lost", ("Faces", *names), tuple(rows)
    )


def _count(counts: FacesCounts, split: str, name: str) -> Cell:
    lost = counts.lost.get(split, {}).get(name, 0)
    return Cell(f"{counts.faces[split].get(name, 0)}", (f"{lost} lost",) if lost else ())
