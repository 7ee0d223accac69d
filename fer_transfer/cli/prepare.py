"""``fer-prepare``: turn a release into prepared faces.

::

    fer-prepare release=fer2013 release.path=fer2013.tar.gz release.ferplus=fer2013new.csv
"""

from omegaconf import DictConfig

from fer_transfer.cli.app import run


def task(config: DictConfig) -> None:
    """Prepare the release that the configuration names into the folder ``out``."""
    from fer_transfer.config import build, path_given, plain
    from fer_transfer.errors import ConfigError

    settings = plain(config)
    out, replace = path_given(settings, "out"), settings["replace"]
    if not isinstance(replace, bool):
        raise ConfigError(f"Expected replace to be true or false, but got {replace!r}.")
    # Imported here so that --help and mistakes in the configuration do not wait for numpy and OpenCV.
    from fer_transfer.faces.prepare import prepare

    release = build("release", settings["release"])
    prepare(release, out, workers=settings["workers"], beside=settings["beside"], replace=replace)


def main() -> None:
    """Entry point of the command."""
    run("prepare", task)


if __name__ == "__main__":
    main()
