"""Exports a model: ONNX that is checked against PyTorch, weights for timm, configurations and a model card, in one folder."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fer_transfer
from fer_transfer.errors import ConfigError
from fer_transfer.export.at_hand import FacesAtHand, Parts, drawn_faces, faces_at_hand
from fer_transfer.export.card import model_card
from fer_transfer.export.checking import Checked, checked
from fer_transfer.export.network import WholeModel, graph_of, networks_of
from fer_transfer.export.onnx_file import OPSET, session_of, takes, with_record
from fer_transfer.export.opened import MODEL
from fer_transfer.export.quantised import Loss, loss_of, quantised
from fer_transfer.export.told import Told
from fer_transfer.export.weights import (
    CONFIG,
    INPUT,
    WEIGHTS,
    input_config,
    loading_lines,
    timm_alone,
    timm_config,
    write_weights,
)
from fer_transfer.inference.cutting import Cutting
from fer_transfer.inference.folder import written
from fer_transfer.inference.predictor import Predictor
from fer_transfer.inference.stage_model import StageModel

#: Of the folder, besides ``MODEL`` and what ``export.weights`` names.
MODEL_INT8, CARD = "model_int8.onnx", "README.md"

_CHECKED_ON, _CALIBRATED_ON, _MEASURED_ON = 64, 256, 1000  # faces at most


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        folder: where.
        files: relative to it, by name.
        checked: the comparison of the ONNX file with PyTorch.
        loss: of int8, where it was asked for.
        loading: Python that loads the weights with timm, network by network.
        alone: whether timm knows every network without this package.
        colour: whether the graph takes faces in colour.
    """

    folder: Path
    files: tuple[str, ...]
    checked: Checked
    loss: Loss | None
    loading: tuple[str, ...]
    alone: bool
    colour: bool = False

    def lines(self) -> list[str]:
        """For a reader."""
        alone = "timm alone loads the weights" if self.alone else "the weights load with timm and this package"
        return [
            f"ONNX, opset {OPSET}: uint8 faces {takes(self.colour)} of any number and size in, probabilities and logits out",
            self.checked.line(),
            *([self.loss.line()] if self.loss else []),
            f"{alone}:",
            *(f"    {line}" for line in self.loading),
            f"Written to {self.folder}: {', '.join(self.files)}",
        ]


def export_model(
    model: Predictor,
    out: str | os.PathLike[str],
    faces: Mapping[str, str | os.PathLike[str]] | None = None,
    int8: bool = False,
    replace_folder: bool = False,
) -> Export:
    """Write a model of a store's to a new folder, for programs that know nothing of this package, and for ``open_export``.

    A row of several seeds, or several rows, become one ONNX file: the mean of their probabilities, as the model gives it. The
    weights of each network lie beside, in timm's layout: alone in the folder, or in ``network-1`` and so on.

    Args:
        model: of ``OpenStore.load`` with ``device="cpu"``.
        out: the folder.
        faces: folders of prepared faces by any names; those that the model was made from are looked for there, to check on
            them. Without them the check is on drawn faces, and says so.
        int8: also write ``model_int8.onnx``, and measure what it costs; needs those faces.
        replace_folder: whether a folder that an export wrote may be replaced.

    Raises:
        ConfigError: if ONNX or ONNX Runtime is not installed, the model is none of a store's weights, or int8 has no faces.
        WeightsError: if the network cannot be written as ONNX, or differs from PyTorch's by more than 1e-4.
        StoreError: if the folder is there, or cannot be written.
    """
    _need("onnx", "onnxruntime")
    networks = list(networks_of(model.model))
    if other := next((of for of, _ in networks if of.device.type != "cpu"), None):
        raise ConfigError(f"Expected a model on the CPU, but it is on {other.device}: load it with device='cpu'.")
    folders = {word: Path(folder).expanduser() for word, folder in (faces or {}).items()}
    parts = faces_at_hand([of.lineage for of, _ in networks], folders, _MEASURED_ON, model.cutting.colour)
    if int8 and parts is None:
        looked = ", ".join(map(str, folders.values())) or "no folder"
        raise ConfigError(
            "Expected prepared faces that the row was made from, to measure what int8 costs, but none of them is in "
            f"{looked}. Give faces.NAME=FOLDER, or leave int8 out."
        )
    with written(Path(out).expanduser(), replace_folder, MODEL, "fer-export") as folder:
        assert folder is not None
        return replace(_written(model, networks, parts, int8, folder), folder=Path(out).expanduser())


def _written(
    model: Predictor, networks: Sequence[tuple[StageModel, float]], parts: Parts | None, int8: bool, folder: Path
) -> Export:
    temperature = model.about.temperature
    colour = model.cutting.colour
    graph = graph_of(WholeModel(networks, 1.0 if temperature is None else temperature.value), folder, colour)
    session = session_of(graph, MODEL)
    looked_at = parts.measured.first(_CHECKED_ON) if parts else drawn_faces(colour)
    result = checked(model, session, looked_at)
    small, loss = _int8(graph, session, parts, folder) if int8 and parts else (None, None)
    members = tuple(of for of, _ in networks)
    told = Told(model.about, model.cutting, model.labels, members, _places(len(members)), result, loss, _versions())
    (folder / MODEL).write_bytes(with_record(graph, told.record()))
    if small is not None and loss is not None:
        note = f"the accuracies above are those of the float network; {loss.line()}"
        about = replace(model.about, notes=(*model.about.notes, note))
        (folder / MODEL_INT8).write_bytes(with_record(small, told.record(about)))
    for place, network in zip(told.places, members, strict=True):
        _write_network(network, folder / place, looked_at, model.cutting)
    (folder / CARD).write_text(model_card(told), encoding="utf-8")
    files = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))
    pairs = zip(told.places, members, strict=True)
    loading = tuple(line for place, of in pairs for line in loading_lines(of, f"{place}{WEIGHTS}"))
    return Export(folder, files, result, loss, loading, all(map(timm_alone, members)), colour)


def _places(count: int) -> tuple[str, ...]:
    """Where the weights of each network lie."""
    return ("",) if count == 1 else tuple(f"network-{number}/" for number in range(1, count + 1))


def _versions() -> dict[str, str]:
    return {"fer_transfer": fer_transfer.__version__, "torch": version("torch")}


def _write_network(network: StageModel, folder: Path, faces: FacesAtHand, cutting: Cutting) -> None:
    folder.mkdir(exist_ok=True)
    write_weights(network, folder, faces)
    _write_json(folder / CONFIG, timm_config(network))
    _write_json(folder / INPUT, input_config(network, cutting))


def _int8(graph: bytes, session: Any, parts: Parts, folder: Path) -> tuple[bytes, Loss]:
    calibration = parts.trained.first(_CALIBRATED_ON)
    small = quantised(graph, calibration, folder)
    sizes = len(graph), len(small)
    return small, loss_of(session, session_of(small, MODEL_INT8), parts.measured, calibration.said, sizes)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _need(*packages: str) -> None:
    if missing := [name for name in packages if find_spec(name) is None]:
        raise ConfigError(
            f"Expected {' and '.join(missing)} to export, but {'they are' if len(missing) > 1 else 'it is'} not installed. "
            "Install: pip install 'fer_transfer[export]'."
        )
