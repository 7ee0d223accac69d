"""What stands at the end of a run: the accuracy of its rows, where everything is, and the command that comes next.

It reads the records it is given and their predictions, nothing else of the store.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import wrap
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fer_transfer.config import config_folders, config_words, override
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.names import shown, shown_text
from fer_transfer.reports.cells import caveat_line, level_text, marks_notes, marks_of, mean_text
from fer_transfer.reports.folds import FoldRow, fold_row
from fer_transfer.reports.results import Row
from fer_transfer.reports.scores import Score, score
from fer_transfer.stages.record import Record, ScoredSplit
from fer_transfer.study import Reported, Study

_WIDTH, _LEVEL = 80, 0.95
_STORE, _STUDY = "store", "ng2015"  # the defaults of conf/report.yaml, which need not be typed
_ROWS = 40  # more are for fer-report


def ending(records: Sequence[Record], failed: Mapping[str, str], store: Path, study: Study) -> str:
    """Lines of 80 columns at most.

    Args:
        records: of the rows that are finished, in the order in which they are shown. One alone is shown on every split that
            the study reports, several on the first of these that each is scored on.
        failed: of the others, why they are not, by what names them.
        store: as it was given.
        study: as it was given.

    Raises:
        StoreError: if predictions are missing or damaged.
    """
    rows = [row for record in records[:_ROWS] for row in _rows(record, store)]
    scores = [_Scored(row, column) for row in rows for column in study.reported]
    kept = [scored for scored in scores if not isinstance(scored.found, str) or scored.found == "withheld"]
    if len(records) > 1:
        kept = list({id(scored.row): scored for scored in reversed(kept)}.values())[::-1]
    lines = list(_table(kept, several=len(records) > 1))
    more = [f"... and {len(records) - _ROWS} more rows"] if len(records) > _ROWS else []
    caveats = dict.fromkeys(caveat for row in rows for caveat in row.caveats)
    said = [f"{len(failed)} of {len(failed) + len(records)} rows failed:"] if failed else []
    said += [f"  {name}: {' '.join(reason.split())}" for name, reason in failed.items()]
    notes = [
        caveat_line(tuple(caveats)),
        *marks_notes([lines]),
        f"Stages, weights and predictions are in {shown(str(store))}",
    ]
    texts = [*more, *said, *(notes if records else notes[-1:])]
    name = study.name
    if not _reports(study, rows) and (other := _study_of(rows)):
        texts.append(f"Study {name} reports none of the splits that this is scored on; study {other} does.")
        name = other
    return "\n".join([*map(shown_text, lines), *_wrapped(texts), f"Next: {report_command(store, name)}"])


def report_command(store: Path, study: str) -> str:
    """The ``fer-report`` of a store and a study, by its name, as it is typed."""
    words = ["fer-report", *config_words(f"study/{study}.yaml")]
    if str(store) != _STORE:
        words.append(override("store", store))
    if study != _STUDY:
        words.append(override("study", study))
    return shlex.join(words)


def _reports(study: Study, rows: Sequence[Row]) -> bool:
    """Whether it reports a split that one of the rows is scored on; there may be none."""
    return not rows or bool(
        {column.split for column in study.reported} & {split for row in rows for split in row.predictions}
    )


def _study_of(rows: Sequence[Row]) -> str:
    """The first study, by name, that reports a split of these rows; empty where none does."""
    scored = {split for row in rows for split in row.predictions}
    of_name = {path.stem: path for folder in reversed(config_folders()) for path in (folder / "study").glob("*.yaml")}
    for name, path in sorted(of_name.items()):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError, OmegaConfBaseException):
            # A file that cannot be read so is nobody's mistake here.
            content: Any = OmegaConf.load(path)
            reported = [column["split"] for column in content["reported"]]
            if scored & set(reported):
                return name
    return ""


class _Scored:
    """A row's score on one column of the study."""

    def __init__(self, row: Row, column: Reported) -> None:
        self.row, self.column = row, column
        self.found = score([row], column.split, column.over)
        self.marks = marks_of([row], column.split)

    @property
    def where(self) -> str:
        """The column's heading, the faces it is over, and which preparation of several."""
        own = self.row.left_out.get(self.column.split) if isinstance(self.row, FoldRow) else None
        (release, _, split), record = (own or self.column.split).partition("/"), self.row.record
        prepared = {
            of.faces for of in record.predictions if (record.faces[of.faces].release, of.split) == (release, split)
        }
        which = f" of {release} {self.row.faces[release][:8]}" if len(prepared) > 1 else ""
        return f"{self.column.heading}, {self.column.over} faces{which}"

    @property
    def cell(self) -> str:
        """Accuracy, k/n, interval; or that the labels are withheld."""
        if not isinstance(self.found, Score):
            return f"labels {self.found}"
        low, high = self.found.interval(_LEVEL)
        counted = f"{self.found.correct[0]}/{self.found.count[0]}"
        return f"{mean_text(self.found.percent)} %{self.marks} {counted} [{low:.1f}, {high:.1f}]"


def _rows(record: Record, store: Path) -> Iterator[Row]:
    """A row for each choice of faces on which it was scored."""
    by_release: dict[str, dict[str, list[ScoredSplit]]] = {}
    for of in record.predictions:
        by_release.setdefault(record.faces[of.faces].release, {}).setdefault(of.faces, []).append(of)
    for number in range(max(map(len, by_release.values()), default=0)):
        chosen = {release: list(of)[number] for release, of in by_release.items() if number < len(of)}
        predictions = {
            f"{release}/{of.split}": Predictions.read(store / of.file, of.sha256)
            for release, digest in chosen.items()
            for of in by_release[release][digest]
        }
        yield fold_row(Row(Path(), record, "", record.plan, chosen, predictions))


def _table(scores: Sequence[_Scored], *, several: bool) -> Iterator[str]:
    """A heading with what the lines have in common, then a line a score."""
    if not scores:
        return
    columns = {scored.where for scored in scores}
    common = _name(scores[0].row) if not several else columns.pop() if len(columns) == 1 else ""
    yield f"Accuracy, k/n, Wilson {level_text(_LEVEL)} interval" + (f": {common}" if common else "")
    names = [scored.where if not several else _name(scored.row) for scored in scores]
    if several and not common:
        names = [f"{name}: {scored.where}" for name, scored in zip(names, scores, strict=True)]
    width = max(len(name) for name in names)
    for name, scored in zip(names, scores, strict=True):
        if 4 + width + len(scored.cell) <= _WIDTH:
            yield f"  {name:<{width}}  {scored.cell}"
        else:
            yield from (*(f"  {line}" for line in wrap(name, _WIDTH - 2)), f"      {scored.cell}")


def _name(row: Row) -> str:
    return f"{row.plan}, {row.backbone}, seed {row.seed}"


def _wrapped(texts: Sequence[str]) -> Iterator[str]:
    """Lines that fit; a path or word that is longer stays whole."""
    for text in map(shown_text, texts):
        indent = " " * (len(text) - len(text.lstrip()))
        yield from wrap(text, _WIDTH, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False)
