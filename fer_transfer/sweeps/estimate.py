"""How long stages will take: as long for a face as stages of the same network took that are in the store."""

import json
import statistics
from collections.abc import Mapping
from typing import Any

from fer_transfer.errors import StoreError
from fer_transfer.stages.metrics import read_metrics
from fer_transfer.stages.store import StageFolder, Store


def seconds_per_face(store: Store) -> dict[str, float]:
    """Seconds of work for each face of an epoch, by ``network_of``: the median over finished stages; all they did counts."""
    found: dict[str, list[float]] = {}
    for path in store.root.glob("*/result.json"):
        folder = StageFolder(path.parent)
        try:
            result = folder.result() or {}
            recipe = result["lineage"]["stages"][-1]["recipe"]
            rows = read_metrics(folder.metrics)
            seen = sum(float(row["seconds"]) * float(row["faces_per_second"]) for row in rows)
            found.setdefault(network_of(recipe), []).append(float(result["seconds"]) / seen)
        except (StoreError, OSError, KeyError, ValueError, ZeroDivisionError, IndexError, TypeError):
            continue  # damage is told where the stage is needed
    return {network: statistics.median(values) for network, values in found.items()}


def network_of(recipe: Mapping[str, Any]) -> str:
    """What the time for a face depends on most: the network, its input, the precision, what of it is trained."""
    backbone = recipe["backbone"]
    kept = [backbone["name"], backbone.get("kwargs"), recipe["augment"], recipe["precision"], recipe["frozen"]]
    return json.dumps(kept, sort_keys=True, default=str)


def said(seconds: float) -> str:
    """A time for people.

    >>> said(42), said(150), said(9000), said(400_000)
    ('42 s', '2.5 min', '2.5 h', '4.6 days')
    """
    for unit, size, limit in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if seconds < size * limit:
            return f"{seconds / size:.0f} {unit}" if unit == "s" else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
