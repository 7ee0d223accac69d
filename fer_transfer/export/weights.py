"""Weights that timm loads without this package, and what stands beside them: how, and with which input."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.errors import WeightsError
from fer_transfer.export.at_hand import FacesAtHand
from fer_transfer.export.onnx_file import takes
from fer_transfer.inference.cutting import Cutting
from fer_transfer.inference.stage_model import StageModel

#: Of each folder of weights.
WEIGHTS, CONFIG, INPUT = "model.safetensors", "config.json", "preprocessor_config.json"

#: Modules that name the paper's networks to timm.
_MODULES = {"bvlc_alexnet": "alexnet", "vgg_cnn_m_2048": "vgg_cnn_m"}

_LARGEST = 1e-4  # difference of a logit between the network here and the one that timm made


def architecture(model: StageModel) -> str:
    """Timm's name of the network."""
    return str(model.lineage.stages[-1].recipe["backbone"]["name"])


def timm_alone(model: StageModel) -> bool:
    """Whether timm knows the network without this package."""
    return architecture(model) not in ZOO


def loading_lines(model: StageModel, file: str = WEIGHTS) -> list[str]:
    """Python that loads the weights: two lines of imports, then create, load, eval; of the paper's networks one import more."""
    name = architecture(model)
    arguments = "".join(f", {key}={value!r}" for key, value in model.kwargs.items())
    own = f"import fer_transfer.backbones.{_MODULES[name]}  # names this network to timm" if name in _MODULES else ""
    return [
        "import timm",
        "from safetensors.torch import load_file",
        *([own] if own else []),
        f"model = timm.create_model({name!r}, num_classes={len(model.labels)}{arguments})",
        f"model.load_state_dict(load_file({file!r}))",
        "model.eval()",
    ]


def write_weights(model: StageModel, folder: Path, faces: FacesAtHand) -> None:
    """Copy a stage's weights, their record and lineage with them, and check that timm loads them and computes the same.

    Raises:
        WeightsError: if it does not.
        OSError: if they cannot be written.
    """
    import timm
    from safetensors.torch import load_file

    shutil.copyfile(model.path, folder / WEIGHTS)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            other = timm.create_model(architecture(model), num_classes=len(model.labels), **model.kwargs)
            other.load_state_dict(load_file(folder / WEIGHTS))
            pixels = model.transform((torch.from_numpy(faces.pixels[:4].copy()),), random=False)
            apart = float((other.eval()(pixels) - model.network(pixels)).abs().max())
    except Exception as error:  # whatever a constructor raises
        raise _unlike(model, f"{type(error).__name__}: {str(error)[:160]}") from None
    if not apart <= _LARGEST:
        raise _unlike(model, f"a logit differs by {apart:.1e}")


def _unlike(model: StageModel, why: str) -> WeightsError:
    return WeightsError(
        f"Expected timm to load {model.path} as {architecture(model)}, but: {why}. Nothing was written."
    )


def timm_config(model: StageModel) -> dict[str, Any]:
    """``config.json`` as timm reads it (``timm.create_model("local-dir:FOLDER", pretrained=True)``, ``hf-hub:``).

    Mean and std are of RGB or BGR 0..1, as timm has them, whatever the weights' own scale.
    """
    scale, own = model.preprocessing.scale / 255, model.preprocessing
    names = ("first_conv", "classifier", "fixed_input_size", "pool_size")
    record: Any = model.network.pretrained_cfg
    kept = {key: record[key] for key in names if key in record}
    return {
        "architecture": architecture(model),
        "num_classes": len(model.labels),
        "num_features": int(getattr(model.network, "num_features", 0)),
        "label_names": list(model.labels),
        "model_args": dict(model.kwargs),
        "pretrained_cfg": {
            **kept,
            **model.transform.record(),
            "mean": [value * scale for value in own.mean],
            "std": [value * scale for value in own.std],
            "num_classes": len(model.labels),
        },
    }


def input_config(model: StageModel, cutting: Cutting) -> dict[str, Any]:
    """``preprocessor_config.json``: from a picture to what the network sees, in words and numbers."""
    own, transform = model.preprocessing, model.transform
    settings: Mapping[str, Any] | None = cutting.settings
    return {
        "faces": {"said": cutting.said, "pipeline": None if settings is None else dict(settings)},
        "input": f"uint8 {takes(cutting.colour)} 0..255, cut faces of any side",
        "resize": transform.resize,
        "crop": transform.crop,
        "views": model.evaluation,
        "interpolation": transform.interpolation,
        "antialias": True,
        "channels": own.channel_order if cutting.colour else f"the grey face, {len(own.std)} times",
        "channel_order": own.channel_order,
        "scale": own.scale,
        "mean": list(own.mean),
        "std": list(own.std),
        "formula": "(x / scale - mean) / std",
    }
