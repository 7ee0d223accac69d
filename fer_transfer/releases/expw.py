"""ExpW, the Expression in-the-Wild database.

========  ==============================================================================================================
What      Photographs found by image searches for feelings joined with words for people, and the boxes of the faces in them, each
          with one expression; a face is the square around its box
Made by   Zhanpeng Zhang, Ping Luo, Chen Change Loy, Xiaoou Tang (The Chinese University of Hong Kong)
Licence   Non-commercial research; the pictures are their photographers', so none stands in a report
To get    mmlab.ie.cuhk.edu.hk/projects/socialrelation; not downloaded here
Size      91793 faces
Classes   Numbers: 0 angry 3671, 1 disgust 3995, 2 fear 1088, 3 happy 30537, 4 sad 10559, 5 surprise 7060, 6 neutral 34883
Splits    None. ``release.shares`` makes them; the faces of one photograph stand in one split
Forms     A folder or archive with ``label.lst``, lines of image_name, face_id_in_image, face_box_top, face_box_left,
          face_box_right, face_box_bottom, face_box_cofidence (so spelt) and expression_label, and the photographs, anywhere
Faults    Searched and labelled by few; boxes of any confidence. Whose face it is is not told, and people may return
Sources   Zhang, Luo, Loy and Tang 2018, arXiv 1609.06426 (making, size). Layout and order of the classes: as many public
          readers have them (HazyResearch/meerkat, meerkat/datasets/expw). Counts by class: as one public reader notes them; they
          sum to the stated size. Not looked up in a text: its terms
========  ==============================================================================================================
"""

from collections import Counter
from pathlib import PurePosixPath
from typing import ClassVar

from fer_transfer.detection.crop import Box
from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.names import shown
from fer_transfer.releases.list_file import find, read_words, refuse_absent, refuse_wrong
from fer_transfer.releases.listed import ListedRelease, Stated
from fer_transfer.releases.listing import Listed, first_three
from fer_transfer.releases.sfew_layout import is_picture

#: By their numbers.
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

_LIST = "label.lst"


class ExpWRelease(ListedRelease):
    """ExpW on disk, for ``fer-prepare``; options as ``ListedRelease``, but that its boxes are taken as they are."""

    title = "ExpW"
    unit = "photograph"
    stated: ClassVar[Stated] = {"": dict(zip(CLASSES, (3671, 3995, 1088, 30537, 10559, 7060, 34883), strict=True))}

    def _listed(self, archive: Archive) -> list[Listed]:
        if not self.aligned:
            raise ReleaseError("Expected release.aligned=true for ExpW: its boxes are its faces. Leave it out.")
        path, _ = find(archive, _LIST)
        lines = read_words(archive, path, 8)
        wrong = [" ".join(words) for words in lines if _box(words) is None or words[7] not in map(str, range(7))]
        refuse_wrong(archive, path, wrong, "a name, a face, a box of pixels, a confidence and a class of 0 to 6")
        places = {PurePosixPath(name).name: name for name in archive.names if is_picture(name)}
        refuse_absent(archive, path, list(dict.fromkeys(places.get(words[0], words[0]) for words in lines)))
        listed = [
            Listed(places[name], CLASSES[int(label)], subject=name, face=face, box=_box([name, face, *words, label]))
            for name, face, *words, label in lines
        ]
        if twice := [id for id, count in Counter(picture.id for picture in listed).items() if count > 1]:
            raise ReleaseError(
                f"Expected each of the {len(listed)} faces of {shown(str(self.path))}: {shown(path)} once, but got {len(twice)} "
                f"twice ({first_three(twice)}). Get the list again."
            )
        return listed


def _box(words: list[str]) -> Box | None:
    """(x, y, width, height) of a line, whose order is top, left, right, bottom; None where it tells none."""
    try:
        top, left, right, bottom = (int(word) for word in words[2:6])
    except ValueError:
        return None
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None
