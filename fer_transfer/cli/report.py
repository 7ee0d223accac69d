"""``fer-report``: print the tables of a store and write them as CSV, Markdown and LaTeX."""

import os
import sys
from typing import TYPE_CHECKING

from fer_transfer.cli.front import front

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """\
fer-report: print the tables of a store and write them.

  fer-report                           what is in ./store, into ./report
  fer-report store=FOLDER out=FOLDER   of another store, into another folder
  fer-report study=NAME --config-dir FOLDER
                                       of a study of your own
  fer-report submission_zip=TEAM       also the challenge's zip of every row
  fer-report published=false           without the paper's own rows

Choices (GROUP=NAME):
  study   {study}

  --settings [WORD]    every setting: default, meaning, choices
  --cfg job            the configuration that would run; nothing is written
"""


def report(config: "DictConfig") -> None:
    """Make the report of a store.

    Args:
        config: composed from ``conf/report.yaml``.

    Raises:
        ConfigError: if the level or the team's name is no such thing.
        StoreError: if nothing is finished, a record or predictions file is damaged, or nothing can be written.
    """
    from rich.console import Console

    from fer_transfer.config import path_given, plain
    from fer_transfer.errors import ConfigError
    from fer_transfer.reports.emotiw_zip import check_team
    from fer_transfer.reports.files import write_report, write_text, write_zips
    from fer_transfer.reports.render import to_latex, to_markdown, to_terminal
    from fer_transfer.reports.results import load_groups
    from fer_transfer.reports.tables import confusion_tables, main_tables
    from fer_transfer.study import published_rows, study_from

    if not (isinstance(config.level, float) and 0 < config.level < 1):
        raise ConfigError(f"Expected level between 0 and 1, but got {config.level!r}. Give for example level=0.95.")
    if not isinstance(config.published, bool):
        raise ConfigError(f"Expected published to be true or false, but got {config.published!r}.")
    if config.submission_zip is not None:
        check_team(str(config.submission_zip))
    study = study_from(plain(config.study))
    out, store = (path_given(plain(config), key) for key in ("out", "store"))
    groups, published = load_groups(store), published_rows(study)
    tables = main_tables(groups, published, study, config.level, with_published=config.published)
    confusions = confusion_tables(groups, study, config.level)

    zips = write_zips(out, groups, study, str(config.submission_zip)) if config.submission_zip is not None else []
    write_report(out, groups, published, study, config.level, with_published=config.published)
    write_text(
        out / "table.md",
        "# Results\n\n" + to_markdown(tables) + "\n## Confusion matrices\n\n" + to_markdown(confusions, 3),
    )
    write_text(out / "table.tex", to_latex([*tables, *confusions]))

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if wide else 100, highlight=False)
    for table in tables:
        to_terminal(table, console)
    parts = (
        sum(row.is_part(study.challenge) for group in groups for row in group.rows) if zips and study.challenge else 0
    )
    left_out = f" ({parts} rows have predictions of a part only, and none)" if parts else ""
    written = "table.csv, table.md, table.tex, claims.csv, per_class.csv and confusion/"
    console.print(
        f"\nWritten to {out}: {written}" + (f", {len(zips)} zips for the challenge in zips/{left_out}" if zips else ""),
        markup=False,
    )


def main() -> None:
    """Entry point of the command."""
    front("fer-report", HELP, "report")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("report", report)
