"""What importing has to know of the model zoo's Caffe files: their input, what a digest tells, and the proof by OpenCV."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fer_transfer.backbones.caffe import read_mean
from fer_transfer.backbones.fitting import span
from fer_transfer.backbones.model_zoo import ZooModel
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.errors import ConfigError, WeightsError


def zoo_shapes(network: str) -> Mapping[str, Tensor]:
    """The tensors of a network of the zoo with its 1000 classes, without memory."""
    import timm

    from fer_transfer.backbones import alexnet, vgg_cnn_m  # noqa: F401  register their names with timm

    with torch.device("meta"):
        made: Mapping[str, Tensor] = timm.create_model(network).state_dict()
    return made


def zoo_input(known: ZooModel, means: tuple[float, ...]) -> Preprocessing:
    """The input that the weights expect: grey levels 0..255 less the means, in BGR order; Caffe resizes bilinearly."""
    ones = (1.0,) * len(means)
    return Preprocessing(means, ones, 1.0, known.input_side, known.crop_pct, "bilinear", "BGR")


def zoo_source(known: ZooModel, digest: str) -> tuple[str, str]:
    """What a file is, as far as its digest tells: a verdict, and the licence of its weights."""
    if known.sha256 is None:
        verdict = f"whether it is the published {known.file} cannot be told, for no digest of it is known"
    elif digest == known.sha256:
        return f"the published {known.file}, by its digest", known.licence
    else:
        verdict = f"not the published {known.file}"
    return verdict, f"unknown; that of {known.file}: {known.licence}"


def zoo_mean(known: ZooModel, mean: object) -> tuple[tuple[float, ...], str]:
    """Channel means, BGR, and where they are from.

    A mean image is reduced to its channels' means over the pixels, as Caffe's own ``classify.py`` does: the mean of a
    photograph hardly depends on the place, and a crop has no place of its own.

    Args:
        known: the network.
        mean: a ``.binaryproto``, three means, or None for those of the published mean image.

    Raises:
        ConfigError: if it is something else, or a mean is outside 0..255.
        WeightsError: if the mean image cannot be read or has another size than the published one.
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


def prove_file(
    network: str, file: str, asked: object, tensors: Mapping[str, Tensor], say: Callable[[str], object]
) -> None:
    """Every layer beside OpenCV's; says the table before it refuses.

    Args:
        network: of the zoo.
        file: the ``.caffemodel``, which OpenCV reads itself.
        asked: True, or the path of the file's ``deploy.prototxt``.
        tensors: what was taken from the file.
        say: takes the report, line by line.

    Raises:
        ConfigError: if it is asked for in another way.
        WeightsError: if a layer computes something else.
    """
    import cv2
    import timm

    from fer_transfer.backbones.proof import check_proof, proof_table, prove

    if not isinstance(asked, bool | str):
        raise ConfigError(f"Expected prove=true or prove=deploy.prototxt, but got {asked!r}.")
    deploy = asked if isinstance(asked, str) else None
    differences = prove(timm.create_model(network), tensors, file, deploy)
    for line in proof_table(differences):
        say(line)
    text = deploy or f"the layers of {network}"
    check_proof(differences, file, text)
    compared = {d.layer for d in differences}
    if others := [name for name in tensors if name.partition(".")[0] not in compared]:
        say(f"not compared: {span(others)}, which a layer that was not taken stands before")
    say(f"{len(differences)} layers compute what OpenCV {cv2.__version__} computes from {file} with {text}")
