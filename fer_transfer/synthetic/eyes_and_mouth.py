"""What shows through the openings of a face, on the lower strip of its texture: eyeballs, teeth and tongue."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.canvas import Skin
from fer_transfer.synthetic.head_mesh import ATLAS, EYE_GRAIN, MOUTH_GRAIN, MOUTH_PLACE


def paint_plain(
    skin: Skin, out: NDArray[np.uint8], place: tuple[float, float], half: float, colour: tuple[float, ...]
) -> None:
    """A square of one colour, for parts whose skin shows nothing: neck and ears."""
    x, y = ((np.array(place) - ATLAS[:2]) * skin.scale).astype(int)
    size = max(2, round(half * skin.scale))
    out[y - size : y + size, max(0, x - size) : x + size] = np.clip(np.array(colour) * 0.95, 0, 255).astype(np.uint8)


def paint_eye(skin: Skin, out: NDArray[np.uint8], place: tuple[float, float]) -> None:
    """An eyeball: white, iris, pupil and a gleam; lids cover what does not show."""
    unit = EYE_GRAIN * skin.scale * 16
    centre = skin.place(np.array(place))
    x, y = int(centre[0]), int(centre[1])

    def disc(dx: float, dy: float, radius: float, colour: tuple[float, float, float]) -> None:
        at = (x + round(dx * unit), y + round(dy * unit))
        cv2.circle(out, at, max(8, round(radius * unit)), colour, -1, cv2.LINE_AA, 4)

    half = (round(0.38 * unit / 16), round(0.22 * unit / 16))
    out[y // 16 - half[1] : y // 16 + half[1], x // 16 - half[0] : x // 16 + half[0]] = (128, 134, 156)
    cv2.ellipse(out, (x // 16, y // 16), (round(0.3 * unit / 16), half[1]), 0, 0, 360, (178, 184, 194), -1, cv2.LINE_AA)
    iris = np.array(skin.person.iris)
    disc(0, 0, 0.106, tuple((iris * 0.45).tolist()))
    disc(0, 0, 0.092, tuple(iris.tolist()))
    disc(0, 0.012, 0.06, tuple(np.minimum(255, iris * 1.25).tolist()))
    disc(0, 0, 0.04, (8, 8, 10))
    disc(-0.03, -0.032, 0.018, (235, 235, 235))


def paint_mouth(skin: Skin, out: NDArray[np.uint8]) -> None:
    """Teeth as far as the upper lip shows them, tongue below, dark between."""
    does = skin.does
    show = 0.01 + 0.13 * max(0.0, does["Happy"]) + 0.07 * max(0.0, does["upper_lip"]) + 0.05 * max(0.0, does["stretch"])
    show += 0.06 * max(0.0, does["Angry"]) + 0.08 * max(0.0, does["corner"]) + 0.04 * max(0.0, does["Disgust"])
    show = min(0.17, show - 0.03 * max(0.0, does["Surprise"])) * MOUTH_GRAIN
    u, v = MOUTH_PLACE
    box = np.array([(u - 0.6, v - 0.06), (u + 0.6, v - 0.06), (u + 0.6, v + 0.57), (u - 0.6, v + 0.57)])
    cv2.fillConvexPoly(out, skin.place(box), (26, 18, 38), cv2.LINE_8, 4)
    tongue = skin.place(np.array([(u, v + 0.42)]))[0]
    axes = (round(0.27 * skin.scale), round(0.17 * skin.scale))
    cv2.ellipse(out, (int(tongue[0]) // 16, int(tongue[1]) // 16), axes, 0, 0, 360, (58, 52, 120), -1, cv2.LINE_AA)
    across = np.linspace(-0.33, 0.33, 13)
    edge = np.c_[u + across, v + show * (1 - 3.0 * across**2)]
    teeth = np.concatenate([edge, [(u + 0.33, v - 0.06), (u - 0.33, v - 0.06)]])
    if show < 0.03:
        return
    cv2.fillPoly(out, [skin.place(teeth)], (165, 184, 194), cv2.LINE_AA, 4)
    if skin.scale > 60:
        gaps = [np.array([(u + x, v - 0.05), (u + x, v + show)]) for x in across[1:-1]]
        cv2.polylines(out, [skin.place(gap) for gap in gaps], False, (140, 160, 172), 1, cv2.LINE_AA, 4)
