"""``fer-weights``: the model files that can be used; check or fetch one; write weights with the record of their input.

::

    fer-weights model=yunet fetch=true

    fer-weights net=bvlc_alexnet file=bvlc_alexnet.caffemodel mean=imagenet_mean.binaryproto out=alexnet.safetensors
    fer-weights net=mobilenetv2_100 file=x.pth out=x.safetensors 'mean=[0.5,0.5,0.5]' +kwargs.pad_type=same
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_transfer.cli.front import front

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """\
fer-weights: model files: where they are published, whether one is whole, and
weights written with what their input is.

  fer-weights                       every model file that can be used: purpose,
                                    address, size, digest, licence
  fer-weights model=NAME file=FILE  whether a file is the published one
  fer-weights model=NAME fetch=true [out=FILE]
                                    fetch it (nothing else ever does); after a
                                    break, the same command goes on
  fer-weights net=bvlc_alexnet file=bvlc_alexnet.caffemodel
                                    what is in a file; nothing is written
  fer-weights net=bvlc_alexnet file=bvlc_alexnet.caffemodel \\
      mean=imagenet_mean.binaryproto out=alexnet.safetensors
                                    for recipe.backbone.weights of fer-train

  prove=true                        with net and file: every layer against
                                    OpenCV's own
  net=mobilenetv2_100 ...           any network of timm's: mean, std, kwargs

  --settings [WORD]    every setting: default, meaning, choices
  --cfg job            the configuration that would run; nothing is written
"""


def task(config: "DictConfig") -> None:
    """Describe the published files, or check and import the one that the configuration names."""
    from fer_transfer.backbones.model_zoo import ZOO, card, zoo_model
    from fer_transfer.config import plain
    from fer_transfer.errors import ConfigError, WeightsError
    from fer_transfer.files.names import shown_text

    settings = plain(config)
    if settings["model"] is not None or settings["fetch"]:
        print(shown_text(_published(settings)))
        return
    if settings["file"] is None:
        if given := [key for key, value in settings.items() if value and key != "net"]:
            raise ConfigError(f"Expected file=FILE with {', '.join(given)}, but got none.")
        print("\n".join(card(zoo_model(settings["net"])) if settings["net"] else _table()))
        return
    if settings["net"] is None:
        names = f"net={' or net='.join(ZOO)}"
        raise ConfigError(f"Expected {names}, or another name of timm's, with file={settings['file']}, but got none.")
    from fer_transfer.backbones.known import check_name
    from fer_transfer.files.nearby import near_path

    check_name(settings["net"], "net")
    file = str(settings["file"])
    if not Path(file).exists():
        raise WeightsError(f"Expected weights at {file}, but there is nothing.{near_path(file)} Give file=PATH.")
    # Imported here so that --help and mistakes in the configuration do not wait for torch.
    from fer_transfer.backbones.importing import Import, import_weights

    words = {key: settings[key] for key in ("std", "scale", "crop_pct", "interpolation", "channel_order")}
    words["input_size"] = None if settings["size"] is None else [settings["size"]]
    asked = Import(
        settings["net"],
        file,
        settings["mean"],
        None if settings["out"] is None else str(settings["out"]),
        settings["partial"] or (),
        settings["prove"] or False,
        {key: value for key, value in words.items() if value is not None},
        settings["kwargs"],
    )
    import_weights(asked, lambda line: print(shown_text(str(line)), flush=True))


def _table() -> list[str]:
    from fer_transfer.models import MODELS, described

    return [line for model in MODELS.values() for line in described(model)]


def _published(settings: dict[str, Any]) -> str:
    """Check or fetch one of the table, or say what is known of it."""
    from fer_transfer.errors import ConfigError
    from fer_transfer.models import check, described, fetched, known_model

    if settings["model"] is None:
        raise ConfigError("Expected model=NAME with fetch, but got none. fer-weights shows the names.")
    model = known_model(str(settings["model"]))
    if settings["fetch"]:
        return fetched(model, Path(str(settings["out"] or model.name)).expanduser(), settings["address"])
    if settings["file"] is None:
        return "\n".join(described(model))
    return check(model, Path(str(settings["file"])).expanduser())


def main() -> None:
    """Entry point of the command."""
    front("fer-weights", HELP, "weights")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("weights", task)


if __name__ == "__main__":
    main()
