"""Pictures around drawn faces: small grey photographs as in FER-2013, and coloured movie frames as in SFEW."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import Person, Points, random_muscles, random_person

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
    fine = 2 * size  # drawn at twice the size and shrunk: soft edges
    picture = _background(rng, (fine, fine), rng.uniform(20, 230, (4, 3)))
    pose = Pose(
        centre=(fine * rng.normal(0.495, 0.03), fine * rng.normal(0.4, 0.03)),
        scale=fine * rng.uniform(0.34, 0.45),
        roll=rng.normal(0, 0.11),
        yaw=rng.normal(0, 0.22),
        pitch=rng.normal(0.02, 0.12),
        light=(rng.normal(0, 0.22), rng.normal(-0.03, 0.12)),
        gain=rng.uniform(0.75, 1.15),
        gaze=(rng.normal(0, 0.03), rng.normal(0, 0.012)),
    )
    cloth = rng.uniform(20, 220, 3)
    eyes = draw_face(picture, random_person(rng), random_muscles(rng, expression), pose, cloth)
    if rng.random() < 0.1:
        _occlude(rng, picture, pose)
    picture = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (size, size), interpolation=cv2.INTER_AREA)
    grey = _blurred(picture, rng.uniform(0.0, 0.8)).astype(np.float32)
    grey = (grey - 128) * rng.uniform(0.7, 1.2) + 128 + rng.normal(0, 14)
    grey += rng.normal(0, rng.uniform(1, 6), grey.shape)
    return _compressed(np.clip(grey, 0, 255).astype(np.uint8), int(rng.integers(60, 95))), (eyes + 0.5) / 2 - 0.5


@dataclass(frozen=True)
class Movie:
    """What the frames of one movie share: cast, colours (BGR 0..255), light, grading and JPEG quality (0..100)."""

    title: str
    cast: tuple[Person, ...]
    palette: Points
    tint: Points
    gamma: float
    light: tuple[float, float]
    grain: float
    quality: int

    @classmethod
    def random(cls, rng: np.random.Generator, title: str) -> "Movie":
        """A movie with four actors and a look of its own."""
        return cls(
            title=title,
            cast=tuple(random_person(rng) for _ in range(4)),
            palette=np.clip(rng.uniform(15, 190, (6, 1)) + rng.normal(0, 26, (6, 3)), 0, 255),
            tint=rng.normal(1, 0.1, 3),
            gamma=float(rng.uniform(0.75, 1.35)),
            light=(float(rng.normal(0, 0.28)), float(rng.normal(0, 0.1))),
            grain=float(rng.uniform(0.5, 2.5)),
            quality=int(rng.integers(45, 92)),
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
        roll=rng.normal(0, 0.1),
        yaw=rng.normal(0, 0.28),
        pitch=rng.normal(0.02, 0.13),
        light=(movie.light[0] + rng.normal(0, 0.1), movie.light[1] + rng.normal(0, 0.06)),
        gain=rng.uniform(0.72, 1.1),
        gaze=(rng.normal(0, 0.035), rng.normal(0, 0.012)),
    )
    person = movie.cast[int(rng.integers(len(movie.cast)))]
    cloth = movie.palette[int(rng.integers(len(movie.palette)))]
    eyes = draw_face(picture, person, random_muscles(rng, expression, 0.14), pose, cloth)
    if rng.random() < 0.1:
        _occlude(rng, picture, pose)
    return _graded(rng, _blurred(picture, rng.uniform(0.0, 0.03) * scale), movie), eyes


def _graded(rng: np.random.Generator, picture: Picture, movie: Movie) -> Picture:
    """Tint, gamma, grain and a movie's compression; coarse steps keep the files small."""
    steps = np.linspace(0, 1, 256)[:, None] ** movie.gamma * movie.tint * 255
    table = np.clip(steps, 0, 255).astype(np.uint8)[None]
    noise = np.rint(rng.normal(0, movie.grain, picture.shape[:2])).astype(np.int16)
    grained = np.clip(cv2.LUT(picture, table).astype(np.int16) + noise[..., None], 0, 255).astype(np.uint8)
    steps_of_four: Picture = (_compressed(grained, movie.quality) & np.uint8(0xFC)) + np.uint8(2)
    return steps_of_four


def _background(rng: np.random.Generator, size: tuple[int, int], palette: Points) -> Picture:
    """Soft clutter in the colours of a palette, float [N, 3]: a gradient, boxes and round things."""
    height, width = size
    corners = palette[rng.integers(len(palette), size=(2, 2))]
    small = cv2.resize(corners, (96, 80), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    for _ in range(int(rng.integers(2, 10))):
        colour = (palette[rng.integers(len(palette))] * rng.uniform(0.6, 1.2)).tolist()
        x, y = int(rng.integers(-16, 96)), int(rng.integers(-16, 80))
        w, h = (int(v) for v in rng.integers(5, 48, 2))
        if rng.random() < 0.6:
            cv2.rectangle(small, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.ellipse(small, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, colour, -1)
    small = _blurred(small, rng.uniform(0.6, 3.5))
    picture: Picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture


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


def _compressed(picture: Picture, quality: int) -> Picture:
    """What a JPEG of that quality leaves of a picture."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)
