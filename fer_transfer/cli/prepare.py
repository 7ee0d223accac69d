"""``fer-prepare``: turn a release into prepared faces.

::

    fer-prepare release=fer2013 release.path=fer2013.tar.gz release.ferplus=fer2013new.csv
"""

from omegaconf import DictConfig

from fer_transfer.cli.app import run


def task(config: DictConfig) -> None:
    """Prepare the release that the configuration names into the folder ``out``."""
    # Imported here so that --help and mistakes in the configuration do not wait for numpy and OpenCV.
    from fer_transfer.config import build, plain
    from fer_transfer.faces.prepare import prepare

    settings = plain(config)
    release = build("release", settings["release"])
    prepare(release, settings["out"], workers=settings["workers"], beside=settings["beside"])


def main() -> None:
    """Entry point of the command."""
    run("prepare", task)


if __name__ == "__main__":
    main()
