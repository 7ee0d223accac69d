"""What is asked of fer-predict besides a model and pictures, checked before anything heavy is imported."""

import math
from dataclasses import dataclass
from pathlib import Path

from fer_transfer.errors import ConfigError
from fer_transfer.inference.methods import method_asked

#: How probabilities may be smoothed over time (``following``).
SMOOTHING = ("none", "exponential", "window")


@dataclass
class Asked:
    """What is wanted of the pictures.

    Attributes:
        faces: ``all``, ``one``, or ``auto``: one of every picture of a labelled folder, otherwise all.
        smooth, smooth_seconds: over time, of a video or camera (``following``).
        follow: through a video, faces from frame to frame where the pipeline can.
        threads: that search at a time; None: one a core.
        out: a new folder, or None.
        annotate: whether pictures with their faces drawn are written there.
        saliency: whether what spoke for each face's expression is drawn there; a word says by which method.
        replace: whether a folder that is there may be replaced.
    """

    faces: str = "auto"
    smooth: str = "none"
    smooth_seconds: float = 0.5
    follow: bool = True
    threads: int | None = None
    out: str | None = None
    annotate: bool = True
    saliency: str = "false"
    replace: bool = False

    def __post_init__(self) -> None:
        if self.faces not in ("auto", "all", "one"):
            raise ConfigError(f"Expected faces to be auto, all or one, but got {self.faces!r}.")
        if self.smooth not in SMOOTHING or not 0 < self.smooth_seconds < math.inf:
            raise ConfigError(
                f"Expected smooth to be one of {', '.join(SMOOTHING)} and smooth_seconds above 0, but got {self.smooth!r} and "
                f"{self.smooth_seconds}."
            )
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"Expected threads to be at least 1 or null, but got {self.threads}.")
        if self.method is not None and self.folder is None:
            raise ConfigError("Expected a folder to draw saliency into, but got none. Give out=FOLDER.")

    @property
    def method(self) -> str | None:
        """Of saliency; None where it was not asked for."""
        return method_asked(self.saliency)

    @property
    def folder(self) -> Path | None:
        """Where to write."""
        return Path(self.out).expanduser() if self.out else None
