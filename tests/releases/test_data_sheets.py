"""Every data set that can be prepared is described where it is read: one sheet, the same headings in the same order."""

import importlib
import re

import pytest
from omegaconf import OmegaConf

from fer_transfer.config import conf_dir
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.releases import fer2013, sfew

HEADINGS = ["What", "Made by", "Licence", "To get", "Size", "Classes", "Splits", "Forms", "Faults", "Sources"]
CONFIGURED = sorted({
    OmegaConf.load(path)["_target_"].rpartition(".")[0] for path in (conf_dir() / "release").glob("*.yaml")
})  # fmt: skip


def sheet(module: str) -> dict[str, str]:
    """What stands under each heading of the table in a module's docstring, on one line."""
    text = importlib.import_module(module).__doc__ or ""
    assert text.count("\n========  ==") == 2, f"{module} has no data sheet"
    rows = text.split("\n========  ")[1].splitlines()[1:]
    found: dict[str, str] = {}
    for row in rows:
        if heading := row[:10].strip():
            found[heading] = row[10:].strip()
        else:
            found[next(reversed(found))] += " " + row.strip()
    return found


@pytest.mark.parametrize("module", [*CONFIGURED, "fer_transfer.releases.ferplus"])
def test_every_reader_has_a_sheet_with_all_headings(module):
    found = sheet(module)
    assert list(found) == HEADINGS
    assert all(found.values())


def test_the_sheets_counts_are_those_that_releases_are_checked_against():
    of_fer, of_sfew = sheet("fer_transfer.releases.fer2013"), sheet("fer_transfer.releases.sfew")
    for split, counts in fer2013.STATED_COUNTS.items():
        assert f"{split} {sum(counts)}" in of_fer["Size"]
    for i, name in enumerate(EXPRESSIONS):
        total = sum(counts[i] for counts in fer2013.STATED_COUNTS.values())
        assert f"{i} {name} {total}" in of_fer["Classes"]
        both = "/".join(str(sfew.STATED_COUNTS[split][i]) for split in ("Train", "Val"))
        assert re.search(rf"\b{name} {both}\b", of_sfew["Classes"])
    totals = [f"{split} {sum(counts)}" for split, counts in sfew.STATED_COUNTS.items()]
    assert of_sfew["Size"].startswith(", ".join([*totals, f"Test {sfew.STATED_TEST}"]))
