"""Pictures around drawn faces: small grey photographs as in FER-2013, and coloured movie frames as in SFEW."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.releases.drawing import Pose, draw_face
from fer_transfer.releases.person import Person, Points, random_muscles, random_person

Picture = NDArray[np.uint8]

#: Height of a head, hair to chin, in eye distances.
HEAD = 3.5


def draw_photograph(rng: np.random.Generator, expression: int, size: int) -> tuple[Picture, Points]:
    """A face cut as FER-2013's are.

    Args:
        rng: source of chance.
        expression: canonical index 0..6.
        size: height and width in pixels.

    Returns:
        uint8 [size, size] grey, and float64 [2, 2] the (x, y) of the eyes, the picture's left one first.
    """
    picture = _background(rng, (size, size), rng.uniform(20, 230, (4, 3)))
    pose = Pose(
        centre=(size * rng.normal(0.49, 0.035), size * rng.normal(0.4, 0.035)),
        scale=size * rng.uniform(0.34, 0.47),
        roll=rng.normal(0, 0.14),
        yaw=rng.normal(0, 0.2),
        pitch=rng.normal(0, 0.1),
        light=(rng.normal(0, 0.16), rng.normal(0, 0.08)),
        gain=rng.uniform(0.75, 1.2),
    )
    eyes = draw_face(picture, random_person(rng), random_muscles(rng, expression), pose)
    if rng.random() < 0.08:
        _occlude(rng, picture, pose)
    grey = _blurred(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), rng.uniform(0.0, 0.9)).astype(np.float32)
    grey = (grey - 128) * rng.uniform(0.6, 1.15) + 128 + rng.normal(0, 14)
    grey += rng.normal(0, rng.uniform(1, 8), grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), eyes


@dataclass(frozen=True)
class Movie:
    """What the frames of one movie share: cast, colours (BGR 0..255), light and grading."""

    title: str
    cast: tuple[Person, ...]
    palette: Points
    tint: Points
    gamma: float
    light: tuple[float, float]
    grain: float

    @classmethod
    def random(cls, rng: np.random.Generator, title: str) -> "Movie":
        """A movie with four actors and a look of its own."""
        return cls(
            title=title,
            cast=tuple(random_person(rng) for _ in range(4)),
            palette=np.clip(rng.uniform(15, 190, (6, 1)) + rng.normal(0, 26, (6, 3)), 0, 255),
            tint=rng.normal(1, 0.1, 3),
            gamma=float(rng.uniform(0.8, 1.5)),
            light=(float(rng.normal(0, 0.28)), float(rng.normal(0, 0.1))),
            grain=float(rng.uniform(0.5, 2.5)),
        )


def draw_frame(
    rng: np.random.Generator, expression: int, movie: Movie, size: tuple[int, int]
) -> tuple[Picture, Points]:
    """A coloured frame with one actor, whose head takes 25 to 60 % of its height.

    Args:
        rng: source of chance.
        expression: canonical index 0..6.
        movie: the look to give it.
        size: (height, width) in pixels.

    Returns:
        uint8 [H, W, 3] BGR, and float64 [2, 2] the (x, y) of the eyes, the picture's left one first.
    """
    height, width = size
    picture = _background(rng, size, movie.palette)
    scale = height * rng.uniform(0.25, 0.6) / HEAD
    top, side = 1.8 * scale, 1.3 * scale
    pose = Pose(
        centre=(
            float(np.clip(width * rng.normal(0.5, 0.15), side, width - side)),
            float(np.clip(height * rng.normal(0.42, 0.08), top, height - top)),
        ),
        scale=scale,
        roll=rng.normal(0, 0.11),
        yaw=rng.normal(0, 0.24),
        pitch=rng.normal(0, 0.12),
        light=(movie.light[0] + rng.normal(0, 0.08), movie.light[1]),
        gain=rng.uniform(0.6, 1.1),
    )
    person = movie.cast[int(rng.integers(len(movie.cast)))]
    _torso(picture, pose, movie.palette[int(rng.integers(len(movie.palette)))])
    eyes = draw_face(picture, person, random_muscles(rng, expression, 0.17), pose)
    if rng.random() < 0.08:
        _occlude(rng, picture, pose)
    return _graded(rng, _blurred(picture, rng.uniform(0.0, 0.05) * scale), movie), eyes


def _graded(rng: np.random.Generator, picture: Picture, movie: Movie) -> Picture:
    """Tint, gamma and grain; coarse steps keep the files small, as a movie's compression does."""
    steps = np.linspace(0, 1, 256)[:, None] ** movie.gamma * movie.tint * 255
    table = np.clip(steps, 0, 255).astype(np.uint8)[None]
    noise = np.rint(rng.normal(0, movie.grain, picture.shape[:2])).astype(np.int16)
    grained = np.clip(cv2.LUT(picture, table).astype(np.int16) + noise[..., None], 0, 255)
    steps_of_four: Picture = (grained.astype(np.uint8) & np.uint8(0xFC)) + np.uint8(2)
    return steps_of_four


def _background(rng: np.random.Generator, size: tuple[int, int], palette: Points) -> Picture:
    """Soft clutter in the colours of a palette, float [N, 3]: a gradient, boxes and round things."""
    height, width = size
    corners = palette[rng.integers(len(palette), size=(2, 2))]
    small = cv2.resize(corners, (24, 20), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    for _ in range(int(rng.integers(2, 8))):
        colour = (palette[rng.integers(len(palette))] * rng.uniform(0.6, 1.2)).tolist()
        x, y = int(rng.integers(-4, 24)), int(rng.integers(-4, 20))
        w, h = (int(v) for v in rng.integers(2, 12, 2))
        if rng.random() < 0.6:
            cv2.rectangle(small, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.ellipse(small, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, colour, -1)
    picture: Picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture


def _torso(picture: Picture, pose: Pose, colour: Points) -> None:
    x, y = pose.centre
    s = pose.scale
    centre = (round(x - 3.9 * s * np.sin(pose.roll)), round(y + 3.9 * s))
    cv2.ellipse(picture, centre, (round(2.4 * s), round(2.0 * s)), 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)
    below = (round(centre[0] - 2.4 * s), centre[1]), (round(centre[0] + 2.4 * s), picture.shape[0])
    cv2.rectangle(picture, *below, colour.tolist(), -1)


def _occlude(rng: np.random.Generator, picture: Picture, pose: Pose) -> None:
    """A hand or thing before the edge of the face."""
    angle = rng.uniform(0, 2 * np.pi)
    x = round(pose.centre[0] + 1.1 * pose.scale * np.cos(angle))
    y = round(pose.centre[1] + pose.scale * (0.6 + 1.1 * np.sin(angle)))
    axes = (round(pose.scale * rng.uniform(0.3, 0.7)), round(pose.scale * rng.uniform(0.3, 0.9)))
    colour = rng.uniform(30, 200, 3).tolist()
    cv2.ellipse(picture, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)


def _blurred(picture: Picture, sigma: float) -> Picture:
    blurred: Picture = cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.2 else picture
    return blurred
