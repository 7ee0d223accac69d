"""The key of a stage: what it is, as a hash. Equal keys mean the same weights; a difference anywhere means another key."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fer_transfer.training.recipe import Recipe

#: Part of every key. Raise it when a change of code changes what a recipe trains.
STORE_VERSION = 1


def canonical(value: Any) -> Any:
    """Plain data in one spelling: 1 and 1.0 are the same number, tuples are lists, mappings have string keys.

    >>> canonical({"lr": 1.0, "crops": (1, 2.5)})
    {'lr': 1, 'crops': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of plain data, whatever the order of its keys."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stage_key(recipe: Recipe, start: str, faces: Mapping[str, str]) -> str:
    """The key of a stage.

    Args:
        recipe: all of it counts, but for the path of the initial weights and how predictions are made.
        start: the parent's key, or the identity of the initial weights (``backbone.initial_weights_identity``).
        faces: digest of each release that the stage trains or selects on.
    """
    content = asdict(recipe)
    content["backbone"].pop("weights")
    content.pop("evaluation")
    return digest({"recipe": content, "start": start, "faces": dict(faces), "store": STORE_VERSION})
