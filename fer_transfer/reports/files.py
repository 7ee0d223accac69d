"""The report's numbers as CSV: table.csv, claims.csv, per_class.csv, missing.csv, confusion/; folds.csv where folds ran."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.faces.held_out import split_said
from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import DocumentError, read_document, write_document
from fer_transfer.files.names import shown_text
from fer_transfer.files.spreadsheet import escaped
from fer_transfer.files.whole import written_whole
from fer_transfer.labels import as_columns
from fer_transfer.published import Published
from fer_transfer.reports.cells import is_selected
from fer_transfer.reports.claims_table import claim_lines, claim_names
from fer_transfer.reports.folds import fold_lines
from fer_transfer.reports.missing import Missing
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Row, base_plan
from fer_transfer.reports.scores import Score, score
from fer_transfer.study import Reported, Study

#: In a folder with a file a row: what the report wrote there, by digest.
_WRITTEN = ".written.json"

_OF_ROW = ("backbone", "plan", "settings_id", "seed")
_CLASS_NAMES = (*_OF_ROW, "split", "over", "truth", "k", "n", "recall", "low", "high", "caveats")

#: One number, or several side by side, such as those of the seeds.
_NUMBERS = re.compile(r"-?[\d.]+( -?[\d.]+)*")


def write_text(path: Path, text: str) -> None:
    """Write text as ``write_bytes`` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file aside and rename it, so that it is never half there.

    Raises:
        StoreError: if it cannot be written.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as aside:
            aside.write_bytes(data)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error}. Free space or choose another folder: out=<folder>.") from None


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Write a file a row. What an earlier report wrote there of rows that this one lacks goes, unless somebody changed it.

    Args:
        folder: made where there is something to write.
        texts: by name of the file.

    Raises:
        StoreError: if it cannot be written.
    """
    before = _written(folder)
    for name, text in texts.items():
        write_text(folder / name, text)
    with _told(folder):
        for name, digest in before.items():
            stale = folder / name
            if name not in texts and stale.is_file() and file_digest([stale]) == digest:
                stale.unlink()
        if texts or before:
            digests = {name: sha256(text.encode("utf-8")).hexdigest() for name, text in texts.items()}
            write_document(folder / _WRITTEN, {"files": digests})


def _written(folder: Path) -> dict[str, str]:
    """Digests by name of what an earlier report wrote; nothing where nobody knows."""
    try:
        files = dict(read_document(folder / _WRITTEN)["files"])
    except (OSError, DocumentError, KeyError, TypeError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in files.items() if Path(str(name)).name == name}


def to_csv(lines: Sequence[dict[str, Any]], names: Sequence[str] = ()) -> str:
    """Lines with the same keys as CSV; nan and None are empty, and no text is a formula to a spreadsheet.

    Args:
        lines: by name of the column.
        names: of the columns, where there is no line.

    >>> to_csv([], ["kind", "what"]).splitlines()
    ['kind,what']
    """
    file = io.StringIO()
    if lines or names:
        writer = csv.DictWriter(file, list(lines[0]) if lines else names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in line.items()} for line in lines)
    return file.getvalue()


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text if _NUMBERS.fullmatch(text) else escaped(shown_text(text))


def score_lines(report: Report) -> list[dict[str, Any]]:
    """One line per plan, split and set of faces; ``k`` lists the images right by seed, in the order of ``seeds``.

    The study's columns come first, then every other split that was predicted. With ``report.with_published``, the published
    rows whose network was not run at all follow, as not run.
    """
    groups, published, study, level = report.groups, report.published, report.study, report.level
    lines = []
    for group in groups:
        others = [Reported(split, "all", split_said(split)) for split in group.other_splits(study)]
        for plan in group.plans(study):
            rows = group.of(plan)
            for column in [*study.reported, *others]:
                lines.append(
                    _where(group.backbone, plan, group.settings_id, column, group.faces)
                    | _score_columns(score(rows, column.split, column.over), level)
                    | {"selected_on_split": "yes" if is_selected(rows, column.split) else "no"}
                    | _published_columns(_of(published, group.backbone, plan), column)
                    | {"ensemble": rows[0].ensemble if rows else ""}
                    | {"caveats": "; ".join(group.caveats)}
                )
    run = {group.backbone for group in groups}
    for row in published:
        for column in study.reported if report.with_published and row.backbone not in run else ():
            lines.append(
                _where(row.backbone, row.plan, "", column, {})
                | _score_columns("not run", level)
                | {"selected_on_split": "no"}
                | _published_columns(row, column)
                | {"ensemble": "", "caveats": ""}
            )
    return lines


def _score_names() -> list[str]:
    """The columns of table.csv, whatever its lines."""
    nothing = Reported("", "", "")
    columns = _where("", "", "", nothing, {}) | _score_columns("", 0.95)
    return [*columns, "selected_on_split", *_published_columns(None, nothing), "ensemble", "caveats"]


def _of(published: Sequence[Published], backbone: str, plan: str) -> Published | None:
    return next((row for row in published if (row.backbone, row.plan) == (backbone, base_plan(plan))), None)


def _where(backbone: str, plan: str, settings_id: str, column: Reported, faces: Mapping[str, str]) -> dict[str, Any]:
    """Which number a line is; the faces by the beginning of their digest."""
    digest = faces.get(column.split.partition("/")[0], "")[:8]
    where = {"backbone": backbone, "plan": plan, "settings_id": settings_id, "split": column.split}
    return where | {"faces": digest, "over": column.over}


def _score_columns(found: Score | str, level: float) -> dict[str, Any]:
    names = ("status", "seeds", "percent", "sd", "k", "n", "low", "high", "macro_recall", "macro_recall_sd")
    if isinstance(found, str):
        status = {"-": "no predictions"}.get(found, found)
        return dict.fromkeys(names) | {"status": status}
    low, high = found.interval(level)
    sizes = found.count if len(set(found.count)) > 1 else found.count[:1]
    lists = (" ".join(map(str, values)) for values in (found.seeds, found.correct, sizes))
    seeds, k, n = lists
    return dict(zip(names, ("run", seeds, *found.percent, k, n, low, high, *found.macro_percent), strict=True))


def _published_columns(row: Published | None, column: Reported) -> dict[str, Any]:
    """The published numbers beside the faces they are over."""
    names = ("published_percent", "published_k", "published_n", "published_macro_recall")
    values: dict[str, Any] = {"submission": row.submission if row else None} | dict.fromkeys(names)
    if row is None or column.published is None:
        return values
    numbers, macro = row.numbers[column.published], row.macro_recall[column.published]
    return values | dict(zip(names, (*numbers, macro), strict=True))


def class_lines(row: Row, study: Study, level: float) -> list[dict[str, Any]]:
    """Counts and recall of each expression on every labelled split of a row, over the found and over all faces.

    Lines are in the study's order of classes; the columns after ``truth``, a class each, count the predictions.
    """
    lines = []
    for split, predictions in row.predictions.items():
        for over, chosen in (("found", predictions.only_found()), ("all", predictions)):
            if not len(chosen) or not chosen.labelled:
                continue
            matrix, order = chosen.matrix, study.ordered(chosen.classes)
            places = [chosen.classes.index(name) for name in order]
            for name, truth in zip(order, places, strict=True):
                n, k = int(matrix[truth].sum()), int(matrix[truth, truth])
                low, high = wilson_interval(k, n, level)
                lines.append(
                    {"split": split, "over": over, "truth": name}
                    | dict(zip(as_columns(order, _CLASS_NAMES), matrix[truth, places].tolist(), strict=True))
                    | {"k": k, "n": n, "recall": 100 * k / n if n else None, "low": 100 * low, "high": 100 * high}
                    | {"caveats": "; ".join(row.caveats)}
                )
    return lines


def write_csv(report: Report, out: Path) -> list[str]:
    """Write the CSV files, those of rows in ``confusion/``; returns what it wrote.

    Raises:
        StoreError: if the folder cannot be written.
    """
    by_row = {row: class_lines(row, report.study, report.level) for row in report.rows}
    per_class = []
    for row, lines in by_row.items():
        where = {name: getattr(row, name) for name in _OF_ROW}
        kept = [{key: value for key, value in line.items() if key in _CLASS_NAMES} for line in lines]
        per_class += [where | line for line in kept]
    missing = [asdict(one) for one in report.missing]
    of_all = {
        "table.csv": to_csv(score_lines(report), _score_names()),
        "claims.csv": to_csv(claim_lines(report), claim_names()),
        "per_class.csv": to_csv(per_class, _CLASS_NAMES),
        "missing.csv": to_csv(missing, [field.name for field in fields(Missing)]),
    }
    if folds := fold_lines(report.groups, report.level):
        of_all["folds.csv"] = to_csv(folds)
    of_rows = {f"{row.name}.csv": to_csv(lines) for row, lines in by_row.items() if lines}
    for name, text in of_all.items():
        write_text(out / name, text)
    write_folder(out / "confusion", of_rows)
    return [*of_all, *(["confusion/"] if of_rows else [])]
