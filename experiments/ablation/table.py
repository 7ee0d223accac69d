"""What each change of a recipe is worth: rows of a store that differ in one setting or more, on the share they hold out.

The row that the others have most in common with is what they are compared with, face by face, at the seeds that both were run
with. Accuracy is over the found faces of the share that all were selected on, which no row was trained on and no table reports.
Rows that lack it, or hold out another, are left out and named.

::

    python experiments/ablation/table.py real/store_ablation       # prints, and writes ablation.csv and table.md beside this file
    python experiments/ablation/table.py STORE --out FOLDER
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fer_transfer.config import plain
from fer_transfer.errors import StoreError
from fer_transfer.evaluation.comparison import compare
from fer_transfer.evaluation.metrics import macro_recall
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import mean_and_spread
from fer_transfer.evaluation.verdict import verdicts
from fer_transfer.faces.held_out import held_out_called, split_said
from fer_transfer.reports.cells import between, mean_text
from fer_transfer.reports.files import to_csv, write_text
from fer_transfer.reports.finding import Finding
from fer_transfer.reports.markdown import to_markdown
from fer_transfer.reports.table import Table, table_of
from fer_transfer.settings import compose
from fer_transfer.stages.record import read_record
from fer_transfer.stages.rows import StoredRow, stored_rows
from fer_transfer.upkeep.difference import differences

LEVEL, MARGIN = 0.95, 3.0
HEADINGS = ("Changed", "Seeds", "Accuracy", "Macro recall", "Points", "95 % interval", "p", "Verdict", "Of what size")


@dataclass(frozen=True)
class Run:
    """A row with its predictions of the held-out share, by seed."""

    row: StoredRow
    by_seed: dict[str, Predictions]

    @property
    def recipe(self) -> dict[str, Any]:
        """Without its seed; a lineage keeps no field that changes nothing, so these are as by default."""
        own = self.row.records[0].lineage.stages[-1].recipe
        return {**_over(_default(), own), "seed": 0}

    def changed(self, other: "Run") -> list[str]:
        """In which settings it differs, as one would give them."""
        return [f"{of.field}={of.a}" for of in differences(self.recipe, other.recipe)]

    @property
    def accuracy(self) -> tuple[float, float]:
        """Percent: mean over the seeds, and their standard deviation."""
        return mean_and_spread([100 * float((of.predicted == of.labels).mean()) for of in self.by_seed.values()])

    @property
    def macro(self) -> tuple[float, float]:
        """Percent likewise, of the mean recall of the expressions."""
        return mean_and_spread([100 * macro_recall(of.matrix) for of in self.by_seed.values()])


def runs_of(store: Path) -> tuple[list[Run], str, list[str]]:
    """The rows that were scored on the share that most were selected on; the share; and the names of the others.

    Raises:
        StoreError: if there is none, or a record or predictions are damaged.
    """
    rows = stored_rows(read_record(path) for path in sorted((store / "submissions").glob("*.json")))
    shares = Counter(where for row in rows for where in _held_out(row))
    if not shares:
        raise StoreError(f"Expected rows in {store} that hold out a share (recipe.selection.share), but got none.")
    share = shares.most_common(1)[0][0]
    runs = [Run(row, _predictions(row, share, store)) for row in rows]
    return [run for run in runs if run.by_seed], share[1], [run.row.name for run in runs if not run.by_seed]


@cache
def _default() -> dict[str, Any]:
    return dict(plain(compose("train").recipe))


def _over(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {key for key, value in own.items() if isinstance(value, Mapping) and isinstance(default.get(key), Mapping)}
    return {**default, **own, **{key: _over(default[key], own[key]) for key in both}}


def _held_out(row: StoredRow) -> set[tuple[str, str]]:
    return {where for record in row.records for where in record.selection if held_out_called(where[1])}


def _predictions(row: StoredRow, share: tuple[str, str], store: Path) -> dict[str, Predictions]:
    return {
        record.seed: Predictions.read(store / of.file, of.sha256).only_found()
        for record in row.records
        for of in record.predictions
        if (of.faces, of.split) == share and share in record.selection
    }


def base_of(runs: Sequence[Run]) -> Run:
    """The run from which the others differ in the fewest settings."""
    return min(runs, key=lambda run: (sum(len(run.changed(other)) for other in runs), run.row.name))


def findings(runs: Sequence[Run], base: Run) -> list[Finding]:
    """Every other run against the base, corrected over all of them."""
    found = [_compared(run, base) for run in runs if run is not base]
    judged = iter(verdicts([of.comparison for of in found if of.comparison], LEVEL, MARGIN / 100))
    return [replace(of, judged=next(judged)) if of.comparison else of for of in found]


def _compared(run: Run, base: Run) -> Finding:
    name = ", ".join(run.changed(base))
    seeds = tuple(seed for seed in base.by_seed if seed in run.by_seed)
    if not seeds:
        return Finding(name, "the base", reason="no common seed")
    sides = [[of.by_seed[seed] for seed in seeds] for of in (run, base)]
    return Finding(name, "the base", seeds=seeds, comparison=compare(*sides), level=LEVEL, margin=MARGIN)


def table(store: Path) -> Table:
    """The ablation, the largest gain first.

    Raises:
        StoreError: as ``runs_of``.
    """
    runs, share, others = runs_of(store)
    base = base_of(runs)
    found = findings(runs, base)
    judged = dict(zip([id(run) for run in runs if run is not base], found, strict=True))
    ordered = sorted((run for run in runs if run is not base), key=lambda run: -judged[id(run)].mean_and_sd[0])
    faces = len(next(iter(base.by_seed.values())))
    lines = [("(the base)", *_numbers(base), "", "", "", "", "")]
    lines += [(judged[id(run)].better, *_numbers(run), *_verdict(judged[id(run)])) for run in ordered]
    legend = (
        f"Accuracy and macro recall in percent on {split_said(share)}: {faces} faces; mean ± standard deviation over seeds.",
        "Points: accuracy less the base's, mean ± standard deviation over common seeds; interval and p are paired, over faces "
        f"and seeds, p is corrected over the {len(found)} comparisons (Holm), intervals are not.",
        *([f"Left out, for they hold out another share or none: {', '.join(others)}."] if others else []),
    )
    caveats = tuple(dict.fromkeys(text for run in runs for of in run.row.records for text in of.lineage.caveats))
    return Table("ablation", f"Ablation: {base.row.name}", caveats, table_of(lines, HEADINGS, (0, 7, 8)), legend=legend)


def _numbers(run: Run) -> tuple[str, str, str]:
    return " ".join(run.by_seed), mean_text(run.accuracy), mean_text(run.macro)


def _verdict(of: Finding) -> tuple[str, str, str, str, str]:
    if of.comparison is None or of.adjusted is None:
        return "", "", "", of.reason, ""
    return mean_text(of.mean_and_sd), between(of.interval), f"{of.adjusted:.2g}", of.verdict, of.details


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of both files (default: here)")
    options = parser.parse_args()
    try:
        made = table(options.store)
    except StoreError as error:
        sys.exit(f"error: {error}")
    text = to_markdown([made])
    print(text)
    write_text(options.out / "table.md", text)
    write_text(options.out / "ablation.csv", to_csv([dict(zip(made.headings, row, strict=True)) for row in made.rows]))


if __name__ == "__main__":
    main()
