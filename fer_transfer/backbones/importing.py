"""Weights that a user brings, looked at, and written as safetensors with the record of the input they expect."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from fer_transfer.backbones.batch_norm import folded
from fer_transfer.backbones.fitting import check_finite, check_fit, extent, weights_table
from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.backbones.networks import build_network, built_for, head_patterns, matches, record_of
from fer_transfer.backbones.notes import record_text, recorded_kwargs
from fer_transfer.backbones.preprocessing import preprocessing_of
from fer_transfer.backbones.weights import (
    LINEAGE_KEY,
    RECORD_KEY,
    WeightsFile,
    open_weights,
    save_tensors,
    without_prefix,
)
from fer_transfer.backbones.zoo_import import prove_file, zoo_input, zoo_mean, zoo_shapes, zoo_source
from fer_transfer.errors import ConfigError, WeightsError

#: Files that are none of Caffe's, whichever network they are for.
_NOT_CAFFES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Import:
    """What ``fer-weights`` is asked to do with a file.

    Attributes:
        network: a timm name, or ``bvlc_alexnet`` or ``vgg_cnn_m_2048``.
        file: a ``.safetensors``, a PyTorch checkpoint, or a ``.caffemodel``.
        mean: channel means in the network's own units; of the two Caffe networks the mean image (``.binaryproto``) or three
            means in BGR order in 0..255. None: timm's of the name, or the published mean image's.
        out: a ``.safetensors`` file to write; None checks only.
        partial: name patterns of what the file does not have, or has and should not be taken: ``fc6.*``.
        prove: compare every layer of a Caffe network with what OpenCV computes from the file: True, or its
            ``deploy.prototxt``.
        input: the other words of the record (``Preprocessing.record``), over the file's own and timm's.
        kwargs: constructor arguments that the weights need, over the file's own.
    """

    network: str
    file: str
    mean: object = None
    out: str | None = None
    partial: Sequence[str] = ()
    prove: bool | str = False
    input: Mapping[str, Any] = field(default_factory=dict)
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def import_weights(asked: Import, say: Callable[[str], object] = print) -> None:
    """Check a file against its network, prove a Caffe network on it, write it as safetensors with its record.

    Args:
        asked: which file, and what of it.
        say: takes the report, line by line.

    Raises:
        ConfigError: if a name, pattern or number is not possible.
        WeightsError: if a file is unreadable or does not fit and ``partial`` does not say so, the proof fails, or
            ``out`` cannot be written. Nothing is written then.
    """
    out = asked.out
    if out is not None and not (out.endswith(".safetensors") and Path(out).parent.is_dir()):
        raise ConfigError(f"Expected out=NAME.safetensors in a folder that exists, but got {out!r}.")
    caffes = asked.network in ZOO and Path(asked.file).suffix not in _NOT_CAFFES
    tensors, metadata = (_from_caffe if caffes else _from_any)(asked, say)
    if out is not None:
        try:
            save_tensors(Path(out), tensors, {key: json.dumps(value) for key, value in metadata.items()})
        except OSError as error:
            raise WeightsError(f"Cannot write {out}: {error}. Free space or choose another file (out=).") from None
        say(f"written to {out}")


def _from_caffe(asked: Import, say: Callable[[str], object]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """A Caffe file of a network of the zoo."""
    if given := [*asked.input, *(["kwargs"] if asked.kwargs else [])]:
        raise ConfigError(
            f"Expected no {', '.join(given)} with a Caffe file of {asked.network}: all but its mean is known."
        )
    known = ZOO[asked.network]
    means, from_what = zoo_mean(known, asked.mean)
    file, own = open_weights(asked.file, ".caffemodel"), zoo_shapes(asked.network)
    for line in (*weights_table(own, file.tensors, asked.partial), *file.notes):
        say(line)
    tensors = _fitting(asked, own, file.tensors)
    verdict, licence = zoo_source(known, file.digest)
    record = zoo_input(known, means).record() | _source(asked, file, tensors, own) | {"licence": licence}
    say(f"{asked.file}: {verdict}; {record['holds']}")
    say(f"licence: {licence}")
    say(f"mean {from_what}: B {means[0]:.3f}, G {means[1]:.3f}, R {means[2]:.3f}")
    if asked.prove:
        prove_file(asked.network, asked.file, asked.prove, tensors, say)
    return tensors, {RECORD_KEY: record}


def _from_any(asked: Import, say: Callable[[str], object]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """A file of any network of timm's; what it says of itself already is kept, but for what the user says."""
    if asked.prove or isinstance(asked.mean, str):
        what = f"prove={asked.prove}" if asked.prove else f"mean={asked.mean}"
        raise ConfigError(f"Expected {what} with a Caffe file of {' or '.join(ZOO)} only, but got {asked.file}.")
    file = open_weights(asked.file)
    kwargs = {**recorded_kwargs(file), **asked.kwargs}
    network = build_network(asked.network, kwargs)
    given = without_prefix(file.tensors, network.state_dict(), asked.file)
    head = head_patterns(network)  # of any task: what it is trained on next is another one
    own = {
        name: given[name] if name in given and matches(name, head) else t for name, t in network.state_dict().items()
    }
    for line in weights_table(own, given, asked.partial):
        if not line.startswith("taken"):
            say(line)
    tensors = _fitting(asked, own, given)
    words = asked.input if asked.mean is None else {"mean": asked.mean, **asked.input}
    preprocessing = preprocessing_of(
        record_of(network), words, file.record, built_for(network), "settings of the input", asked.file
    )
    record = preprocessing.record() | ({"kwargs": kwargs} if kwargs else {}) | _source(asked, file, tensors, own)
    say(f"{asked.file} for {asked.network}: {record['holds']}")
    say(f"input: {record_text(preprocessing.record())}")
    say(f"built with: {record_text(kwargs) or 'no arguments'}")
    if layers := folded(tensors):
        record["batch_norm"] = "folded"
        say(f"batch normalisation is folded away in {len(layers)} layers: train with recipe.batch_norm=unfold")
    if caveat := (file.record or {}).get("caveat"):
        record["caveat"] = caveat  # of a stage's file
    return tensors, {RECORD_KEY: record} | ({LINEAGE_KEY: file.lineage} if file.lineage else {})


def _fitting(asked: Import, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors that are taken."""
    taken = check_fit(own, given, asked.partial, asked.file, "partial").taken
    tensors = {name: given[name] for name in taken}
    check_finite(tensors, asked.file)
    return tensors


def _source(
    asked: Import, file: WeightsFile, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Where the weights are from and how much of a network they are."""
    return {
        "network": asked.network,
        "file": file.path.name,
        "sha256": file.digest,
        "holds": extent(list(tensors), list(own)),
        "left_out": list(asked.partial),
    }
