"""SFEW 2.0, the frames of EmotiW 2015, in every folder layout it is met in (``sfew_layout``).

========  ==============================================================================================================
What      Frames of movies, 720x576 colour, around one actor's expression: key frames of AFEW's clips, chosen by
          clustering facial points. The paper's small target, scored by overall accuracy
Made by   Abhinav Dhall, Roland Goecke, Simon Lucey, Tom Gedeon and the EmotiW organisers
Licence   Signed agreement with the organisers; may not be redistributed, so no picture stands in a report or goes to a
          tracker (``release.may_be_shown`` is false)
To get    Ask the EmotiW organisers; not downloaded here. ``release=synthetic_emotiw`` needs no data
Size      Train 958, Val 436, Test 372. Of these the paper found 921, 429 and 372 faces
Classes   Train and Val: Angry 178/77, Disgust 66/23, Fear 98/47, Happy 198/73, Neutral 150/86, Sad 172/73, Surprise
          96/57. Folders in alphabetical order, which is not FER-2013's
Splits    The challenge's. Test is flat, its labels withheld: predictions go to the organisers in a zip of one .txt for
          each picture (``reports.emotiw_zip``)
Forms     One folder a split (``Train``, ``Train_SFEW_2_0``, ``Final_SFEW_2_Train``, ...) at any depth of a folder or
          archive. In it ``<Class>/Movie_timecode_frame.png``, the class folder once or twice: frames.
          ``Train_Aligned_Faces/<Class>/``: the organisers' aligned faces, 143x181, used as they are
Faults    About 130 of the organisers' aligned faces show no face or a bad cut. File names tell the movie: movies that
          stand in two splits are counted. Baseline of 2015: 35.96 % on Val, 39.13 % on Test
Sources   Dhall et al. 2011, ICCV workshop BeFIT (SFEW); Dhall et al. 2015, ICMI (2.0, counts, baseline); Ng et al. 2015
          (faces found)
========  ==============================================================================================================
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.limits import LIMITS, Limits
from fer_transfer.labels import EXPRESSIONS, SEVEN, UNLABELLED, LabelSet
from fer_transfer.releases.frames import FramesRelease, count_pictures
from fer_transfer.releases.listing import ClassMap, left_out_line, names_given, refuse_absent
from fer_transfer.releases.sfew_layout import Layout, is_picture, read_layout

#: What the organisers state: frames by class, in the canonical order; Test has no labels.
STATED_COUNTS = {"Train": (178, 66, 98, 198, 172, 96, 150), "Val": (77, 23, 47, 73, 73, 57, 86)}
STATED_TEST = 372


class SFEWRelease(FramesRelease):
    """SFEW 2.0, or anything laid out like it, for ``fer-prepare``.

    Args:
        path: a folder or an archive.
        pipeline: how frames become faces.
        aligned: ``true``: the organisers' aligned faces; ``false``: the frames; ``auto``: the frames where they are there.
        aligned_size: (height, width) of an aligned face that stands among the frames; None: none does.
        note: a caveat to stand beside every number made from this release ("stand-in: LFW photographs").
        name: the word that plans use for the faces.
        limits: how much is read at most, and how long for one frame.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers; SFEW's own may not.
        labels: whose classes the labels are of.
        leave_out: names of class folders whose pictures are left out.
    """

    def __init__(
        self,
        path: str,
        pipeline: FacePipeline,
        aligned: bool | str = "auto",
        aligned_size: tuple[int, int] | None = None,
        note: str | None = None,
        name: str = "emotiw",
        limits: Limits = LIMITS,
        may_be_shown: bool = False,
        labels: LabelSet = SEVEN,
        leave_out: Sequence[str] = (),
    ) -> None:
        if str(aligned).lower() not in ("true", "false", "auto"):
            raise ReleaseError(f"Expected true, false or auto for release.aligned, but got {aligned!r}.")
        super().__init__(
            path, pipeline, aligned_size=aligned_size, note=note, name=name, limits=limits, may_be_shown=may_be_shown,
            labels=labels,
        )  # fmt: skip
        self.aligned = str(aligned).lower()
        self.classes = ClassMap({}, names_given(leave_out, "leave_out"), labels)
        self._left = Counter[str]()

    def settings(self) -> dict[str, Any]:
        """How frames become faces; another choice means preparing again."""
        return {**super().settings(), "reader": "SFEW", "aligned": self.aligned, **self.classes.chosen}

    def _hint(self) -> str:
        return "; SFEW 2.0 is given out by the EmotiW organisers on request, and release=synthetic_emotiw needs no data"

    def _read_layout(self, archive: Archive) -> Layout:
        of = {name: self._left_class(name) for name in archive.names if is_picture(name)}
        self._left = Counter(name for name in of.values() if name)
        layout = read_layout(self.path, [name for name in archive.names if not of.get(name)], self.aligned, self.labels)
        if self.classes.leave_out:
            counts = self._left + Counter(
                self.labels.classes[p.label] for p in layout.pictures if p.label != UNLABELLED
            )
            here = [name.casefold() for name in self._left]
            refuse_absent("leave_out", [name for name in self.classes.leave_out if name.casefold() not in here], counts)
        return layout

    def _left_class(self, name: str) -> str:
        """The class folder of a picture that is left out; empty of one that is kept."""
        return next((folder for folder in PurePosixPath(name).parts[:-1] if self.classes.leaves_out(folder)), "")

    def caveats(self) -> list[str]:
        """Synthetic; the user's note; other counts than the organisers state."""
        differs = not self._synthetic and self._differences()
        lacks = self.labels.beyond(filter(self.labels.knows, EXPRESSIONS))
        without = [f"no faces of {', '.join(lacks)}"] if lacks else []
        other = ["class counts differ from those stated for SFEW 2.0"] if differs else []
        return super().caveats() + self.classes.caveats + without + other

    def _counted(self) -> dict[str, Any]:
        """Counts, lost faces by split and class, movies that stand in two splits, differences from the stated counts."""
        layout = self._scanned
        return {
            **super()._counted(),
            "pictures": "the organisers' aligned faces" if layout.aligned else "frames",
            "both kinds there": layout.both,
            "differences": self._differences(),
            **({"left out": dict(self._left)} if self._left else {}),
            "movies": layout.movies(),
            "movies in two splits": layout.movies_in_two_splits(),
        }

    def _differences(self) -> list[str]:
        counts = count_pictures(self._scanned.pictures, self.labels.classes)
        lines = []
        for split, stated in STATED_COUNTS.items():
            by_class = zip(EXPRESSIONS, stated, strict=True)
            wanted = self.labels.counted((name, n) for name, n in by_class if not self.classes.leaves_out(name))
            here = counts.get(split, {})
            wrong = [f"{name} {here.get(name, 0)} not {n}" for name, n in wanted.items() if here.get(name, 0) != n]
            if wrong:
                lines.append(f"{split}: {', '.join(wrong)}")
        if (test := sum(counts.get("Test", {}).values())) != STATED_TEST:
            lines.append(f"Test: {test} not {STATED_TEST}")
        return lines

    def summary(self) -> list[str]:
        """Found of all by split and class, movies in two splits, and differences from the stated counts."""
        report = self.report()
        lines = [f"EmotiW (SFEW): {report['pictures']}", *super().summary()]
        if report["both kinds there"]:
            other = "false for the frames" if self._scanned.aligned else "true for the organisers' aligned faces"
            lines.append(f"frames and aligned faces are both there; release.aligned={other}")
        if "Test" not in report["counts"]:
            lines.append("Test: not there, so no submission can be made")
        lines += left_out_line(self._left)
        for pair, movies in report["movies in two splits"].items():
            lines.append(
                f"{pair}: {len(movies)} movies in both ({', '.join(movies[:3])}{', ...' if len(movies) > 3 else ''})"
            )
        if not self._synthetic:
            agree = ["class counts agree with those stated for SFEW 2.0"]
            lines += [f"other counts than stated for SFEW 2.0, {line}" for line in report["differences"]] or agree
        return lines
