"""``fer-predict``: look at pictures, videos or a camera with rows of a store, or with what was exported of them."""

import sys
from typing import TYPE_CHECKING, Any

from fer_transfer.cli.front import front, help_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fer_transfer.inference.pictures import Source
    from fer_transfer.inference.predictor import Predictor
    from fer_transfer.inference.results import PredictedFaces

HELP = help_text(
    """\
fer-predict: look at faces with a network that was trained.

  fer-predict row=fer28_emotiw/resnet18 input=photograph.jpg
  fer-predict row=sub3 input=photographs out=looked_at saliency=true
                          a folder: CSV, JSON, pictures with the faces drawn,
                          and what spoke for the expression of each
  fer-predict row=sub3 input=film.mp4 smooth=exponential out=film
                          a video; camera=0 in place of input: until Ctrl-C
  fer-predict row=[sub3,sub6] input=labelled
                          an ensemble, or row=NAME of one of the study's;
                          folders called after expressions are scored
  fer-predict model=exported input=photograph.jpg format=json
                          with what fer-export wrote
""",
    ["study", "pipeline", "pipeline/detector"],
    "done",
)


def task(config: "DictConfig") -> None:
    """Look at what the configuration names, print what was found, and write it to ``out``."""
    from fer_transfer.config import plain, typed
    from fer_transfer.errors import ConfigError
    from fer_transfer.inference.asked import Asked

    settings = plain(config)
    words = ("faces", "smooth", "smooth_seconds", "follow", "threads", "out", "annotate", "saliency", "replace")
    given = {key: settings[key] for key in words}
    asked = typed(Asked, given, "What is asked of fer-predict")
    if settings["format"] not in ("table", "csv", "json"):
        raise ConfigError(f"Expected format to be table, csv or json, but got {settings['format']!r}.")
    source = _source(settings)
    # Imported here so that --help and mistakes in the configuration do not wait for OpenCV and torch.
    from rich.console import Console

    from fer_transfer.inference.predicting import predict_into

    predictor = _predictor(settings)
    if settings["format"] == "table":
        _print(predictor.about.lines())
    predicted = predict_into(predictor, source, asked, Console(stderr=True, markup=False))
    _tell(predicted, settings)


def _source(settings: dict[str, Any]) -> "Source":
    from fer_transfer.errors import ConfigError
    from fer_transfer.inference.pictures import from_path

    given = [key for key in ("input", "camera") if settings[key] is not None]
    if len(given) != 1:
        raise ConfigError(
            f"Expected input=PATH (a picture, a folder, a video) or camera=NUMBER, but got {' and '.join(given) or 'neither'}."
        )
    if given == ["input"]:
        return from_path(str(settings["input"]))
    if type(settings["camera"]) is not int or settings["camera"] < 0:
        raise ConfigError(f"Expected camera to be a number, 0 for the first, but got {settings['camera']!r}.")
    from fer_transfer.inference.video import camera

    return camera(settings["camera"], settings["seconds"])


def _predictor(settings: dict[str, Any]) -> "Predictor":
    from fer_transfer.cli.rows import model_of_rows
    from fer_transfer.config import build

    how = {
        "pipeline": None if settings["pipeline"] is None else build("pipeline", settings["pipeline"]),
        "detector_model": settings["detector_model"],
    }
    if settings["model"] is None:
        return model_of_rows(settings, device=settings["device"], **how)
    _check_exported(settings)
    from fer_transfer.export.opened import open_export

    return open_export(str(settings["model"]), settings["calibrated"], **how)


def _check_exported(settings: dict[str, Any]) -> None:
    """An exported network is what it is: rows, seeds and crops were chosen when it was written."""
    from fer_transfer.errors import ConfigError

    if given := [key for key in ("row", "seeds", "weights", "ten_crops") if settings[key] is not None]:
        raise ConfigError(
            f"Expected model=EXPORT alone, but got {', '.join(given)} with it: an exported network is one already. Give "
            f"{' and '.join(given)} to fer-export, or leave model out."
        )
    if settings["device"] not in ("auto", "cpu"):
        raise ConfigError(
            f"Expected device=auto or cpu with model=EXPORT, which is computed on the CPU, but got {settings['device']!r}."
        )


def _tell(predicted: "PredictedFaces", settings: dict[str, Any]) -> None:
    from fer_transfer.inference.predicting import report_lines

    if settings["format"] == "table":
        _print([*report_lines(predicted), *([f"Written to {settings['out']}"] if settings["out"] else [])])
        return
    print(predicted.to_csv() if settings["format"] == "csv" else predicted.to_json(), end="", flush=True)
    if settings["format"] == "csv":  # no place in it for these
        print("\n".join([*predicted.about.lines(), *predicted.notes]), file=sys.stderr, flush=True)


def _print(lines: list[str]) -> None:
    from fer_transfer.files.names import shown

    print("\n".join(map(shown, lines)), flush=True)


def main() -> None:
    """Entry point of the command."""
    front("fer-predict", HELP, "predict")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("predict", task)


if __name__ == "__main__":
    main()
