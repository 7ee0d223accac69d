"""AffectNet, the manually annotated faces with an expression, in the two layouts that are met.

========  ==============================================================================================================
What      Colour faces, cut by a detector and mostly 224x224, from web searches for 1250 words in six languages
Made by   Ali Mollahosseini, Behzad Hasani, Mohammad Mahoor (University of Denver)
Licence   Research, against an agreement with a professor or laboratory; may not be passed on, so none stands in a report
To get    mohammadmahoor.com/affectnet, by agreement; not downloaded here
Size      Train 287651, Val 4000; without Contempt 283901 and 3500
Classes   Numbers: 0 Neutral 74874, 1 Happy 134415, 2 Sad 25459, 3 Surprise 14090, 4 Fear 6378, 5 Disgust 3803, 6 Anger 24882, 7
          Contempt 3750 in Train; 500 of each in Val. Contempt is none of the seven: ``release.leave_out=[Contempt]`` gives the
          usual seven-class protocol, ``labels=eight`` that of eight
Splits    The owners' Train and Val. Its test set was not given out: papers report Val, so select on a share of Train
Forms     ``train_set/images/1.jpg`` with ``train_set/annotations/1_exp.npy``, and ``val_set`` likewise; or folders of class
          numbers, ``train/0/...jpg`` to ``7``, ``val/...`` (copies of seven classes lack 7). Each a folder or archive. The tables
          of the full release (``training.csv``) are not read: make a CSV of them for ``release=folders``
Faults    One annotator a face for most, and two often disagree. Train is far from balanced, Val is balanced. Whose face a picture
          shows is not told
Sources   Mollahosseini, Hasani and Mahoor 2017, arXiv 1708.03985 (making). Numbers and counts of both splits: as public
          repositories count them, which agree (of seven classes github.com/coder-xinxiaohai/AffectNet_Processing: 283901, 500
          each in Val; of Contempt others). Layouts: as public readers have them. Not looked up in a text: the agreement's terms,
          that no test set was given out, that most faces have one annotator
========  ==============================================================================================================
"""

import io
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed
from fer_transfer.releases.list_file import refuse_absent, refuse_wrong
from fer_transfer.releases.listed import ListedRelease, Stated
from fer_transfer.releases.listing import Listed
from fer_transfer.releases.sfew_layout import is_picture

#: By their numbers.
CLASSES = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt")

_SPLITS = {"train": "Train", "val": "Val"}
_ANNOTATION = re.compile(r"(?P<root>.*/|)(?P<split>train|val)_set/annotations/(?P<name>[^/]+)_exp\.npy")
_PICTURE = re.compile(r"(.*/|)(train|val)_set/images/([^/]+)\.[a-z]+", re.IGNORECASE)
_FOLDER = re.compile(r"(?:.*/|)(?P<split>train|val)(?:_set|_class|idation)?/(?P<number>\d+)/[^/]+")


class AffectNetRelease(ListedRelease):
    """AffectNet on disk, for ``fer-prepare``; options as ``ListedRelease``."""

    title = "AffectNet"
    stated: ClassVar[Stated] = {
        "Train": dict(zip(CLASSES, (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750), strict=True)),
        "Val": dict.fromkeys(CLASSES, 500),
    }

    def _listed(self, archive: Archive) -> Sequence[Listed]:
        annotations = [match for name in archive.names if (match := _ANNOTATION.fullmatch(name))]
        listed = self._annotated(archive, annotations) if annotations else _in_folders(archive)
        if not listed:
            raise ReleaseError(
                f"Expected train_set/images and train_set/annotations/*_exp.npy, or train/0 to train/7, in "
                f"{shown(str(self.path))}, but of {len(archive.names)} files none lies so. Give the folder or archive above both."
            )
        return listed

    def _annotated(self, archive: Archive, annotations: list[re.Match[str]]) -> list[Listed]:
        pictures = {match.groups(): name for name in archive.names if (match := _PICTURE.fullmatch(name))}
        numbers = {match: _number(archive, match[0]) for match in annotations}
        wrong = [f"{match[0]}: {said}" for match, said in numbers.items() if said not in map(str, range(len(CLASSES)))]
        refuse_wrong(archive, "annotations", wrong, "a class of 0 to 7", each="file")
        paths = {
            match: pictures.get(match.groups(), f"{match['split']}_set/images/{match['name']}.jpg")
            for match in annotations
        }
        refuse_absent(archive, "annotations", list(paths.values()))
        return [Listed(paths[match], CLASSES[int(said)], _SPLITS[match["split"]]) for match, said in numbers.items()]


def _number(archive: Archive, name: str) -> str:
    """What an annotation holds, a number as such or as text; or that it holds something else."""
    with archive.open(name) as member:
        data = member.read()
    try:
        value = np.load(io.BytesIO(data), allow_pickle=False).item()
        return str(int(value))
    except Exception:  # numpy parses a damaged header as Python and raises what it meets
        return "no number"


def _in_folders(archive: Archive) -> Sequence[Listed]:
    def found() -> Iterator[re.Match[str]]:
        return (match for name in archive.names if is_picture(name) and (match := _FOLDER.fullmatch(name)))

    wrong = [match[0] for match in found() if int(match["number"]) >= len(CLASSES)]
    refuse_wrong(archive, "train and val", wrong, "a class of 0 to 7", each="folder")
    return Packed(Listed(of[0], CLASSES[int(of["number"])], _SPLITS[of["split"]]) for of in found())
