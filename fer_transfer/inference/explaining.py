"""What spoke for the mistakes of a report's rows: their weights loaded again, their faces explained."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.inference.store import open_store


def row_explainer(
    store: Path, method: str
) -> Callable[[Sequence[str], NDArray[np.uint8], NDArray[np.int64]], NDArray[np.float32]]:
    """What a report takes as ``explain`` (``reports.report.Explain``).

    Args:
        store: that the report is of.
        method: of saliency (``methods.METHODS``).

    Raises:
        StoreError, WeightsError, ConfigError: when it is asked, if weights are gone, or the method needs what they do not give.
    """
    opened = open_store(store)

    def explain(keys: Sequence[str], faces: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        return opened.load(*keys, calibrated=False).saliency(faces, method, classes)

    return explain
