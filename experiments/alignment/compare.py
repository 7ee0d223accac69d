"""One table of accuracies on EmotiW's Val by crop: the same plans, seeds and settings on faces that were cut differently.

Crops are told apart by the folders they were prepared in. Two crops are compared on the same pictures: the difference of
each seed, and the exact McNemar test of the first.

::

    python experiments/alignment/compare.py real/store real/faces/emotiw real/faces/emotiw_aligned
"""

import argparse
from pathlib import Path

from fer_transfer.evaluation.statistics import compare, mean_and_spread
from fer_transfer.faces.opening import open_faces
from fer_transfer.reports.results import Row, load_groups

VAL = "emotiw/Val"


def rows_by_crop(store: Path, folders: list[Path]) -> dict[str, dict[str, list[Row]]]:
    """Rows of each crop by plan, seeds in order."""
    digests = {open_faces(folder).digest: folder.name for folder in folders}
    found: dict[str, dict[str, list[Row]]] = {folder.name: {} for folder in folders}
    for group in load_groups(store)[0]:
        if crop := digests.get(group.faces.get("emotiw", "")):
            for row in group.rows:
                found[crop].setdefault(row.plan, []).append(row)
    return found


def accuracy(row: Row) -> float:
    predictions = row.predictions[VAL]
    return 100 * float((predictions.predicted == predictions.labels).mean())


def cell(rows: list[Row] | None) -> str:
    if not rows:
        return "not run"
    mean, spread = mean_and_spread([accuracy(row) for row in rows])
    return f"{mean:.1f} ± {spread:.1f}" if len(rows) > 1 else f"{mean:.1f}"


def difference(base: list[Row] | None, other: list[Row] | None) -> str:
    """Points gained by each seed that both have, and p of the first."""
    pairs = [(a, b) for a in base or [] for b in other or [] if a.seed == b.seed]
    if not pairs:
        return ""
    points = ", ".join(f"{accuracy(b) - accuracy(a):+.1f}" for a, b in pairs)
    test = compare(pairs[0][1].predictions[VAL], pairs[0][0].predictions[VAL])
    return f"{points} (p = {test.p:.2g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("faces", type=Path, nargs="+", help="folders of prepared faces, the crop to compare with first")
    options = parser.parse_args()
    crops = rows_by_crop(options.store, options.faces)
    first, *others = crops
    head = ["plan", *crops, *(f"{crop} less {first}, points by seed" for crop in others)]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for plan in dict.fromkeys(plan for of in crops.values() for plan in of):
        cells = [cell(crops[crop].get(plan)) for crop in crops]
        cells += [difference(crops[first].get(plan), crops[crop].get(plan)) for crop in others]
        print(f"| {plan} | " + " | ".join(cells) + " |")
    caveats = {text for of in crops.values() for rows in of.values() for row in rows for text in row.caveats}
    print(f"\nVal, per cent, all faces found. {'; '.join(sorted(caveats))}")


if __name__ == "__main__":
    main()
