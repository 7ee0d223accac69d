"""A pipeline made again from the settings that faces were made with, so that other pictures are cut as they were."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import Detector, ViolaJones, YuNet
from fer_transfer.detection.face_landmarker import NAME, PRESENCE, FaceLandmarker
from fer_transfer.detection.landmarks import FaceMesh, Landmarker
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError
from fer_transfer.files.digest import file_digest

_ALIGNED = ("size", "side", "above", "below", "e2e", "sides_from", "border", "stretch")
_DETECTORS: Mapping[str, tuple[Callable[..., Detector], tuple[str, ...]]] = {
    "Viola-Jones": (ViolaJones, ("smallest", "step", "neighbours", "profile")),
    "YuNet": (YuNet, ("longest", "enlarge", "score", "overlap")),
}
_MESH = "MediaPipe face mesh"


def pipeline_from(settings: Mapping[str, Any], detector_model: str | Sequence[str] | None = None) -> FacePipeline:
    """The pipeline that has these settings.

    Args:
        settings: as ``FacePipeline.settings`` gave them.
        detector_model: the file of the model that finds faces, of which settings keep the digest only (YuNet, MediaPipe's
            FaceLandmarker); where there are two such models, both files.

    Raises:
        ConfigError: if a part is none of this package's own, its model is not at hand or another one, or a value is missing.
    """
    try:
        crop = BoxCrop(**_taken(settings, ("size", "stretch")))
        files = [detector_model] if isinstance(detector_model, str) else list(detector_model or ())
        landmarker = _landmarker(settings.get("landmarker"), files)
        return FacePipeline(
            _detector(settings["detector"], files),
            landmarker,
            crop if landmarker is None else Alignment(**_taken(settings, _ALIGNED)),
            **_taken(settings, ("choose",) if landmarker is None else ("choose", "fit", "smallest_e2e")),
            colour=settings.get("colour", False),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"Expected the settings of a face pipeline, but got {_short(settings)} ({type(error).__name__}: {error}). {_GIVE}"
        ) from None


def differences(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Where the settings of a pipeline that was made again differ from those recorded, in words: another OpenCV.

    >>> differences({"fit": 0.3, "detector": {"opencv": "4.10"}}, {"fit": 0.3, "detector": {"opencv": "4.12"}})
    ['detector.opencv: 4.10 recorded, 4.12 here']
    """
    one, other = dict(_flat(recorded)), dict(_flat(here))
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return [f"{key}: {one.get(key)} recorded, {other.get(key)} here" for key in keys]


_GIVE = "Say how faces are to be cut: pipeline=aligned (or a pipeline of your own)."


def _detector(settings: Mapping[str, Any], files: Sequence[str]) -> Detector | None:
    name = settings["name"]
    if name == NAME:
        return None  # the landmarker finds faces itself
    if name not in _DETECTORS:
        raise ConfigError(
            f"Expected a detector of this package ({', '.join(_DETECTORS)}), but the faces were found by {name!r}. {_GIVE}"
        )
    make, options = _DETECTORS[name]
    if "model" not in settings:
        return make(**_taken(settings, options))
    return make(model=_given(name, settings["model"], files), **_taken(settings, options))


def _given(name: str, recorded: str, files: Sequence[str]) -> str:
    """Of the files that were given, the one with the model recorded."""
    if not files:
        raise ConfigError(
            f"The faces were found by {name}, whose model (SHA-256 {recorded}...) is a file of yours. "
            "Give its path: detector_model=FILE."
        )
    digests = {file: file_digest([Path(file)])[: len(recorded)] for file in files if Path(file).is_file()}
    for file, digest in digests.items():
        if digest == recorded:
            return file
    _check_model(name, recorded, next(iter(digests.values()), f"no file at {files[0]}"), "detector_model")
    raise AssertionError("one of them is other than recorded")


def _landmarker(settings: Mapping[str, Any] | None, files: Sequence[str]) -> Landmarker | None:
    if settings is None:
        return None
    if settings["name"] == NAME:
        model = _given(NAME, settings["model"], files)
        options = ("faces", "detection", "presence", "enlarge", "looks", "doubt")
        # faces whose settings do not tell the presence were looked at once
        return FaceLandmarker(model, **_taken({"presence": PRESENCE, **settings}, options))
    if settings["name"] != _MESH:
        raise ConfigError(
            f"Expected the {_MESH} or {NAME}, but the faces were landmarked by {settings['name']!r}. {_GIVE}"
        )
    mesh = FaceMesh(**_taken(settings, ("enlarge", "passes", "steady")))
    _check_model(_MESH, settings["model"], mesh.model.digest[:12], "pipeline=aligned pipeline.landmarker.model")
    return mesh


def _check_model(name: str, recorded: str, here: str, option: str) -> None:
    if recorded != here:
        raise ConfigError(
            f"Expected the model of {name} that the faces were made with (SHA-256 {recorded}...), but got {here}.... "
            f"Give that file: {option}=FILE."
        )


def _taken(settings: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: settings[key] for key in keys}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _short(settings: Mapping[str, Any]) -> str:
    text = str(dict(settings))
    return text if len(text) < 120 else f"{text[:117]}..."
