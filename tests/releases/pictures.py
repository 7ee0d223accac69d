"""Small pictures on disk, for fake releases."""

import zlib
from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, side: int | tuple[int, int] = 24) -> Path:
    """A picture of noise that its path decides, in the format of its extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (side, side) if isinstance(side, int) else side
    noise = np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 256, (*shape, 3), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


#: Of fer-prepare: what makes it fast.
FAST = ["pipeline=box", "pipeline.crop.size=16", "workers=1"]
