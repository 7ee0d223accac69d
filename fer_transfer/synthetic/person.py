"""Who is drawn, and what the face does: identities, and the muscles behind each expression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.face_shape import face_shape
from fer_transfer.synthetic.muscles import LOWER_LID, MUSCLES, UNITS, UPPER_LID, movements

Points = NDArray[np.float64]
Colour = tuple[float, float, float]

# Prototypes of the expressions as action units (Ekman & Friesen), on top of the learned mean movement.
_VARIANTS: dict[str, tuple[dict[str, float], ...]] = {
    "Angry": (
        {"Angry": 0.3, "inner_brow": -1.1, "outer_brow": 0.1, "knit": 1.2, "lids": 0.3, "cheek": 0.2, "corner": -0.2,
         "press": 1, "chin": 0.4},
        {"Angry": 1.4, "inner_brow": -1, "outer_brow": 0.2, "knit": 1.1, "lids": 0.3, "upper_lip": 0.4, "jaw": 0.15},
    ),
    "Disgust": (
        {"Disgust": 1.3, "inner_brow": -0.7, "outer_brow": -0.3, "knit": 0.6, "lids": -0.5, "cheek": 0.8, "wrinkle": 1.2,
         "corner": -0.3, "upper_lip": 0.9, "jaw": 0.12},
        {"Disgust": 1.0, "inner_brow": -0.6, "knit": 0.5, "lids": -0.6, "cheek": 0.6, "wrinkle": 1.1, "corner": -0.6,
         "upper_lip": 0.8, "chin": 0.6},
    ),
    "Fear": (
        {"Fear": 1.3, "inner_brow": 0.9, "outer_brow": 0.2, "knit": 0.8, "lids": 1, "corner": -0.2, "stretch": 0.9,
         "jaw": 0.3},
        {"Fear": 1.0, "inner_brow": 1, "outer_brow": 0.3, "knit": 0.7, "lids": 0.9, "corner": -0.3, "stretch": 1.0,
         "jaw": 0.12},
    ),
    "Happy": (
        {"Happy": 1.1, "lids": -0.15, "cheek": 0.7, "corner": 0.35, "jaw": 0.08},
        {"Happy": 0.5, "lids": -0.1, "cheek": 0.6, "corner": 0.8, "stretch": 0.2, "press": 0.2},
    ),
    "Sad": (
        {"Sad": 1.3, "inner_brow": 0.9, "outer_brow": -0.6, "knit": 0.6, "lids": -0.35, "corner": -0.9, "chin": 0.6},
        {"Sad": 1.0, "inner_brow": 0.8, "outer_brow": -0.5, "knit": 0.8, "lids": -0.5, "corner": -0.8, "jaw": 0.06},
    ),
    "Surprise": (
        {"Surprise": 1.2, "inner_brow": 0.9, "outer_brow": 0.9, "lids": 0.9, "jaw": 0.6, "stretch": -0.4},
        {"Surprise": 0.7, "inner_brow": 1, "outer_brow": 1, "lids": 0.9, "jaw": 0.3, "stretch": -0.3},
    ),
    "Neutral": ({},),
}  # fmt: skip


# How much of the noise a muscle takes: jaws do not hang open by chance.
_IDLE = np.array(
    [{"jaw": 0.25, "upper_lip": 0.5, "lids": 0.7}.get(name, 1.0 if name in UNITS else 0.5) for name in MUSCLES]
)


def random_muscles(rng: np.random.Generator, expression: int, noise: float = 0.12) -> Points:
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
    both = mean * rng.uniform(0.25, 1.15) + rng.normal(0, noise, len(MUSCLES)) * _IDLE
    blinks = rng.random() < 0.02
    muscles = np.stack([both, both]) + rng.normal(0, noise / 2, (2, len(MUSCLES))) * _IDLE
    if blinks:
        muscles[:, MUSCLES.index("lids")] = -1.5
    return np.asarray(muscles, np.float64)


@dataclass(frozen=True)
class Person:
    """One identity.

    Attributes:
        shape: float64 [468, 3], the face at rest in eye distances.
        skull: size of the skull, 1 = average.
        skin, hair, iris, lips: colours, BGR 0..255.
        hairline: 0.7 (a fringe) to 1.05 of the way from the middle of the face to its upper edge; 9 = bald.
        volume: thickness of the hair in eye distances.
        long_hair: whether hair falls beside the face.
        brow: thickness of the brows, 1 = average; brow_dark 0..1 how much they stand out.
        beard: 0..1.
        age: 0..1, depth of the lines that stay at rest.
        lashes: 0..1, how dark the edges of the lids are.
        lips_apart: gap between the lips at rest, in eye distances.
        glasses: whether there are any.
        seed: decides strands, freckles and the like.
    """

    shape: Points
    skull: float
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    hairline: float
    volume: float
    long_hair: bool
    brow: float
    brow_dark: float
    beard: float
    age: float
    lashes: float
    lips_apart: float
    glasses: bool
    seed: int


_SKINS = ((160, 180, 216), (140, 163, 208), (115, 143, 196), (85, 115, 175), (55, 80, 130), (38, 52, 88))
_HAIRS = ((18, 20, 24), (24, 34, 52), (30, 52, 84), (62, 105, 150), (95, 150, 190), (150, 155, 160))
_IRISES = ((20, 32, 52), (28, 52, 82), (110, 95, 62), (130, 105, 75), (62, 92, 78))


def random_person(rng: np.random.Generator) -> Person:
    """An identity; shapes differ along the learned variations, and resting brows and mouths differ too."""
    shape = face_shape()
    own = shape.mean + np.tensordot(np.clip(rng.normal(0, 0.8, len(shape.modes)), -1.4, 1.4), shape.modes, 1)
    upper, lower = (own[list(row), 1].mean() for row in (UPPER_LID, LOWER_LID))
    # Variations of real faces hold half-closed eyes; how far eyes open at rest is limited here.
    own += (1 - rng.normal(0.1, 0.008) / max(0.02, lower - upper)) * movements()[1]
    own = own * (rng.normal(1, 0.035), rng.normal(1, 0.025), rng.normal(1, 0.07))
    tone = rng.uniform(0, len(_SKINS) - 1.01)
    light, dark = np.array(_SKINS[int(tone)]), np.array(_SKINS[int(tone) + 1])
    skin = light + (tone % 1) * (dark - light) + rng.normal(0, 3, 3)
    pale = tone < 2.5
    hair = np.array(_HAIRS[int(rng.integers(6 if pale else 2))]) * rng.uniform(0.8, 1.15)
    age, soft = float(rng.beta(1.2, 2.2)), bool(rng.random() < 0.5)
    if age > 0.6 and rng.random() < 0.6:
        hair = np.array(_HAIRS[5]) * rng.uniform(0.6, 1.2)
    hairline = float(rng.choice([9.0, rng.uniform(0.7, 0.8), rng.uniform(0.86, 1.02)], p=[0.1, 0.15, 0.75]))
    return Person(
        shape=own,
        skull=float(rng.normal(1, 0.025)),
        skin=bgr(skin),
        hair=bgr(hair),
        iris=bgr(np.array(_IRISES[int(rng.integers(5 if pale else 1))]) * rng.uniform(0.8, 1.2)),
        lips=bgr(skin * ((0.62, 0.55, 0.86) if soft else (0.78, 0.74, 0.9)) * rng.uniform(0.9, 1.06)),
        hairline=hairline,
        volume=float(rng.uniform(0.05, 0.3)) if hairline < 2 else 0.0,
        long_hair=soft and hairline < 2 and bool(rng.random() < 0.75),
        brow=float(rng.uniform(0.6, 1.0) if soft else rng.uniform(0.85, 1.5)),
        brow_dark=float(rng.uniform(0.45, 0.95)),
        beard=0.0 if soft else float(max(0, rng.normal(0.1, 0.4))),
        age=age,
        lashes=float(rng.uniform(0.55, 1.0) if soft else rng.uniform(0.25, 0.55)),
        lips_apart=float(max(0.0, rng.normal(-0.01, 0.015))),
        glasses=bool(rng.random() < 0.1),
        seed=int(rng.integers(2**31)),
    )


def bgr(values: Points) -> Colour:
    """A colour that OpenCV draws with, from float [3], clipped to 0..255."""
    blue, green, red = (float(v) for v in np.clip(values, 0, 255))
    return blue, green, red
