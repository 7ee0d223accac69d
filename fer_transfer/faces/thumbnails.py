"""Small pictures of prepared faces, for reports and trackers; none of a release that may not be shown."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import FacesError
from fer_transfer.faces.faces import Faces
from fer_transfer.files.names import shown

#: Sides of a thumbnail in pixels, at most; FER-2013's faces have 48.
SIDE = 64


def thumbnails(faces: Faces, ids: Iterable[str], side: int = SIDE) -> dict[str, NDArray[np.uint8]]:
    """Small pictures of some faces, by id, in the order given.

    Args:
        faces: prepared faces that may be shown (``faces.may_be_shown``; ask before, where a report should go on without).
        ids: of faces that are there.
        side: of a thumbnail at most, in pixels; smaller faces keep their size.

    Returns:
        uint8 [height, width], grey, or [height, width, 3], RGB, each, 0..255.

    Raises:
        FacesError: if the release may not be shown, or has no face of an id.
    """
    if not faces.may_be_shown:
        raise FacesError(
            f"Expected faces that may be shown in {faces.folder}, but pictures of {faces.name} stay out of reports and trackers. "
            "Where its licence allows it, repeat the fer-prepare command with release.may_be_shown=true; nothing is read again."
        )
    wanted = list(dict.fromkeys(ids))
    rows = dict(zip(faces.ids.tolist(), range(len(faces)), strict=True))
    if unknown := [id for id in wanted if id not in rows]:
        first = ", ".join(map(shown, unknown[:3]))
        raise FacesError(f"Expected these faces in {faces.folder}, but {len(unknown)} are not there: {first}.")
    return {id: reduced(np.array(faces.pixels[rows[id]]), side) for id in wanted}


def webp(pixels: NDArray[np.uint8], quality: int = 80) -> bytes:
    """A picture (uint8 [height, width], grey, or [height, width, 3], BGR) as bytes of WebP: a grey face of 64x64 takes about 600.

    >>> webp(np.zeros((8, 8), np.uint8))[8:12]
    b'WEBP'
    """
    done, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done
    return bytes(data)


def reduced(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """The picture, or a smaller one of the same proportions whose longer side is the given one."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
