"""Faces rendered from parameters: who (``Person``), what the face does (muscles), and how it is seen (``Pose``)."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.canvas import scale_for
from fer_transfer.synthetic.face_shape import LEFT_EYE, RIGHT_EYE, face_shape
from fer_transfer.synthetic.head_mesh import ATLAS, ear_vertices, head_points, topology
from fer_transfer.synthetic.muscles import expressed
from fer_transfer.synthetic.person import Person, Points
from fer_transfer.synthetic.rasteriser import laid_over, normals, rasterised
from fer_transfer.synthetic.texture import painted

#: Middle of the head, around which it turns, and distance of the camera, in eye distances.
_PIVOT = np.array([0.0, 0.3, 0.6])
_CAMERA = 16.0


@dataclass(frozen=True)
class Pose:
    """How a face is seen: ``centre`` (x, y) between the eyes and eye distance ``scale`` in pixels, angles in radians.

    ``light`` is where light comes from, to the right and downwards (0, 0 is from the viewer); ``gain`` its strength;
    ``gaze`` how far the eyes look right and down, in eye distances on the eyeball.
    """

    centre: tuple[float, float]
    scale: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    light: tuple[float, float] = (0.0, 0.0)
    gain: float = 1.0
    gaze: tuple[float, float] = (0.0, 0.0)


def draw_face(
    picture: NDArray[np.uint8], person: Person, muscles: Points, pose: Pose, cloth: Points | None = None
) -> Points:
    """Render a head into a picture.

    Args:
        picture: uint8 [H, W, 3], BGR; changed in place.
        person: who.
        muscles: float [2, len(MUSCLES)].
        pose: where and from which side.
        cloth: colour of a chest below the head, float [3], BGR 0..255; None leaves it out.

    Returns:
        float64 [2, 2]: (x, y) of the two eye centres in pixels, the picture's left one first; (0, 0) is the centre of
        the top left pixel. Each is the mean of the six projected points around the eye.
    """
    rest = expressed(person.shape, np.zeros_like(muscles), person.lips_apart)
    face = expressed(person.shape, muscles, person.lips_apart)
    points, uv = head_points(face, rest, person, pose.gaze)
    view = _View(face, pose)
    seen, turned = view.seen(points)
    light = _light(points, turned, pose)
    eyes = np.stack([seen[list(RIGHT_EYE), :2].mean(0), seen[list(LEFT_EYE), :2].mean(0)])
    low = np.floor(np.maximum(seen[:, :2].min(0) - 2, 0)).astype(int)
    high = np.ceil(np.minimum(seen[:, :2].max(0) + 3, picture.shape[1::-1])).astype(int)
    if person.long_hair:
        _long_hair(picture, person, view, float(light.mean()))
    if cloth is not None:
        _torso(picture, pose, cloth)
    texture = painted(person, muscles, scale := scale_for(pose.scale))
    from_corner = seen - (low[0], low[1], 0)
    size = (max(1, int(high[1] - low[1])), max(1, int(high[0] - low[0])))
    values = np.c_[(uv - ATLAS[:2]) * scale - 0.5, light]
    drawn, on = rasterised(from_corner, topology().triangles, values, size)
    patch = cv2.remap(texture, drawn[..., 0], drawn[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lit = patch * drawn[..., 2:]
    mask = cv2.blur(on.astype(np.float32), (3, 3)) * on
    laid_over(picture, lit, mask, (int(low[0]), int(low[1])))
    if person.glasses:
        _glasses(picture, face, view)
    return eyes


class _View:
    """A camera whose picture has a face's eyes where the pose wants them."""

    def __init__(self, face: Points, pose: Pose) -> None:
        sin_y, sin_p, sin_r = np.sin([pose.yaw, pose.pitch, pose.roll]).tolist()
        cos_y, cos_p, cos_r = np.cos([pose.yaw, pose.pitch, pose.roll]).tolist()
        yaw = np.array([[cos_y, 0, -sin_y], [0, 1, 0], [sin_y, 0, cos_y]])
        pitch = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
        roll = np.array([[cos_r, -sin_r, 0], [sin_r, cos_r, 0], [0, 0, 1]])
        self._turn, self.pose = roll @ pitch @ yaw, pose
        self._middle = self._flat((face[list(RIGHT_EYE + LEFT_EYE)] - _PIVOT) @ self._turn.T).mean(0)

    def seen(self, points: Points) -> tuple[Points, Points]:
        """Pixels and depth in pixels [V, 3], and the points turned, [V, 3] in eye distances."""
        turned = (points - _PIVOT) @ self._turn.T
        flat = (self._flat(turned) - self._middle) * self.pose.scale + self.pose.centre
        return np.c_[flat, turned[:, 2] * self.pose.scale], turned

    def _flat(self, turned: Points) -> Points:
        flat: Points = turned[:, :2] * (_CAMERA / (_CAMERA + turned[:, 2:] + _PIVOT[2]))
        return flat


@lru_cache(maxsize=1)
def _learned_light() -> Points:
    """Light on the mean face in the photographs that the mean brightness was learned from: from the front, above."""
    shape = face_shape()
    light: Points = 0.42 + 0.62 * np.maximum(0, normals(shape.mean, shape.triangles) @ np.array([0, -0.24, -0.97]))
    return light


def _light(points: Points, turned: Points, pose: Pose) -> Points:
    """Light on each vertex, float64 [V]: how it falls now over how it fell on the learned mean brightness."""
    triangles = topology().triangles
    towards = np.array([3.0 * pose.light[0], 3.0 * pose.light[1] - 0.25, -1.0])
    towards /= np.linalg.norm(towards)
    now = 0.42 + 0.62 * np.maximum(0, normals(turned, triangles) @ towards)
    before = _learned_light()
    ratio: Points = now.copy()
    ratio[: len(before)] /= before
    ratio[len(before) :] *= np.where(points[len(before) :, 1] > 0.9, 0.82, 1.0)  # the chin's shadow
    for ear, beside in zip(ear_vertices(), (234, 454), strict=True):
        ratio[ear] = 0.85 * ratio[beside]
    return np.clip(ratio, 0.2, 1.4) * pose.gain


def _long_hair(picture: NDArray[np.uint8], person: Person, view: _View, light: float) -> None:
    """Hair that falls behind the face, to the shoulders."""
    angle = np.linspace(np.pi, 2 * np.pi, 15)
    wide = 1.2 * person.skull + person.volume
    top = np.stack([wide * np.cos(angle), 0.1 + 1.2 * np.sin(angle), np.full(15, 1.3)], axis=1)
    length = 1.9 + 1.2 * (person.seed % 7) / 7
    low = np.array([(wide * 1.05, length, 1.2), (wide * 0.6, length + 0.25, 1.2)])
    outline = np.concatenate([top, low, low[::-1] * (-1, 1, 1)])
    colour = tuple((np.array(person.hair) * 0.7 * light).tolist())
    cv2.fillPoly(picture, [np.rint(view.seen(outline)[0][:, :2] * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def _torso(picture: NDArray[np.uint8], pose: Pose, colour: Points) -> None:
    """Shoulders and chest under the neck, lit from above."""
    x = np.array([-3.4, -2.7, -1.2, -0.6, 0.6, 1.2, 2.7, 3.4])
    y = np.array([9.0, 3.3, 2.45, 2.1, 2.1, 2.45, 3.3, 9.0])
    turn = np.array([[np.cos(pose.roll / 2), -np.sin(pose.roll / 2)], [np.sin(pose.roll / 2), np.cos(pose.roll / 2)]])
    for shrunk, light in ((1.0, 0.62), (0.94, 0.8), (0.86, 0.92)):
        outline = np.stack([x * shrunk, y + 0.8 * (1 - shrunk)], axis=1) @ turn.T * pose.scale + pose.centre
        fixed = np.rint(np.clip(outline, -3000, 3000) * 16).astype(np.int32)
        cv2.fillPoly(picture, [fixed], (colour * light * pose.gain).tolist(), cv2.LINE_AA, 4)


def _glasses(picture: NDArray[np.uint8], face: Points, view: _View) -> None:
    angle = np.linspace(0, 2 * np.pi, 24)
    rims = []
    for eye in (RIGHT_EYE, LEFT_EYE):
        rim = np.stack([0.34 * np.cos(angle), 0.04 + 0.26 * np.sin(angle), np.full(24, -0.22)], axis=1)
        rims.append(face[list(eye)].mean(0) + rim)
    left, right = rims
    temples = [np.stack([left[12], face[234] + (0, -0.15, -0.3)]), np.stack([right[0], face[454] + (0, -0.15, -0.3)])]
    lines = [*rims, np.stack([left[0], right[12]]), *temples]
    fixed = [np.rint(view.seen(line)[0][:, :2] * 16).astype(np.int32) for line in lines]
    thick = max(1, round(0.03 * view.pose.scale))
    cv2.polylines(picture, fixed, False, (28, 26, 26), thick, cv2.LINE_AA, 4)
