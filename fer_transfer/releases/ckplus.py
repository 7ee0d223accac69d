"""CK+, the Extended Cohn-Kanade database: sequences from a neutral face to the peak of a posed expression.

========  ==============================================================================================================
What      Frames of people posing before a camera, 640x490 or 640x480, mostly grey, from neutral to the peak. Taken are, of each
          sequence that has a label, the last three frames under it (``release.last``) and the first as Neutral
          (``release.neutral``)
Made by   Patrick Lucey, Jeffrey Cohn, Takeo Kanade, Jason Saragih, Zara Ambadar, Iain Matthews
Licence   Research only, against an agreement; pictures of some subjects may be printed, of most not: none stands in a report
To get    jeffcohn.net/Resources, by agreement; not downloaded here
Size      593 sequences of 123 people; 327 have a label, by 118 people
Classes   Numbers in ``*_emotion.txt``: 1 Anger 45, 2 Contempt 18, 3 Disgust 59, 4 Fear 25, 5 Happy 69, 6 Sadness 28, 7
          Surprise 83 sequences (0, neutral, is given to none). Contempt is none of the seven: ``release.leave_out=[Contempt]``
          leaves its 18 sequences out, with their neutral frames: 309 sequences of 106 people, 1236 pictures
Splits    None. ``release.folds=10``: people are divided into ten folds of about one size, each person in one
Forms     A folder or archive with ``cohn-kanade-images/S005/001/S005_001_00000011.png`` and
          ``Emotion/S005/001/S005_001_00000011_emotion.txt``, at any depth. Copies that hold 48x48 pictures in class folders
          are read by ``release=folders``
Faults    Posed, in one laboratory. Results of papers differ in frames, classes and folds: a number means little without these
Sources   Lucey et al. 2010, CVPR workshops: 593 sequences, 123 people. The distribution's own read-me, as several public pages
          quote it: these, 327 labels, the numbers of the classes, the layout. The labelled sequences, their people and classes:
          counted in the list of github.com/Open-Debin/Emotion-FAN, data/txt/CK+_10-fold_sample_IDascendorder_step10.txt. Sizes of
          the frames: as one public reader describes them. The last three frames: so do copies of 981 pictures (3 times 327); the
          first as Neutral, and folds by person: Li and Deng 2018, arXiv 1804.08348. Not looked up in a text: that survey's
          wording, what may be printed
========  ==============================================================================================================
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.names import shown
from fer_transfer.releases.list_file import refuse_wrong
from fer_transfer.releases.listed import ListedRelease, Stated
from fer_transfer.releases.listing import Listed, first_three

#: By the number in a label's file.
CLASSES = {1: "Anger", 2: "Contempt", 3: "Disgust", 4: "Fear", 5: "Happy", 6: "Sadness", 7: "Surprise"}

#: Sequences by class.
SEQUENCES = dict(zip(CLASSES.values(), (45, 18, 59, 25, 69, 28, 83), strict=True))

#: People with a labelled sequence.
SUBJECTS = 118

_FRAME = re.compile(r"(?:.*/)?(S\d+)/(\d+)/\1_\2_(\d+)\.(?:png|jpg)")
_LABEL = re.compile(r"(?:.*/)?(S\d+)/(\d+)/\1_\2_\d+_emotion\.txt")


class CKPlusRelease(ListedRelease):
    """CK+ on disk, for ``fer-prepare``.

    Args:
        path: a folder or an archive.
        pipeline: how frames become faces.
        last: frames from the end of a sequence that show its label.
        neutral: whether the first frame of a labelled sequence is taken as Neutral.
        name: the word that plans use for the faces.
        **options: those of every ``ListedRelease``.
    """

    title = "CK+"
    stated: ClassVar[Stated] = {"": SEQUENCES}

    def __init__(
        self,
        path: str,
        pipeline: FacePipeline,
        last: int = 3,
        neutral: bool = True,
        name: str = "ckplus",
        **options: Any,
    ) -> None:
        super().__init__(path, pipeline, name, **options)
        if not isinstance(last, int) or last < 1:
            raise ConfigError(f"Expected release.last to be a whole number of at least 1, but got {last!r}.")
        self.last, self.neutral = last, neutral

    def settings(self) -> dict[str, Any]:
        """What was chosen; another choice means preparing again."""
        return {**super().settings(), "last": self.last, "neutral": self.neutral}

    def _listed(self, archive: Archive) -> list[Listed]:
        labels, frames = self._labels(archive), _sequences(archive.names)
        where = shown(str(self.path))
        if not labels:
            raise ReleaseError(
                f"Expected labels, Emotion/S005/001/S005_001_00000011_emotion.txt and so on, in {where}, but of "
                f"{len(archive.names)} files none is one. Give the folder or archive above cohn-kanade-images and Emotion."
            )
        least = self.last + self.neutral
        if short := [f"{of}/{number}" for of, number in labels if len(frames.get((of, number), ())) < least]:
            raise ReleaseError(
                f"Expected at least {least} frames in each labelled sequence of {where}, but fewer in {len(short)} of "
                f"{len(labels)} ({first_three(short)}). Get the release again, or lower release.last."
            )
        return [
            Listed(path, name, subject=subject)
            for (subject, number), label in labels.items()
            for path, name in self._chosen(frames[subject, number], label)
        ]

    def _chosen(self, frames: list[str], label: str) -> list[tuple[str, str]]:
        """The frames of a sequence that are taken, in order, with their classes."""
        neutral = self.neutral and not self.classes.leaves_out(label)
        return [(frames[0], "Neutral")] * neutral + [(path, label) for path in frames[-self.last :]]

    def _labels(self, archive: Archive) -> dict[tuple[str, str], str]:
        """The class of each labelled sequence, by subject and number."""
        found, wrong = {}, []
        for name in sorted(archive.names):
            if match := _LABEL.fullmatch(name):
                with archive.open(name) as member:
                    text = member.read().decode("ascii", "replace").strip()
                try:
                    found[match[1], match[2]] = CLASSES[int(float(text))]
                except (ValueError, KeyError, OverflowError):
                    wrong.append(f"{name}: {text[:20]}")
        refuse_wrong(archive, "Emotion", wrong, "a number of 1 to 7", each="file")
        return found

    def _differences(self) -> list[str]:
        """Where sequences by class and people differ from the stated ones."""
        counts = {name: sum(p.name == name for p in self._all) // self.last for name in SEQUENCES}
        people = len({picture.subject for picture in self._all})
        lines = [f"{name} {counts[name]} sequences, not {n}" for name, n in SEQUENCES.items() if counts[name] != n]
        return lines + ([f"{people} people, not {SUBJECTS}"] if people != SUBJECTS else [])


def _sequences(names: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Frames of each sequence, in their order, by subject and number."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in names:
        if match := _FRAME.fullmatch(name):
            found.setdefault((match[1], match[2]), []).append((int(match[3]), name))
    return {key: [name for _, name in sorted(of)] for key, of in found.items()}
