"""One line a stage: what tells it from the others, where it comes from, what it took, and which rows refer to it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fer_transfer.files.names import shown
from fer_transfer.stages.record import Record
from fer_transfer.upkeep.contents import Contents, Kept, shortest, size_of
from fer_transfer.upkeep.difference import deciding, flat, usual
from fer_transfer.upkeep.works import unfinished_lines

#: The splits of a stage, as they are called in a narrow line.
_SPLITS = {"on": "trained_on", "selected_on": "selected_on"}

#: Stands for the value of a field that a stage does not have.
_NONE = "(none)"

_Fields = Mapping[tuple[str, ...], str]


def listing(held: Contents, width: int | None) -> list[str]:
    """Lines for a reader: stages, rows, and what is unfinished, failed, damaged or cannot be read.

    Args:
        held: what there is.
        width: columns to cut lines to, or None; what is said of damage is whole.
    """
    digits = shortest([*held.stages, *held.records])
    sizes = {key: size_of(kept.folder.path) for key, kept in held.stages.items()}
    lines = [_summary(held, sizes.values())]
    lines += _stages(held, sizes, digits)
    lines += _rows(held, digits)
    lines += unfinished_lines(held)
    lines += [f"damaged, set aside: {path.name}  {size_text(size_of(path))}" for path in held.aside]
    damaged = [f"DAMAGED: {shown(why)}" for why in held.broken.values()]  # whole: what is wrong stands at their ends
    return [*(_cut(shown(line), width) for line in lines), *damaged]


def _summary(held: Contents, sizes: Iterable[int]) -> str:
    stages, rows = len(held.stages), len(held.records)
    made_by = sorted({by(kept) for kept in held.stages.values()})
    versions = f", by fer_transfer/torch {made_by[0]}" if len(made_by) == 1 else ""
    return f"{stages} stage{'s' * (stages != 1)}, {rows} row{'s' * (rows != 1)}, {size_text(sum(sizes))}{versions}"


def _stages(held: Contents, sizes: Mapping[str, int], digits: int) -> list[str]:
    stages = sorted(held.stages.values(), key=lambda kept: (len(kept.lineage.stages), kept.own.name, kept.key))
    if not stages:
        return []
    apart = _apart(stages)
    one_maker = len({by(kept) for kept in stages}) == 1
    head = ["stage", "name", "from", "size", "time", *([] if one_maker else ["by"]), "rows", "differs in"]
    cells = [
        [
            kept.key[:digits],
            kept.own.name,
            (kept.parent or kept.own.start)[:digits],
            size_text(sizes[kept.key]),
            time_text(kept.seconds),
            *([] if one_maker else [by(kept)]),
            _rows_text(held.rows_of.get(kept.key, ()), digits),
            apart[kept.key],
        ]
        for kept in stages
    ]
    return ["", *columns([head, *cells])]


def _rows_text(rows: Sequence[str], digits: int) -> str:
    """How many, and the first."""
    return f"{len(rows)}: {rows[0][:digits]}" if rows else "none"


def _rows(held: Contents, digits: int) -> list[str]:
    if not held.records:
        return []
    head = ["row", "plan", "backbone", "seed", "evaluation", "splits", "stage"]
    cells = [
        [identity[:digits], *_row(record, digits)] for identity, record in sorted(held.records.items(), key=_by_plan)
    ]
    return ["", *columns([head, *cells])]


def _by_plan(item: tuple[str, Record]) -> tuple[str, str, tuple[int, ...], str]:
    identity, record = item
    return record.plan, record.backbone, record.seeds, identity


def _row(record: Record, digits: int) -> list[str]:
    plan = f"{record.plan} ({record.submission})" if record.submission else record.plan
    last = record.lineage.stages[-1].key[:digits]
    return [plan, record.backbone, record.seed, record.evaluation, str(len(record.predictions)), last]


def by(kept: Kept) -> str:
    """Versions that trained a stage: of this package and of torch."""
    made = (str(kept.environment.get(name, "?")).partition("+")[0] for name in ("fer_transfer", "torch"))
    return "/".join(made)


def _apart(stages: Sequence[Kept]) -> dict[str, str]:
    """By key, the fields whose value is not the one that most stages have."""
    fields = {kept.key: dict(_fields(kept)) for kept in stages}
    known = _usual(list(fields.values()))
    names = _short_names([path for path, values in known.items() if values[1] > 1])
    return {
        key: " ".join(_said(path, of, names) for path in names if _differs(path, of, known[path][0]))
        for key, of in fields.items()
    }


def _said(path: tuple[str, ...], of: _Fields, names: Mapping[tuple[str, ...], str]) -> str:
    value = of.get(path, _NONE).strip('"')
    return f"{names[path]}={value}"


def _differs(path: tuple[str, ...], of: _Fields, common: str | None) -> bool:
    """Of faces only those that a stage uses; which they are, what it was trained on tells."""
    return of.get(path, _NONE) != common and (path in of or path[0] != "faces")


def _fields(kept: Kept) -> Iterable[tuple[tuple[str, ...], str]]:
    """Of the key, where a reader looks first; of the network what its name does not say by itself."""
    content = deciding(kept.own, kept.code)
    faces, recipe = content.pop("faces"), content.pop("recipe")
    del content["start"], faces["order"]
    rest = [field for field in flat(recipe) if field[0][:2] != ("backbone", "network")]
    digests = flat({"faces": {release: of["digest"][:8] for release, of in faces.items()}})
    trained, selected = (flat({name: _splits(faces, part)}) for name, part in _SPLITS.items())
    return [*trained, *rest, *selected, *digests, *flat(content)]


def _splits(faces: Mapping[str, Mapping[str, Sequence[str]]], part: str) -> str:
    return "+".join(f"{release}/{split}" for release, of in faces.items() for split in of[part])


def _usual(fields: Sequence[_Fields]) -> dict[tuple[str, ...], tuple[str | None, int]]:
    """By field: the value that most stages have (None where no value is the first), and how many values it has."""
    paths = dict.fromkeys(path for of in fields for path in of)
    found = {}
    for path in paths:
        values = [of.get(path, _NONE) for of in fields if path in of or path[0] != "faces"]
        found[path] = usual(values), len(set(values))
    return found


def _short_names(paths: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """The last part of a dotted name, where no other field has it."""
    ends = Counter(path[-1] for path in paths)
    return {path: path[-1] if ends[path[-1]] == 1 and path[0] != "faces" else ".".join(path) for path in paths}


def size_text(size: int) -> str:
    """Bytes in the unit that leaves few digits.

    >>> size_text(0), size_text(1536), size_text(250_000_000)
    ('0 B', '1.5 kB', '250 MB')
    """
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def time_text(seconds: float | None) -> str:
    """Seconds as a reader says them.

    >>> time_text(None), time_text(4.3), time_text(4000)
    ('?', '4 s', '67 min')
    """
    if seconds is None or not 0 <= seconds < 10**9:
        return "?"
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 36000
        else f"{seconds / 3600:.0f} h"
    )


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the cells of rows below one another; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        " ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]).rstrip()
        for row in rows
    ]


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"
