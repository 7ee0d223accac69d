"""``fer-report``: print the tables of a store and write them as CSV, Markdown and LaTeX."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fer_transfer.cli.front import front, help_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fer_transfer.reports.report import Explain, Report

HELP = help_text(
    """\
fer-report: print the tables of a store; write them, and a page, report.html.

  fer-report store=store out=report    of a store, into a folder: the defaults
  fer-report study=NAME --config-dir FOLDER
                                       of a study of your own
  fer-report details=true figures=true
                                       all tables; figures as SVG and PDF
  fer-report submission_zip=TEAM       also the challenge's zip of every row
  fer-report wandb=PROJECT             also every stage and row as wandb's runs
""",
    ["study"],
    "written",
)


def report(config: "DictConfig") -> "Report":
    """Make the report of a store.

    Args:
        config: composed from ``conf/report.yaml``.

    Returns:
        What was reported, with what is missing.

    Raises:
        ConfigError: if the level or the team's name is no such thing.
        StoreError: if there is no store, or nothing can be written.
    """
    from rich.console import Console

    from fer_transfer.config import path_given, plain
    from fer_transfer.errors import ConfigError
    from fer_transfer.inference.methods import method_asked
    from fer_transfer.reports.emotiw_zip import check_team, write_zips
    from fer_transfer.reports.files import write_csv
    from fer_transfer.reports.latex import write_latex
    from fer_transfer.reports.markdown import write_markdown
    from fer_transfer.reports.page.page import write_page
    from fer_transfer.reports.report import load_report
    from fer_transfer.reports.terminal import print_report
    from fer_transfer.study import study_from

    if not (isinstance(config.level, float) and 0 < config.level < 1):
        raise ConfigError(f"Expected level between 0 and 1, but got {config.level!r}. Give for example level=0.95.")
    for name in ("published", "details", "figures", "offline", "dashboard"):
        if not isinstance(config[name], bool):
            raise ConfigError(f"Expected {name} to be true or false, but got {config[name]!r}.")
    if config.submission_zip is not None:
        check_team(str(config.submission_zip))
    out, store = (path_given(plain(config), key) for key in ("out", "store"))
    faces = {word: Path(str(folder)).expanduser() for word, folder in plain(config.faces).items() if folder}
    study, shown = study_from(plain(config.study)), bool(config.published)
    explain = _explain(store, method_asked(config.saliency))
    made = load_report(store, study, config.level, with_published=shown, faces=faces, explain=explain)

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if wide else 100, highlight=False)

    # Each outlet takes the report; those that write files say which.
    written = write_zips(made, out, str(config.submission_zip)) if config.submission_zip is not None else []
    print_report(made, console, details=config.details)
    written += [*write_csv(made, out), *write_markdown(made, out), *write_latex(made, out), *write_page(made, out)]
    if config.figures:
        from fer_transfer.reports.figures import write_figures

        written += write_figures(made, out)

    more = "" if config.details else " details=true prints all tables, settings and rules."
    console.print(f"\nWritten to {out}: {', '.join(written)}.{more}", markup=False)
    if config.wandb is not None:
        from fer_transfer.tracking.trackers import write_to_wandb  # with torch, which a report alone does not need

        told = write_to_wandb(made, config.wandb, offline=config.offline, dashboard=config.dashboard)
        console.print(told, markup=False, soft_wrap=True)
    return made


def _explain(store: Path, method: str | None) -> "Explain | None":
    if method is None:
        return None
    from fer_transfer.inference.explaining import row_explainer

    return row_explainer(store, method)


def main() -> None:
    """Entry point of the command."""
    front("fer-report", HELP, "report")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("report", report)


if __name__ == "__main__":
    main()
