"""SFEW 2.0, the frames of EmotiW 2015 (Dhall et al. 2011, 2015), in every folder layout it is met in.

Below one folder for each split (``Train``, ``Train_SFEW_2_0``, ``Final_SFEW_2_Train``, ``Val``, ``Test``, ...), itself at
any depth of a folder or archive:

- ``<Class>/Movie_timecode_frame.png``, the class folder once or twice: frames, whose face is to be found;
- ``Train_Aligned_Faces/<Class>/...``: the organisers' aligned faces, used as they are;
- pictures without class folders in ``Test``: labels withheld.
"""

from typing import Any

from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ReleaseError
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.releases.frames import FramesRelease, count_pictures
from fer_transfer.releases.sfew_layout import Layout, read_layout

#: SFEW 2.0 (EmotiW 2015) by class, in the canonical order; Test has 372 frames without labels.
PUBLISHED = {"Train": (178, 66, 98, 198, 172, 96, 150), "Val": (77, 23, 47, 73, 73, 57, 86)}
PUBLISHED_TEST = 372


class SFEWRelease(FramesRelease):
    """SFEW 2.0, or anything laid out like it, for ``fer-prepare``.

    Args:
        path: a folder or an archive.
        pipeline: how frames become faces.
        aligned: ``true``: the organisers' aligned faces; ``false``: the frames; ``auto``: the frames where they are there.
        aligned_size: (height, width) of an aligned face that stands among the frames; None: none does.
        note: a caveat to stand beside every number made from this release ("stand-in: LFW photographs").
        name: the word that plans use for the faces.
    """

    def __init__(
        self,
        path: str,
        pipeline: FacePipeline,
        aligned: bool | str = "auto",
        aligned_size: tuple[int, int] | None = None,
        note: str | None = None,
        name: str = "emotiw",
    ) -> None:
        if str(aligned).lower() not in ("true", "false", "auto"):
            raise ReleaseError(f"Expected true, false or auto for release.aligned, but got {aligned!r}.")
        super().__init__(path, pipeline, aligned_size=aligned_size, note=note, name=name)
        self.aligned = str(aligned).lower()

    def settings(self) -> dict[str, Any]:
        """How frames become faces; another choice means preparing again."""
        return {**super().settings(), "reader": "SFEW", "aligned": self.aligned}

    def _hint(self) -> str:
        return "; SFEW 2.0 is given out by the EmotiW organisers on request, and release=synthetic_emotiw needs no data"

    def _read_layout(self, names: list[str]) -> Layout:
        return read_layout(self.path, names, self.aligned)

    def caveats(self) -> list[str]:
        """Synthetic; the user's note; other counts than the published ones."""
        differs = not self._synthetic and self._differences()
        return super().caveats() + (["class counts differ from the published SFEW 2.0"] if differs else [])

    def report(self) -> dict[str, Any]:
        """Counts, lost faces by split and class, movies that stand in two splits, differences from the published counts."""
        layout = self._scanned
        return {
            **super().report(),
            "pictures": "the organisers' aligned faces" if layout.aligned else "frames",
            "both kinds there": layout.both,
            "differences": self._differences(),
            "movies": layout.movies(),
            "movies in two splits": layout.movies_in_two_splits(),
        }

    def _differences(self) -> list[str]:
        counts = count_pictures(self._scanned.pictures)
        lines = []
        for split, published in PUBLISHED.items():
            wanted = dict(zip(EXPRESSIONS, published, strict=True))
            here = counts.get(split, {})
            wrong = [f"{name} {here.get(name, 0)} not {n}" for name, n in wanted.items() if here.get(name, 0) != n]
            if wrong:
                lines.append(f"{split}: {', '.join(wrong)}")
        if (test := sum(counts.get("Test", {}).values())) != PUBLISHED_TEST:
            lines.append(f"Test: {test} not {PUBLISHED_TEST}")
        return lines

    def summary(self) -> list[str]:
        """Found of all by split and class, movies in two splits, and differences from the published counts."""
        report = self.report()
        lines = [f"EmotiW (SFEW): {report['pictures']}", *super().summary()]
        if report["both kinds there"]:
            other = "false for the frames" if self._scanned.aligned else "true for the organisers' aligned faces"
            lines.append(f"frames and aligned faces are both there; release.aligned={other}")
        if "Test" not in report["counts"]:
            lines.append("Test: not there, so no submission can be made")
        for pair, movies in report["movies in two splits"].items():
            lines.append(
                f"{pair}: {len(movies)} movies in both ({', '.join(movies[:3])}{', ...' if len(movies) > 3 else ''})"
            )
        if not self._synthetic:
            agree = ["class counts agree with the published SFEW 2.0"]
            lines += [f"published SFEW 2.0 differs, {line}" for line in report["differences"]] or agree
        return lines
