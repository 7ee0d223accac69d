"""A network as a stage left it: all that is needed stands in the file of its weights."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fer_transfer.backbones.networks import build_network, built_for, record_of
from fer_transfer.backbones.notes import recorded_kwargs
from fer_transfer.backbones.preprocessing import Preprocessing, preprocessing_of
from fer_transfer.backbones.weights import WeightsFile, load_into, open_weights
from fer_transfer.config import build
from fer_transfer.data.augment import BatchTransform
from fer_transfer.errors import WeightsError
from fer_transfer.stages.lineage import Lineage, lineage_from_json


@dataclass(frozen=True)
class Trained:
    """A trained network with the input of its weights, on the CPU.

    Attributes:
        lineage: what the weights were made from; its last stage is their own.
        kwargs: arguments of the network's constructor.
        network: timm's, in evaluation mode.
        preprocessing: what its weights expect.
        transform: from uint8 faces to its input.
    """

    lineage: Lineage
    kwargs: Mapping[str, Any]
    network: nn.Module
    preprocessing: Preprocessing
    transform: BatchTransform


def trained(path: str | os.PathLike[str]) -> Trained:
    """Read ``weights.safetensors`` of a stage. Random states stay as they are.

    Raises:
        WeightsError: if the file is missing, damaged, or not of a stage.
    """
    file = open_weights(path)
    lineage = _lineage(file)
    own = lineage.stages[-1]
    backbone = own.recipe["backbone"]
    kwargs = {**recorded_kwargs(file), **(backbone.get("kwargs") or {})}
    with torch.random.fork_rng(devices=[]):
        network = build_network(str(backbone["name"]), kwargs, len(own.classes))
    load_into(network, file.tensors, source=str(file.path))
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    preprocessing = preprocessing_of(record_of(network), {}, file.record, built_for(network), source=str(file.path))
    transform: BatchTransform = build("augment", own.recipe["augment"], preprocessing=preprocessing)
    return Trained(lineage, kwargs, network, preprocessing, transform)


def _lineage(file: WeightsFile) -> Lineage:
    lineage = None if file.lineage is None else lineage_from_json(file.lineage, Path(file.path))
    if lineage is None or not lineage.stages:
        raise WeightsError(
            f"Expected weights that a stage of fer-train left in {file.path}, but they carry no lineage: nothing says how they "
            "see faces. Give a row of a store, or an exported folder."
        )
    return lineage
