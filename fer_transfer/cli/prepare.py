"""``fer-prepare``: turn a release into prepared faces.

::

    fer-prepare release=fer2013 release.path=fer2013.tar.gz release.ferplus=fer2013new.csv
    fer-prepare -m shards=16 hydra/launcher=joblib release=emotiw release.path=SFEW_2.0
"""

import shlex
from typing import TYPE_CHECKING

from fer_transfer.cli.front import front, help_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = help_text(
    """\
fer-prepare: turn a release into a folder of prepared faces.

  fer-prepare release=fer2013 release.path=fer2013.tar.gz
  fer-prepare release=emotiw release.path=SFEW_2.0
  fer-prepare release=frames release.path=photographs
                                    any folder or archive of frames
  fer-prepare release=emotiw release.path=SFEW_2.0 pipeline=box out=faces/box
                                    the detector's box, not aligned
  fer-prepare release=synthetic_fer2013
                                    rendered: no data needed
""",
    ["release", "pipeline", "pipeline/detector"],
    "done",
)


def task(config: "DictConfig") -> None:
    """Prepare the release that the configuration names into the folder ``out``."""
    from fer_transfer.config import build, path_given, plain
    from fer_transfer.errors import ConfigError

    settings = plain(config)
    out, replace, workers = path_given(settings, "out"), settings["replace"], settings["workers"]
    if not isinstance(replace, bool):
        raise ConfigError(f"Expected replace to be true or false, but got {replace!r}.")
    if settings["shards"] is not None:
        raise ConfigError("shards=NUMBER starts a job for each shard and joins them: fer-prepare -m shards=NUMBER ...")
    # Imported here so that --help and mistakes in the configuration do not wait for numpy and OpenCV.
    from fer_transfer.faces.prepare import prepare, prepare_shard
    from fer_transfer.faces.shards import WHOLE, shard_from

    shard = WHOLE if settings["shard"] is None else shard_from(settings["shard"])
    release = build("release", settings["release"])
    if shard == WHOLE:
        prepare(release, out, workers=workers, beside=settings["beside"], replace=replace, again=_again())
    else:
        prepare_shard(release, out, shard, workers=workers, replace=replace, again=_again())


def _again() -> str:
    """This command, for all shards."""
    from hydra.core.hydra_config import HydraConfig

    words = HydraConfig.get().overrides.task
    return shlex.join(["fer-prepare", *(word for word in words if word.partition("=")[0] not in ("shard", "shards"))])


def main() -> None:
    """Entry point of the command."""
    front("fer-prepare", HELP, "prepare")
    from fer_transfer.cli.app import run  # Hydra: what is above does not wait for it

    run("prepare", task)


if __name__ == "__main__":
    main()
