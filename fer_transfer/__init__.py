"""Facial expression recognition by staged transfer learning, after Ng et al. (EmotiW 2015).

What stands here is for use, and stays: open a store of trained rows, look at pictures with them, compose and run plans.

>>> import fer_transfer
>>> plan = fer_transfer.compose_plan(["plan=fer28_emotiw"])
>>> plan.last.name
'emotiw'

::

    store = fer_transfer.open_store("store")
    model = store.load("fer28_emotiw/resnet18")     # the mean of all its seeds
    faces = model.predict("photographs")            # a picture, a folder, a video, arrays
    faces.frame()                                   # of pandas or polars
    model.features("photographs")                   # float32 [N, D], for a classifier of your own
    fer_transfer.export_model(store.load("fer28_emotiw/resnet18", device="cpu"), "exported")  # ONNX, safetensors, a model card
    fer_transfer.open_export("exported").predict("photographs")

Nothing heavy is imported before a name is used: ``import fer_transfer`` takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fer_transfer import _torchvision, _without

if TYPE_CHECKING:
    from fer_transfer.errors import (
        ConfigError,
        FacesError,
        FerTransferError,
        ReleaseError,
        StoreError,
        WeightsError,
    )
    from fer_transfer.evaluation.temperature import Temperature
    from fer_transfer.export.exporting import Export, export_model
    from fer_transfer.export.opened import open_export
    from fer_transfer.inference.cutting import face_pipeline
    from fer_transfer.inference.model import Ensemble, FaceModel
    from fer_transfer.inference.predictor import Predictor
    from fer_transfer.inference.provenance import Provenance, SplitScore
    from fer_transfer.inference.results import PredictedFace, PredictedFaces, PredictedPicture
    from fer_transfer.inference.row import Row
    from fer_transfer.inference.store import OpenStore, open_store
    from fer_transfer.labels import EXPRESSIONS
    from fer_transfer.running import compose_plan, prepare, train

__version__ = "0.2.0"

__all__ = [
    "EXPRESSIONS",
    "ConfigError",
    "Ensemble",
    "Export",
    "FaceModel",
    "FacesError",
    "FerTransferError",
    "OpenStore",
    "PredictedFace",
    "PredictedFaces",
    "PredictedPicture",
    "Predictor",
    "Provenance",
    "ReleaseError",
    "Row",
    "SplitScore",
    "StoreError",
    "Temperature",
    "WeightsError",
    "__version__",
    "compose_plan",
    "export_model",
    "face_pipeline",
    "open_export",
    "open_store",
    "prepare",
    "train",
]

#: Where each public name is defined; imported when it is used first.
_PLACES = {
    "errors": ("ConfigError", "FacesError", "FerTransferError", "ReleaseError", "StoreError", "WeightsError"),
    "evaluation.temperature": ("Temperature",),
    "export.exporting": ("Export", "export_model"),
    "export.opened": ("open_export",),
    "inference.cutting": ("face_pipeline",),
    "inference.model": ("Ensemble", "FaceModel"),
    "inference.predictor": ("Predictor",),
    "inference.provenance": ("Provenance", "SplitScore"),
    "inference.results": ("PredictedFace", "PredictedFaces", "PredictedPicture"),
    "inference.row": ("Row",),
    "inference.store": ("OpenStore", "open_store"),
    "labels": ("EXPRESSIONS",),
    "running": ("compose_plan", "prepare", "train"),
}
_PLACE = {name: f"{__name__}.{module}" for module, names in _PLACES.items() for name in names}

_torchvision.install()
_without.install("timm.utils.summary", "wandb")


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for (PEP 562)."""
    if name not in _PLACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
