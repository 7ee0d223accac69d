"""What fer-export wrote, used again: a folder or an ONNX file as a model of faces. Without torch."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.colour import repeated
from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.export.onnx_file import outputs_of, read_bytes, record_in, session_of
from fer_transfer.files.names import shown
from fer_transfer.inference.cutting import Cutting, face_pipeline
from fer_transfer.inference.model import CutFaces
from fer_transfer.inference.predictor import Predictor
from fer_transfer.inference.provenance import provenance_from_json

if TYPE_CHECKING:
    from fer_transfer.detection.pipeline import FacePipeline

#: Of the folder.
MODEL = "model.onnx"


class OnnxModel:
    """An exported network, computed by ONNX Runtime on the CPU.

    Args:
        path: the file that fer-export wrote.

    Attributes:
        record: what fer-export wrote of it.

    Raises:
        ConfigError: if ONNX Runtime is not installed.
        WeightsError: if the file is missing, damaged, or somebody else's.
    """

    def __init__(self, path: Path) -> None:
        where, data = shown(str(path)), read_bytes(path)
        self._session = session_of(data, where)
        self.record = record_in(self._session, data, where)
        self.name = str(self.record["about"]["name"])

    @property
    def labels(self) -> tuple[str, ...]:
        """The expressions, in the order of the probabilities."""
        return tuple(self.record["labels"])

    def probabilities(self, faces: CutFaces) -> NDArray[np.float64]:
        """See ``FaceModel.probabilities``: of the logits, before any temperature.

        Raises:
            ConfigError: if faces are in colour, and the network takes grey ones.
        """
        logits = outputs_of(self._session, self._taken(faces))[1].astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        normalised: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return normalised

    def _taken(self, faces: CutFaces) -> CutFaces:
        if len(self._session.get_inputs()[0].shape) == 4:
            return repeated(faces)
        if faces.ndim == 4:
            raise ConfigError(
                f"Expected grey faces [N, H, W] for this export of {self.name}, but got faces in colour, {list(faces.shape)}. "
                "Export a row that was trained in colour."
            )
        return faces

    def features(self, faces: CutFaces) -> NDArray[np.float32]:
        """None.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"An exported network gives probabilities only, no features. Take the row of the store ({self.name})."
        )


def open_export(
    path: str | os.PathLike[str],
    calibrated: bool = True,
    pipeline: "FacePipeline | str | None" = None,
    detector_model: str | Sequence[str] | None = None,
) -> Predictor:
    """Open what ``export_model`` or fer-export wrote, to look at pictures with it.

    Args:
        path: the folder, or an ONNX file of it, wherever that is now.
        calibrated: divide the logits by the temperature of the model, where it has one.
        pipeline: what cuts faces, in place of what the model's own were cut by: one, or a name (``aligned``, ``box``).
        detector_model: the file of the model that found the model's faces (YuNet, MediaPipe); of two, both.

    Raises:
        ConfigError: if ONNX Runtime is not installed, or an argument is no such thing.
        WeightsError: if there is nothing, or it is damaged, or somebody else's.
    """
    given = Path(path).expanduser()
    model = OnnxModel(_file(given))
    cutting, about = _told(model.record, shown(str(given)))
    if pipeline is not None:
        cutting = Cutting("by the pipeline that was given")
        about = replace(about, cutting=cutting.said)
    if not calibrated:
        about = replace(about, temperature=None)
    made = face_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    return Predictor(model, cutting, about, detector_model, made)


def _file(given: Path) -> Path:
    if not given.is_dir():
        return given
    if not (given / MODEL).is_file():
        held = ", ".join(sorted(shown(path.name) for path in given.iterdir())[:3]) or "nothing"
        raise WeightsError(
            f"Expected a folder that fer-export wrote, with {MODEL} in it, but {shown(str(given))} holds {held}. Give row=NAME "
            "for a row of a store."
        )
    return given / MODEL


def _told(record: dict[str, Any], where: str) -> tuple[Cutting, Any]:
    try:
        cutting = Cutting(str(record["cutting"]["said"]), record["cutting"]["settings"])
        return cutting, provenance_from_json(record["about"])
    except (KeyError, TypeError) as error:
        raise WeightsError(
            f"Expected an export of this version of fer_transfer in {where}, but {error} of its record is another's. Export it "
            "again: fer-export."
        ) from None
