"""Rows of a store as a model, as the settings of fer-predict and fer-export name them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_transfer.inference.predictor import Predictor


def model_of_rows(settings: Mapping[str, Any], **more: Any) -> "Predictor":
    """The model that ``row``, ``seeds``, ``weights``, ``ten_crops`` and ``calibrated`` name; ensembles are those of ``study``.

    Args:
        settings: of the command.
        more: what else ``OpenStore.load`` takes.

    Raises:
        ConfigError: if no row is named.
        StoreError, ConfigError: as ``OpenStore.load``.
    """
    from fer_transfer.errors import ConfigError
    from fer_transfer.inference.store import open_store
    from fer_transfer.study import study_from

    store, rows = open_store(settings["store"], study_from(settings["study"])), settings["row"] or []
    ten = settings["ten_crops"]
    rows = rows if isinstance(rows, list) else [rows]
    if not rows:
        raise ConfigError(
            f"Expected row=NAME, but got none. {store.path} has {', '.join(row.name for row in store.rows()[:8]) or 'none yet'}."
        )
    return store.load(
        *map(str, rows),
        seeds="all" if settings["seeds"] is None else settings["seeds"],
        calibrated=settings["calibrated"],
        evaluation=None if ten is None else "ten_crops" if ten else "centre",
        weights=settings["weights"],
        **more,
    )
