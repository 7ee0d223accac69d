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
  fer-prepare release=folders release.path=mine
                                    your own, in folders named after classes
  fer-prepare release=frames release.path=photographs
                                    any frames, labelled or not
  fer-prepare release=emotiw release.path=SFEW_2.0 pipeline=box out=faces/box
                                    the detector's box, not aligned
""",
    ["release", "labels", "pipeline", "pipeline/detector"],
    "done",
)


def task(config: "DictConfig") -> None:
    """Prepare the release that the configuration names into the folder ``out``."""
    from fer_transfer.running import run_preparation

    run_preparation(config, _again())


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
