"""``fer-weights``: where the paper's networks' weights are published; check a Caffe file; write it as safetensors.

::

    fer-weights net=bvlc_alexnet file=bvlc_alexnet.caffemodel mean=imagenet_mean.binaryproto out=alexnet.safetensors
"""

from omegaconf import DictConfig

from fer_transfer.cli.app import run


def task(config: DictConfig) -> None:
    """Describe the published files, or check and import the one that the configuration names."""
    from fer_transfer.backbones.model_zoo import ZOO, card, zoo_model
    from fer_transfer.config import plain
    from fer_transfer.errors import ConfigError

    settings = plain(config)
    if settings["file"] is None:
        if given := [key for key in ("mean", "out", "partial", "prove") if settings[key]]:
            raise ConfigError(f"Expected file=NAME.caffemodel with {', '.join(given)}, but got none.")
        networks = [zoo_model(settings["net"])] if settings["net"] else list(ZOO.values())
        print("\n".join(line for known in networks for line in card(known)))
        return
    if settings["net"] is None:
        raise ConfigError(f"Expected net={' or net='.join(ZOO)} with file={settings['file']}, but got none.")
    zoo_model(settings["net"])
    # Imported here so that --help and mistakes in the configuration do not wait for torch.
    from fer_transfer.backbones.importing import Import, import_weights

    out = None if settings["out"] is None else str(settings["out"])
    file, mean, partial = str(settings["file"]), settings["mean"], settings["partial"] or ()
    import_weights(Import(settings["net"], file, mean, out, partial, settings["prove"] or False))


def main() -> None:
    """Entry point of the command."""
    run("weights", task)


if __name__ == "__main__":
    main()
