"""Whether a network computes what OpenCV's Caffe importer makes of the same file: layer by layer, in float32.

Two readers of the file, two implementations of every layer: nothing of ours is on OpenCV's side but the text that says
which layers follow one another, and that may be the file's own ``deploy.prototxt``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_transfer.backbones.caffe_net import CaffeNet, CaffeNetPlan
from fer_transfer.errors import ConfigError, WeightsError

BOUND = 1e-4  # largest relative difference of a layer


@dataclass(frozen=True)
class LayerDifference:
    """One layer in both implementations.

    Attributes:
        layer: its name.
        shape: of OpenCV's output, without the batch.
        ours: of ours.
        relative: largest difference over OpenCV's largest value; infinite where shapes differ or a value is not finite.
    """

    layer: str
    shape: tuple[int, ...]
    ours: tuple[int, ...]
    relative: float


def prove(
    network: nn.Module, tensors: Mapping[str, Tensor], file: str, deploy: str | None = None
) -> list[LayerDifference]:
    """Compare every layer, from the first to the last before one whose weights are missing, on a random picture.

    Args:
        network: a ``CaffeNet``; its weights are replaced by the tensors.
        tensors: read from the file, by our names; some may be missing.
        file: the ``.caffemodel``, which OpenCV reads itself.
        deploy: the file's ``deploy.prototxt``; None: a text made from the network's plan.

    Returns:
        One difference a layer, in order.

    Raises:
        ConfigError: if a deploy.prototxt is given for a network whose LRN OpenCV would not compute.
        WeightsError: if OpenCV cannot read a file, or the two have no layer in common.
    """
    assert isinstance(network, CaffeNet)
    if deploy and network.plan.norm[3] != 1:
        raise ConfigError(
            f"Expected prove=true for this network, but got prove={deploy}: OpenCV takes LRN's k for 1 whatever a text says, and "
            f"here it is {network.plan.norm[3]:g}. The text that prove=true makes says the same by other layers."
        )
    held = _held(tensors)
    if not held:
        raise WeightsError(f"Expected conv1 among the layers taken from {file}: a proof begins with the picture.")
    network.load_state_dict(dict(tensors), strict=False)
    text = _read(deploy) if deploy else deploy_text(network.plan, network.img_size, held)
    # Grey levels less their mean.
    picture = np.random.default_rng(0).uniform(-120, 140, (1, 3, network.img_size, network.img_size)).astype(np.float32)
    theirs = dict(_opencv_outputs(text, file, picture))
    ours = {name: values for name, values in _outputs(network, picture).items() if name in theirs}
    compared = [_difference(name, theirs[name], values) for name, values in ours.items()]
    if not compared:
        raise WeightsError(f"Expected layers named conv1, relu1 ... fc8 in {deploy}, but got {list(theirs)[:3]}.")
    return compared


def proof_table(differences: Sequence[LayerDifference]) -> list[str]:
    """Lines to print.

    >>> for line in proof_table([LayerDifference("conv1", (96, 55, 55), (96, 55, 55), 2e-7)]):
    ...     print(line)
    layer  output    difference / largest value
    conv1  96x55x55  2.0e-07
    """
    rows = [("layer", "output", "difference / largest value")]
    rows += [(d.layer, _shape(d.shape), f"{d.relative:.1e}") for d in differences]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return ["  ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2])) for row in rows]


def check_proof(differences: Sequence[LayerDifference], file: str, text: str) -> None:
    """Refuse a network that computes something else.

    Raises:
        WeightsError: naming the first layers above the bound.
    """
    wrong = [d for d in differences if not d.relative <= BOUND]
    if wrong:
        found = ", ".join(
            f"{d.layer} {d.relative:.1e}" if d.shape == d.ours else f"{d.layer} {_shape(d.ours)}, not {_shape(d.shape)}"
            for d in wrong[:3]
        )
        raise WeightsError(
            f"Expected every layer within {BOUND:.0e} of what OpenCV computes from {file} with {text}, but got {len(wrong)} "
            f"that are not, first {found}. The file is of another network than ours, or damaged."
        )


def deploy_text(plan: CaffeNetPlan, side: int, held: Sequence[str]) -> str:
    """Caffe's text of the layers whose weights are held, every output under its layer's name.

    OpenCV takes LRN's k for 1, whatever a text says: (k + a) ** -b is k ** -b (1 + a / k) ** -b, so that alpha / k and a
    factor say the same.
    """
    blocks = [f'name: "net" input: "data" input_dim: 1 input_dim: 3 input_dim: {side} input_dim: {side}']
    last = "data"
    for name, kind, body in _layers(plan, held):
        blocks.append(f'layer {{ name: "{name}" type: "{kind}" bottom: "{last}" top: "{name}" {body} }}')
        last = name
    return "\n".join(blocks)


def _layers(plan: CaffeNetPlan, held: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    size, alpha, beta, k = plan.norm
    for number, c in enumerate(plan.convolutions, 1):
        if f"conv{number}" not in held:
            return
        shape = (
            f"num_output: {c.channels} kernel_size: {c.kernel} stride: {c.stride} pad: {c.padding} group: {c.groups}"
        )
        yield f"conv{number}", "Convolution", f"convolution_param {{ {shape} }}"
        yield f"relu{number}", "ReLU", ""
        if c.norm:
            lrn = f"local_size: {size} alpha: {alpha / k} beta: {beta}"
            yield f"{'lrn' if k != 1 else 'norm'}{number}", "LRN", f"lrn_param {{ {lrn} }}"
            if k != 1:
                yield f"norm{number}", "Power", f"power_param {{ scale: {k**-beta} }}"
        if c.pool:
            yield f"pool{number}", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
    for number, width in ((6, plan.widths[0]), (7, plan.widths[1]), (8, 1000)):
        if f"fc{number}" not in held:
            return
        yield f"fc{number}", "InnerProduct", f"inner_product_param {{ num_output: {width} }}"
        if number < 8:
            yield f"relu{number}", "ReLU", ""


def _held(tensors: Mapping[str, Tensor]) -> list[str]:
    """Layers from the first on, up to one that is not held."""
    layers = [*(f"conv{number}" for number in range(1, 6)), "fc6", "fc7", "fc8"]
    return list(takewhile(lambda name: {f"{name}.weight", f"{name}.bias"} <= tensors.keys(), layers))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"Expected prove=true or a deploy.prototxt that can be read, but got {path}: {error}."
        ) from None


def _opencv_outputs(text: str, file: str, picture: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise WeightsError(
            f"Expected OpenCV 4, which reads Caffe's files, to prove {file}, but this is {cv2.__version__}, which no longer "
            "does. Install opencv-contrib-python>=4.10,<5 and no other OpenCV package, or leave prove out."
        )
    try:
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8), np.fromfile(file, np.uint8))
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        net.enableFusion(False)
        net.enableWinograd(False)  # less exact
        net.setInput(picture)
        names = net.getLayerNames()
        yield from zip(names, net.forward(names), strict=True)
    except cv2.error as error:
        reason = " ".join(str(error.err).split())
        raise WeightsError(
            f"Expected OpenCV to compute {file} too, but it says: {reason}. A deploy.prototxt must be whole and name layers "
            "that the file holds; prove=true asks for no others."
        ) from None


def _outputs(network: nn.Module, picture: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Of every layer by name; copied, for the ReLUs work in place."""
    seen: dict[str, NDArray[np.float32]] = {}

    def keep(name: str, output: Tensor) -> None:
        seen[name] = output.numpy().copy()

    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output, name=name: keep(name, output))
        for name, layer in network.named_children()
    ]
    with torch.inference_mode():
        network.eval()(torch.from_numpy(picture))
    for hook in hooks:
        hook.remove()
    return seen


def _difference(name: str, theirs: NDArray[np.float32], ours: NDArray[np.float32]) -> LayerDifference:
    relative = float("inf")
    if theirs.size == ours.size:
        largest = float(np.abs(theirs).max())
        difference = float(np.abs(ours.reshape(theirs.shape) - theirs).max())
        if np.isfinite([largest, difference]).all():
            relative = difference / largest if largest else difference
    return LayerDifference(name, theirs.shape[1:], ours.shape[1:], relative)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
