"""A model of faces: what anything that gives probabilities for cut faces promises, and several of them averaged."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError
from fer_transfer.evaluation.ensemble import mean_of

#: Faces as prepared ones are kept: uint8 [N, H, W], grey, or [N, H, W, 3], RGB, 0..255.
CutFaces = NDArray[np.uint8]


class KnownFaces(NamedTuple):
    """Cut faces with what a landmarker told of them, for models that see that.

    Attributes:
        pixels: as ``CutFaces``.
        geometry: float32 [N, 1502] (``detection.geometry.as_numbers``); NaN where nothing is known.
    """

    pixels: CutFaces
    geometry: NDArray[np.float32]


class FaceModel(Protocol):
    """Anything that classifies faces that are cut already: a stage's weights, several of them, an exported network.

    A model that sees other than pixels says so by an attribute ``sees`` (``seen_by``).

    Attributes:
        name: a few words for a reader.
        labels: the classes, in the order of the probabilities.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def labels(self) -> tuple[str, ...]: ...  # noqa: D102

    def probabilities(self, faces: CutFaces) -> NDArray[np.float64]:
        """Softmax outputs float64 [N, classes] of cut faces; rows sum to 1."""

    def features(self, faces: CutFaces) -> NDArray[np.float32]:
        """What the classifier sees, float32 [N, D], of cut faces.

        Raises:
            ConfigError: if the model gives none.
        """


def sees_pixels(model: FaceModel) -> bool:
    """Whether a model needs no more of a face than its pixels."""
    return getattr(model, "sees", "pixels") == "pixels"


def seen_by(model: FaceModel, faces: CutFaces | KnownFaces) -> Any:
    """What a model takes of faces: pixels, or ``geometry`` in their place, or both (``known``) for members that differ.

    Raises:
        ConfigError: if it sees geometry, and faces have pixels only.
    """
    known = isinstance(faces, KnownFaces)
    if sees_pixels(model):
        return faces.pixels if isinstance(faces, KnownFaces) else faces
    if not known:
        raise ConfigError(
            f"{model.name} sees what MediaPipe's FaceLandmarker tells of a face, which pixels of cut faces do not hold. Give it "
            "pictures or videos; maps of pixels and exports are for networks that see pixels."
        )
    return faces if model.sees == "known" else faces.geometry  # type: ignore[attr-defined, union-attr]


class Ensemble:
    """Several models as one: the mean of their probabilities.

    Args:
        members: at least one.
        weights: of each member in the mean, at least 0, not all 0; None: all alike.

    Raises:
        ConfigError: if there is no member, their labels differ, or the weights are none.
    """

    def __init__(self, members: Sequence[FaceModel], weights: Sequence[float] | None = None) -> None:
        if not members:
            raise ConfigError("Expected at least one model, but got none.")
        first = members[0]
        if other := next((member for member in members if member.labels != first.labels), None):
            raise ConfigError(
                f"Expected models of one label set, but {first.name} has {', '.join(first.labels)} and {other.name} has "
                f"{', '.join(other.labels)}. Their probabilities cannot be averaged: predict with one after the other."
            )
        given = np.ones(len(members)) if weights is None else np.asarray(weights, np.float64)
        if given.shape != (len(members),) or not (np.isfinite(given).all() and (given >= 0).all() and given.sum() > 0):
            raise ConfigError(
                f"Expected a weight of at least 0 for each of {len(members)} models, not all 0, but got {weights}."
            )
        self.members, self.weights = tuple(members), given / given.sum()

    @property
    def name(self) -> str:
        """Names of the members."""
        return " + ".join(dict.fromkeys(member.name for member in self.members))

    @property
    def labels(self) -> tuple[str, ...]:
        """Of every member."""
        return self.members[0].labels

    @property
    def sees(self) -> str:
        """``pixels``, where all members do; else ``known``: all that is known of faces, for each member to take its part."""
        return "pixels" if all(map(sees_pixels, self.members)) else "known"

    def probabilities(self, faces: CutFaces | KnownFaces) -> NDArray[np.float64]:
        """The weighted mean of the members' (``FaceModel.probabilities``)."""
        return mean_of([member.probabilities(seen_by(member, faces)) for member in self.members], self.weights)

    def features(self, faces: CutFaces | KnownFaces) -> NDArray[np.float32]:
        """Those of the members side by side, float32 [N, sum of D]: units of two networks have nothing to do with each other."""
        return np.concatenate([member.features(seen_by(member, faces)) for member in self.members], axis=1)
