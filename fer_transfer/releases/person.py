"""Who is drawn, and what the face does: identities, and the muscles behind each expression.

The muscles follow the action units that define the expressions (Ekman & Friesen, FACS), several variants for each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_transfer.labels import EXPRESSIONS

Points = NDArray[np.float64]
Colour = tuple[float, float, float]

#: What a face can do; 0 is rest, 1 strong, negative the opposite (brow down, lids closed, corners down).
MUSCLES = (
    "inner_brow", "outer_brow", "knit", "lids", "cheek", "wrinkle", "corner", "jaw", "stretch", "upper_lip", "press",
)  # fmt: skip

_VARIANTS: dict[str, tuple[dict[str, float], ...]] = {
    "Angry": (
        {"inner_brow": -1, "outer_brow": 0.3, "knit": 1, "lids": 0.1, "corner": -0.35, "press": 1},
        {"inner_brow": -1, "outer_brow": 0.4, "knit": 1, "lids": 0.2, "corner": -0.3, "jaw": 0.5, "upper_lip": 0.3},
    ),
    "Disgust": (
        {"inner_brow": -0.6, "outer_brow": -0.3, "knit": 0.5, "lids": -0.6, "cheek": 0.7, "wrinkle": 1,
         "corner": -0.5, "upper_lip": 1, "jaw": 0.12},
        {"inner_brow": -0.5, "knit": 0.4, "lids": -0.7, "cheek": 0.5, "wrinkle": 1, "corner": -0.7, "upper_lip": 0.6},
    ),
    "Fear": (
        {"inner_brow": 0.9, "outer_brow": 0.1, "knit": 0.6, "lids": 0.9, "corner": -0.3, "jaw": 0.35, "stretch": 0.8},
        {"inner_brow": 0.9, "outer_brow": 0.3, "knit": 0.5, "lids": 0.8, "corner": -0.5, "stretch": 0.6},
    ),
    "Happy": (
        {"lids": -0.3, "cheek": 0.8, "corner": 1, "jaw": 0.3, "stretch": 0.5},
        {"lids": -0.2, "cheek": 0.7, "corner": 0.9, "stretch": 0.4},
    ),
    "Sad": (
        {"inner_brow": 0.8, "outer_brow": -0.6, "knit": 0.3, "lids": -0.4, "corner": -0.9},
        {"inner_brow": 0.7, "outer_brow": -0.5, "knit": 0.5, "lids": -0.6, "corner": -0.7, "jaw": 0.12},
    ),
    "Surprise": (
        {"inner_brow": 1, "outer_brow": 1, "lids": 1, "jaw": 1, "stretch": -0.5},
        {"inner_brow": 0.9, "outer_brow": 1, "lids": 0.8, "jaw": 0.5, "stretch": -0.4},
    ),
    "Neutral": ({},),
}  # fmt: skip


def random_muscles(rng: np.random.Generator, expression: int, noise: float = 0.14) -> Points:
    """What both sides of a face do for an expression: strength, habits and asymmetry differ from face to face.

    Args:
        rng: source of chance.
        expression: canonical index 0..6.
        noise: standard deviation of what a face does beside its expression.

    Returns:
        float64 [2, len(MUSCLES)]: the picture's left side, then its right.
    """
    variants = _VARIANTS[EXPRESSIONS[expression]]
    variant = variants[int(rng.integers(len(variants)))]
    mean = np.array([variant.get(name, 0.0) for name in MUSCLES])
    both = mean * rng.uniform(0.3, 1.15) + rng.normal(0, noise, len(MUSCLES))
    return np.stack([both, both]) + rng.normal(0, noise / 2, (2, len(MUSCLES)))


@dataclass(frozen=True)
class Person:
    """One identity: proportions (1 = average), colours (BGR 0..255), hair and glasses."""

    head: tuple[float, float]
    eye: float
    brow: tuple[float, float, float]
    nose: float
    mouth: tuple[float, float, float]
    skin: Colour
    hair: Colour
    iris: Colour
    hair_style: int
    beard: float
    glasses: bool


def random_person(rng: np.random.Generator) -> Person:
    """An identity; resting brows and mouths differ, so that some faces look cross or sad at rest."""
    tone = rng.uniform(0.35, 1.0)
    skin = np.array([150, 180, 225]) * tone + rng.normal(0, 5, 3)
    hair = np.array([(20, 22, 28), (25, 45, 75), (50, 85, 120), (70, 130, 180), (150, 155, 160)])[rng.integers(5)]
    iris = np.array([(20, 30, 45), (30, 50, 75), (90, 80, 50)])[rng.integers(3)]
    return Person(
        head=(1.13 * rng.normal(1, 0.05), 1.0 * rng.normal(1, 0.05)),
        eye=rng.normal(1, 0.09),
        brow=(rng.normal(0, 0.03), rng.normal(0, 0.025), rng.uniform(0.045, 0.09)),
        nose=rng.normal(1, 0.12),
        mouth=(rng.normal(1, 0.1), rng.normal(0, 0.12), rng.uniform(0.05, 0.12)),
        skin=bgr(skin),
        hair=bgr(hair * rng.uniform(0.7, 1.2) + rng.normal(0, 3, 3)),
        iris=bgr(iris),
        hair_style=int(rng.integers(5)),
        beard=float(max(0, rng.normal(-0.1, 0.25))),
        glasses=bool(rng.random() < 0.12),
    )


def bgr(values: Points) -> Colour:
    """A colour that OpenCV draws with, from float [3], clipped to 0..255."""
    blue, green, red = (float(v) for v in np.clip(values, 0, 255))
    return blue, green, red
