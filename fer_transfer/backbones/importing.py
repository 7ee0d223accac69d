"""Weights that a user brings, looked at, and written as safetensors with the record of the input they expect."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_transfer.backbones.caffe import caffe_tensors, read_caffemodel, read_mean
from fer_transfer.backbones.fitting import check_finite, check_fit, span, weights_table
from fer_transfer.backbones.model_zoo import ZooModel, zoo_model
from fer_transfer.backbones.weights import RECORD_KEY, save_tensors, weights_digest
from fer_transfer.errors import ConfigError, WeightsError


@dataclass(frozen=True)
class Import:
    """What ``fer-weights`` is asked to do with a file.

    Attributes:
        network: ``bvlc_alexnet`` or ``vgg_cnn_m_2048``.
        file: a ``.caffemodel``.
        mean: the mean image (``.binaryproto``), or three channel means in BGR order in 0..255; None takes those of the
            published mean image.
        out: a ``.safetensors`` file to write; None checks only.
        partial: name patterns of what the file does not have, or has and should not be taken: ``fc6.*``.
        prove: compare every layer with what OpenCV computes from the file: True, or its ``deploy.prototxt``.
    """

    network: str
    file: str
    mean: object = None
    out: str | None = None
    partial: Sequence[str] = ()
    prove: bool | str = False


def import_weights(asked: Import, say: Callable[[str], object] = print) -> None:
    """Check a Caffe file against a network of the paper, prove the network on it, write it as safetensors with its record.

    Args:
        asked: which file, and what of it.
        say: takes the report, line by line.

    Raises:
        ConfigError: if a name, pattern or number is not possible.
        WeightsError: if a file is unreadable or does not fit and ``partial`` does not say so, or the proof fails. Nothing
            is written then.
    """
    known, file, out = zoo_model(asked.network), asked.file, asked.out
    if out is not None and not (out.endswith(".safetensors") and Path(out).parent.is_dir()):
        raise ConfigError(f"Expected out=NAME.safetensors in a folder that exists, but got {out!r}.")
    means, from_what = _mean(known, asked.mean)
    tensors, own = _fitting(asked, say)
    source = _source(known, file) | {
        "holds": "all layers" if len(tensors) == len(own) else f"{span(list(tensors))} only",
        "left_out": list(asked.partial),
    }
    say(f"{file}: {source.pop('verdict')}; {source['holds']}")
    say(f"licence: {source['licence']}")
    say(f"mean {from_what}: B {means[0]:.3f}, G {means[1]:.3f}, R {means[2]:.3f}")
    if asked.prove:
        _prove(asked, tensors, say)
    if out is not None:
        record = json.dumps(_record(known, means) | source)
        save_tensors(Path(out), tensors, {RECORD_KEY: record})
        say(f"written to {out}")


def _fitting(asked: Import, say: Callable[[str], object]) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
    """The file's tensors that are taken, and the network's own; says what is taken, left out and missing."""
    model = read_caffemodel(asked.file)
    given, own, partial = caffe_tensors(model), _shapes(asked.network), asked.partial
    for line in (*weights_table(own, given, partial), *model.notes):
        say(line)
    taken = check_fit(own, given, partial, asked.file, "partial").taken
    tensors = {name: given[name] for name in taken}
    check_finite(tensors, asked.file)
    return tensors, own


def _prove(asked: Import, tensors: Mapping[str, Tensor], say: Callable[[str], object]) -> None:
    """Every layer beside OpenCV's; says the table before it refuses."""
    import cv2
    import timm

    from fer_transfer.backbones.proof import check_proof, proof_table, prove

    if not isinstance(asked.prove, bool | str):
        raise ConfigError(f"Expected prove=true or prove=deploy.prototxt, but got {asked.prove!r}.")
    deploy = asked.prove if isinstance(asked.prove, str) else None
    differences = prove(timm.create_model(asked.network), tensors, asked.file, deploy)
    for line in proof_table(differences):
        say(line)
    text = deploy or f"the layers of {asked.network}"
    check_proof(differences, asked.file, text)
    compared = {d.layer for d in differences}
    if others := [name for name in tensors if name.partition(".")[0] not in compared]:
        say(f"not compared: {span(others)}, which a layer that was not taken stands before")
    say(f"{len(differences)} layers compute what OpenCV {cv2.__version__} computes from {asked.file} with {text}")


def _source(known: ZooModel, file: str) -> dict[str, Any]:
    """What the file is, as far as its digest tells."""
    digest = weights_digest(file)
    is_published = None if known.sha256 is None else digest == known.sha256
    return {
        "network": known.network,
        "file": Path(file).name,
        "sha256": digest,
        "licence": known.licence if is_published else f"unknown; that of {known.file}: {known.licence}",
        "verdict": _verdict(known, is_published),
    }


def _record(known: ZooModel, means: Sequence[float]) -> dict[str, Any]:
    """The input that the weights expect, in the words of ``Preprocessing``: grey levels 0..255, in BGR order."""
    side = known.input_side
    return {
        "mean": list(means),
        "std": [1.0, 1.0, 1.0],
        "scale": 1.0,
        "input_size": [3, side, side],
        "crop_pct": known.crop_pct,
        "interpolation": "bilinear",  # Caffe's own, OpenCV's default
        "channel_order": "BGR",
    }


def _shapes(network: str) -> Mapping[str, Tensor]:
    """The network's tensors with its 1000 classes, without memory."""
    import timm

    from fer_transfer.backbones import alexnet, vgg_cnn_m  # noqa: F401  register their names with timm

    with torch.device("meta"):
        made: Mapping[str, Tensor] = timm.create_model(network).state_dict()
    return made


def _mean(known: ZooModel, mean: object) -> tuple[tuple[float, ...], str]:
    """Channel means, BGR, and where they are from.

    A mean image is reduced to its channels' means over the pixels, as Caffe's own ``classify.py`` does: the mean of a
    photograph hardly depends on the place, and a crop has no place of its own.
    """
    if mean is None:
        return known.mean, f"of the published {known.mean_file} over its pixels"
    if not isinstance(mean, str):
        given = mean if isinstance(mean, Sequence) else ()
        values = tuple(float(value) for value in given if isinstance(value, (int, float)) and 0 <= value <= 255)
        if not len(values) == len(given) == 3:
            raise ConfigError(f"Expected mean=FILE.binaryproto or mean=[B,G,R] in 0..255, but got {mean}.")
        return values, "as given"
    picture = read_mean(mean)
    if picture.shape[1:] != (known.mean_side, known.mean_side):
        raise WeightsError(
            f"Expected the mean image of {known.network}, 3x{known.mean_side}x{known.mean_side} ({known.mean_file}), in "
            f"{mean}, but got {'x'.join(map(str, picture.shape))}. Give that file, or, if another mean is meant, its "
            f"channel means: mean=[{','.join(f'{value:.3f}' for value in picture.mean((1, 2)))}]"
        )
    values = tuple(float(value) for value in picture.mean((1, 2), dtype="float64"))
    return values, f"of {Path(mean).name} over its pixels"


def _verdict(known: ZooModel, is_published: bool | None) -> str:
    if is_published is None:
        return f"whether it is the published {known.file} cannot be told, for no digest of it is known"
    return f"the published {known.file}, by its digest" if is_published else f"not the published {known.file}"
