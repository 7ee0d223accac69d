"""The file that the EmotiW challenge takes: one zip named after the team, one text file per Test image."""

import re
import zipfile
from pathlib import Path, PurePosixPath

from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.names import shown
from fer_transfer.files.whole import written_whole
from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.report import Report

_PICTURE = re.compile(r"\.(png|jpe?g|bmp|tiff?)$", re.IGNORECASE)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold; a fixed one keeps the bytes the same


def check_team(team: str) -> str:
    """The team's name if it can name a file.

    Raises:
        ConfigError: otherwise.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", team, re.ASCII):
        raise ConfigError(
            f"Expected a team name of letters, digits, '.', '-' and '_', but got {team!r}. Give another: "
            "submission_zip=<TeamName>."
        )
    return team


def write_submission_zip(predictions: Predictions, folder: Path, team: str, comment: str = "") -> Path:
    """Write ``folder/<team>.zip``: for each image ``<its name without ending>.txt`` with the name of a class.

    Faces that the detector lost are in it too: the challenge scores every Test image. The same predictions give the
    same bytes.

    Args:
        predictions: those of the Test split; labels are not used.
        folder: made if it is missing.
        team: names the file.
        comment: kept in the zip's comment field, outside the files (of what it is an ensemble, the caveats).

    Raises:
        ConfigError: if the team's name cannot name a file.
        StoreError: if there are no predictions or two images would give one text file.
    """
    check_team(team)
    words: dict[str, str] = {}
    for image, expression in zip(predictions.ids.tolist(), predictions.predicted.tolist(), strict=True):
        stem = _stem(image)
        if stem in words:
            raise StoreError(
                f"Expected images of distinct names, but two are called {stem!r}. Prepare the faces again."
            )
        words[stem] = predictions.classes[expression]
    if not words:
        raise StoreError(
            "Expected predictions of Test images, but there are none. Prepare a release with a Test split."
        )
    path = folder / f"{team}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside, zipfile.ZipFile(aside, "w") as archive:
        archive.comment = shown(comment).encode()[:65535]
        for stem in sorted(words):
            entry = zipfile.ZipInfo(f"{stem}.txt", _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every operating system
            archive.writestr(entry, words[stem], zipfile.ZIP_DEFLATED)
    return path


def _stem(image: str) -> str:
    """An image's name without folder and ending; what no system could unpack, or would unpack elsewhere, is ``_``."""
    stem = _PICTURE.sub("", PurePosixPath(image).name)
    return "".join(c if c.isprintable() and c not in '\\:*?"<>|' else "_" for c in stem)


def write_zips(report: Report, out: Path, team: str) -> list[str]:
    """Write ``zips/<row>/<team>.zip`` for each row that has predictions of the whole challenge; returns what it wrote.

    Raises:
        ConfigError: if the team's name cannot name a file, or the study has no challenge.
        StoreError: if no row has such predictions, or only of a part, or the folder cannot be written.
    """
    check_team(team)
    challenge = report.study.challenge
    if challenge is None:
        raise ConfigError(f"Expected a study with a challenge for submission_zip, but {report.study.name!r} has none.")
    rows = [row for row in report.rows if len(row.predictions.get(challenge, ())) > 0]
    if not rows:
        raise StoreError(
            f"Expected predictions of {challenge}, but no finished plan has any. Prepare a release with these images and "
            "run fer-train again, or leave submission_zip out."
        )
    whole = [row for row in rows if not row.is_part(challenge)]
    if not whole:
        raise StoreError(
            f"Expected predictions of all faces of {challenge}, every one is scored by the challenge, but {len(rows)} rows "
            f"have {len(rows[0].predictions[challenge])} (recipe.at_most). Train with recipe.at_most=null."
        )
    try:
        for row in whole:
            said = " ".join(
                filter(None, (f"{row.plan}: {row.ensemble}." if row.ensemble else "", caveat_line(row.caveats)))
            )
            write_submission_zip(row.predictions[challenge], out / "zips" / row.name, team, said)
    except OSError as error:
        raise StoreError(f"Cannot write {out / 'zips'}: {error}. Free space or choose out=<folder>.") from None
    parts = len(rows) - len(whole)
    left_out = f" ({parts} rows have predictions of a part only, and none)" if parts else ""
    return [f"{len(whole)} zips for the challenge in zips/{left_out}"]
