"""JAFFE, the Japanese Female Facial Expression database.

========  ==============================================================================================================
What      Grey photographs, 256x256, of ten Japanese women posing seven expressions, several pictures of each
Made by   Michael Lyons, Miyuki Kamachi, Jiro Gyoba (Kyushu University)
Licence   Non-commercial scientific research under its terms, with citation: no picture stands in a report
To get    zenodo.org/records/3451524, access on request; not downloaded here
Size      213 pictures of 10 people
Classes   Two letters of a file's name: AN, DI, FE, HA, NE, SA, SU, the expression that was asked for. The owners' page states no
          numbers by class, and a count that others print sums to 212: none are compared
Splits    None. ``release.folds=10``: each of the ten people is a fold, so that each is left out once
Forms     ``KA.AN1.39.tiff`` (person, expression and its number, number of the picture) at any depth of a folder or archive
Faults    Posed; ten people of one sex and origin. Observers' ratings, which differ from what was asked for, are not read
Sources   The database's page at zenodo.org (making, sizes, terms); Lyons, Akamatsu, Kamachi and Gyoba 1998, FG, whom it asks to
          cite. Names of files: as public readers have them
========  ==============================================================================================================
"""

import re
from pathlib import PurePosixPath
from typing import ClassVar

from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.names import shown
from fer_transfer.releases.listed import ListedRelease, Stated
from fer_transfer.releases.listing import Listed, first_three
from fer_transfer.releases.sfew_layout import is_picture

#: By the letters in a file's name.
CLASSES = {
    "AN": "Anger", "DI": "Disgust", "FE": "Fear", "HA": "Happiness", "NE": "Neutral", "SA": "Sadness", "SU": "Surprise",
}  # fmt: skip

_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d+\.\d+")


class JAFFERelease(ListedRelease):
    """JAFFE on disk, for ``fer-prepare``; options as ``ListedRelease``."""

    title = "JAFFE"
    stated: ClassVar[Stated] = {"": {"pictures": 213, "people": 10}}

    def _listed(self, archive: Archive) -> list[Listed]:
        names = {name: _NAME.fullmatch(PurePosixPath(name).stem) for name in archive.names if is_picture(name)}
        listed = [Listed(n, CLASSES[m[2]], subject=m[1]) for n, m in names.items() if m and m[2] in CLASSES]
        if len(listed) < len(names) or not listed:
            others = [name for name, match in names.items() if not match or match[2] not in CLASSES]
            raise ReleaseError(
                f"Expected pictures called PERSON.EXPRESSION.NUMBER (KA.AN1.39.tiff) in {shown(str(self.path))}, but got "
                f"{len(others)} of {len(names)} called otherwise ({first_three(others)}). Give JAFFE's own files."
            )
        return listed

    def _differences(self) -> list[str]:
        """Where the numbers of pictures and people differ from the stated ones."""
        found = {"pictures": len(self._all), "people": len({picture.subject for picture in self._all})}
        return [
            f"{found[what]} {what}, not {stated}" for what, stated in self.stated[""].items() if found[what] != stated
        ]
