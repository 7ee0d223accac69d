"""Every model file that can be used and does not come with the package: what for, where published, size, digest, licence.

Nothing is fetched but by ``fer-weights model=NAME fetch=true``.
"""

from dataclasses import dataclass
from pathlib import Path

from fer_transfer.backbones.model_zoo import ZOO, ZooModel
from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.files.digest import file_digest
from fer_transfer.files.fetching import FetchError, Wanted, fetch
from fer_transfer.files.nearby import near_path

_MEDIAPIPE = "https://storage.googleapis.com/mediapipe-assets"


@dataclass(frozen=True)
class Model:
    """A published file.

    Attributes:
        short: what one calls it: ``fer-weights model=mesh``.
        name: of the file.
        purpose: what uses it, and the setting that names it.
        address: where its authors put it.
        size: bytes; None where no source states it.
        sha256: hexadecimal; None where no source states it.
        licence: of the file, in the words of its authors.
        packed: whether the address is an archive that holds it.
    """

    short: str
    name: str
    purpose: str
    address: str
    size: int | None
    sha256: str | None
    licence: str
    packed: bool = False


def _caffe(known: ZooModel) -> Model:
    purpose = f"ImageNet weights of {known.network}: fer-weights net={known.network} file=FILE"
    return Model(known.network, known.file, purpose, known.address, known.size, known.sha256, known.licence)


#: By short name.
MODELS = {
    model.short: model
    for model in (
        Model(
            "mesh",
            "face_landmark.tflite",
            "the mesh of pipeline=aligned (pipeline.landmarker.model); the package mediapipe 0.10.14 carries it",
            f"{_MEDIAPIPE}/face_landmark.tflite",
            1242398,
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
            "Apache-2.0 (MediaPipe)",
        ),
        Model(
            "landmarker",
            "face_landmarker_v2_with_blendshapes.task",
            "MediaPipe's FaceLandmarker: pipeline=mediapipe (pipeline.landmarker.model)",
            f"{_MEDIAPIPE}/face_landmarker_v2_with_blendshapes.task",
            2357924,
            "b261925d4aad812b47a0e8d58c1baa1223270a5d1f663d78338bc881c003879d",
            "Apache-2.0 (MediaPipe)",
        ),
        Model(
            "yunet",
            "face_detection_yunet_2023mar.onnx",
            "the detector YuNet: pipeline/detector=yunet (pipeline.detector.model)",
            "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
            "face_detection_yunet_2023mar.onnx",
            232589,
            "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            # The zoo as a whole is under Apache-2.0, and its README sends to each model's own licence.
            "MIT (opencv_zoo, models/face_detection_yunet/LICENSE)",
        ),
        *map(_caffe, ZOO.values()),
        Model(
            "imagenet_mean",
            "imagenet_mean.binaryproto",
            "mean image of bvlc_alexnet: fer-weights mean=FILE",
            ZOO["bvlc_alexnet"].mean_address,
            786446,
            "b5863836b6777bdb3d336d94c791864500e2aebb49f7c2bf3d20110223da244f",
            "BSD-2-Clause (Caffe)",
            packed=True,
        ),
        Model(
            "vgg_mean",
            "VGG_mean.binaryproto",
            "mean image of vgg_cnn_m_2048: fer-weights mean=FILE",
            ZOO["vgg_cnn_m_2048"].mean_address,
            602126,
            "6a822634deb3ae1931b76f6f917917b1b392fa32d476815990fe41ee9dff227f",
            "non-commercial use only (VGG)",
        ),
    )
}


def known_model(name: str) -> Model:
    """The published file of a short name or a file's name.

    Raises:
        ConfigError: if there is none.

    >>> known_model("yunet").name, known_model("face_landmark.tflite").short
    ('face_detection_yunet_2023mar.onnx', 'mesh')
    """
    known = MODELS | {model.name: model for model in MODELS.values()}
    if name not in known:
        raise ConfigError(f"Expected model= one of {', '.join(MODELS)}, but got {name!r}.{nearest(name, known)}")
    return known[name]


def described(model: Model) -> list[str]:
    """Lines of the table for one file."""
    rows = {
        "called": f"model={model.short}",
        "purpose": model.purpose,
        "published at": f"{model.address}{' (in this archive)' if model.packed else ''}",
        "size": "not stated" if model.size is None else f"{model.size} bytes",
        "sha256": model.sha256 or "not stated",
        "licence": model.licence,
    }
    return [model.name, *(f"  {title:<13} {text}" for title, text in rows.items())]


def check(model: Model, file: Path) -> str:
    """Whether a file brought by hand is the published one, in one line.

    Raises:
        WeightsError: if it is another, or cannot be read.
    """
    if model.sha256 is None:
        raise WeightsError(
            f"Expected a published digest of {model.name} to check {file} against, but no source states one. Only what "
            "is in it can be looked at: fer-weights net=NET file=FILE."
        )
    try:
        size, digest = file.stat().st_size, file_digest([file])
    except OSError as error:
        raise WeightsError(
            f"Expected {model.name} at {file}, but it cannot be read ({error.strerror or error}).{near_path(file)}"
        ) from None
    if digest != model.sha256:
        raise WeightsError(
            f"Expected {model.name} with {model.size} bytes and sha256 {model.sha256}, but {file} has {size} bytes and "
            f"{digest}. It is another file or a damaged one: get it again from {model.address}."
        )
    return f"{file} is {model.name} as published ({size} bytes, sha256 {digest})"


def wanted(model: Model, address: str | None = None) -> Wanted:
    """What to fetch, from the authors' address or a mirror's.

    Raises:
        ConfigError: if nothing could tell whether it came whole, or the address is an archive that holds it.
    """
    if model.sha256 is None or model.size is None:
        why = "no source states its size and digest, and nothing could tell what came"
    elif model.packed and address is None:
        why = "it lies in an archive"
    else:
        return Wanted(address or model.address, model.size, model.sha256)
    raise ConfigError(
        f"Expected a file that can be fetched and checked, but of {model.name} {why}. Get it by hand: {model.address}"
    )


def fetched(model: Model, out: Path, address: str | None = None) -> str:
    """Fetch a file, with a progress bar in a terminal, and say in a line what came. One that is there already is checked.

    Raises:
        ConfigError: if it is none to be fetched.
        WeightsError: if it cannot be had, or another file is in its place.
    """
    from rich.console import Console

    from fer_transfer.bar import bar

    asked = wanted(model, address)
    if out.exists():
        return check(model, out)
    try:
        with bar(Console(stderr=True), f"fetching {model.name}", "MB/s", 1e6) as advance:
            fetch(asked, out, advance)
    except FetchError as error:
        raise WeightsError(
            f"{error} Or get {model.address} elsewhere, and check it: fer-weights model={model.short} file=FILE"
        ) from None
    except OSError as error:
        raise WeightsError(f"Expected to write {out}, but it cannot be written ({error.strerror or error}).") from None
    return check(model, out)
