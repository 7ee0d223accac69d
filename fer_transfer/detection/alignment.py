"""Cutting a face by its eyes: rotation, scale and box of Ng et al. 2015, in one interpolation.

The eye centres are level in the crop; the box reaches 0.62 e2e to each side of them, 0.9 e2e above and 1.35 e2e below
the line between them (e2e = eye-to-eye distance): 2.24 x 2.25 e2e. The crop is the square around that box, so nothing is
stretched to one side.

Points are (x, y) in pixels; (0, 0) is the centre of the top left pixel. Eyes are float [2, 2], the person's right one
first: the left one in the picture of an upright face.
"""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.crop import stretch_range
from fer_transfer.errors import ConfigError

Points = NDArray[np.float64]

#: Pairs of points that distances may be measured between: landmarks of the person's right and left eye; None for the
#: eye centres.
_PAIRS = {"centres": None, "outer_corners": (33, 263), "inner_corners": (133, 362)}

_BORDERS = {
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "black": cv2.BORDER_CONSTANT,
}


@dataclass(frozen=True)
class Alignment:
    """How a face is cut by its eyes.

    Attributes:
        size: height and width of the crop in pixels (the paper: 256).
        side: reach of the box to each side, in e2e.
        above: reach above the line between the eye centres, in e2e.
        below: reach below it, in e2e.
        e2e: the two points that e2e is measured between: ``centres``, ``outer_corners`` or ``inner_corners``.
        sides_from: the two points that the reach to the sides starts from. The paper tells neither; its box is
            square, 2.24 x 2.25 e2e, where both are the same two points.
        border: what stands where the crop reaches beyond the frame: ``replicate`` its edge, ``reflect`` it, or ``black``.
        stretch: whether the darkest and brightest pixel of the crop become 0 and 255 (the paper).

    Raises:
        ConfigError: if an option is out of range.

    >>> Alignment().corners(np.array([[100.0, 100.0], [200.0, 100.0]])).round(1).tolist()
    [[37.5, 10.0], [262.5, 10.0], [262.5, 235.0], [37.5, 235.0]]
    """

    size: int = 256
    side: float = 0.62
    above: float = 0.9
    below: float = 1.35
    e2e: str = "centres"
    sides_from: str = "centres"
    border: str = "replicate"
    stretch: bool = True

    def __post_init__(self) -> None:
        if self.size < 8 or min(self.side, self.above, self.below) <= 0:
            raise ConfigError(
                "Expected an alignment of size >= 8 and side, above and below > 0, but got "
                f"size={self.size}, side={self.side}, above={self.above}, below={self.below}. Change pipeline.crop."
            )
        if not {self.e2e, self.sides_from} <= set(_PAIRS) or self.border not in _BORDERS:
            raise ConfigError(
                f"Expected e2e and sides_from to be one of {', '.join(_PAIRS)} and border one of {', '.join(_BORDERS)}, "
                f"but got {self.e2e!r}, {self.sides_from!r} and {self.border!r}. Change pipeline.crop."
            )

    def settings(self) -> dict[str, Any]:
        """The options, as plain JSON; faces cut by other ones are other faces."""
        return {"crop": "aligned by the eyes", **asdict(self)}

    def matrix(self, eyes: Points, points: NDArray[np.float32] | None = None) -> Points:
        """The similarity transform from the frame to the crop, float64 [2, 3], for points as columns (x, y, 1).

        Args:
            eyes: float [2, 2], two different points.
            points: float32 [468, 2], all landmarks; needed unless both distances start from the eye centres.
        """
        across = eyes[1] - eyes[0]
        ends = _pair(self.e2e, eyes, points)
        turn = np.array([across, [-across[1], across[0]]]) / np.hypot(*across)  # rows: along the eyes, down the face
        e2e = float(np.hypot(*(ends[1] - ends[0])))
        (start, end), level = _pair(self.sides_from, eyes, points) @ turn[0], float(eyes.mean(axis=0) @ turn[1])
        side = max(end - start + 2 * self.side * e2e, (self.above + self.below) * e2e)
        middle = np.array([(start + end) / 2, level + (self.below - self.above) / 2 * e2e])
        scale = self.size / side
        matrix = np.empty((2, 3))
        matrix[:, :2], matrix[:, 2] = scale * turn, (self.size - 1) / 2 - scale * middle
        return matrix

    def corners(self, eyes: Points, points: NDArray[np.float32] | None = None) -> Points:
        """The outer corners of the crop in the frame, float64 [4, 2]: top left, top right, bottom right, bottom left."""
        return self._corners(self.matrix(eyes, points))

    def cut(
        self, picture: NDArray[np.uint8], eyes: Points, points: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        """Cut a face out of a frame, grey or RGB.

        Args:
            picture: uint8 [H, W], or [H, W, 3].
            eyes: float [2, 2].
            points: as for ``matrix``.

        Returns:
            uint8 [size, size], or [size, size, 3]. One bilinear interpolation straight from the frame; where the crop is smaller
            than what it shows, the frame is smoothed first (a Gaussian that leaves as much blur a crop pixel as a frame pixel
            has, taken as 0.5 pixels; Lowe 2004), so that nothing aliases. Rounded once, after the stretch.
        """
        matrix = self.matrix(eyes, points)
        shrink = 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
        sigma = 0.5 * np.sqrt(shrink**2 - 1) if shrink > 1 else 0.0
        border = _BORDERS[self.border]
        part, left, top = _around(picture, self._corners(matrix), 4 * sigma + 2)
        if sigma > 0.1:
            part = cv2.GaussianBlur(part, (0, 0), sigma, borderType=border)
        matrix[:, 2] += matrix[:, :2] @ (left, top)
        face = cv2.warpAffine(part, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=border)
        if self.stretch:
            return stretch_range(face)
        rounded: NDArray[np.uint8] = np.rint(face).astype(np.uint8)
        return rounded

    def _corners(self, matrix: Points) -> Points:
        far = self.size - 0.5
        outer = [[-0.5, -0.5], [far, -0.5], [far, far], [-0.5, far]]
        return _apply(cv2.invertAffineTransform(matrix), outer)


def _pair(kind: str, eyes: Points, points: NDArray[np.float32] | None) -> Points:
    pair = _PAIRS[kind]
    if pair is None:
        return eyes
    assert points is not None, "corners are landmarks"
    return points[list(pair)].astype(np.float64)


def _around(picture: NDArray[np.uint8], corners: Points, margin: float) -> tuple[NDArray[np.float32], int, int]:
    """The part of the frame around the crop as float32, and where its top left pixel lies (a pixel at least)."""
    height, width = picture.shape[:2]
    low, high = np.floor(corners.min(axis=0) - margin), np.ceil(corners.max(axis=0) + margin)
    left, top = (int(v) for v in np.clip(low, 0, (width - 1, height - 1)))
    right, bottom = (int(v) for v in np.clip(high, (left, top), (width - 1, height - 1)))
    return picture[top : bottom + 1, left : right + 1].astype(np.float32), left, top


def beyond(corners: Points, shape: tuple[int, ...]) -> bool:
    """Whether a crop with these corners reaches more than a pixel beyond a frame of shape (height, width) or (height, width, 3).

    >>> beyond(np.array([[0.0, 0.0], [9.0, 9.0]]), (10, 10)), beyond(np.array([[-3.0, 0.0], [5.0, 5.0]]), (10, 10))
    (False, True)
    """
    height, width = shape[:2]
    return bool((corners < -1.5).any() or (corners > (width + 0.5, height + 0.5)).any())


def _apply(matrix: Points, points: Any) -> Points:
    moved: Points = np.asarray(points, float) @ matrix[:, :2].T + matrix[:, 2]
    return moved
