"""Which of several processes this one is, where torchrun has started more than one to train a stage together."""

import os
import sys
import time
from contextlib import suppress
from typing import NamedTuple

from fer_transfer.signals import Stopped


class Ranks(NamedTuple):
    """This process among those that were started with it.

    Attributes:
        rank: its number. The first, 0, leads: it alone decides, writes and speaks.
        processes: in all.
        here: on this machine.
    """

    rank: int = 0
    processes: int = 1
    here: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the first."""
        return self.rank == 0


def ranks() -> Ranks:
    """As torchrun says in the environment; one process where it started none."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks()
    return Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")))


def torchrun(processes: int) -> str:
    """The command that starts so many processes."""
    return f"torchrun --nproc-per-node={processes} -m fer_transfer.cli.train"


def last_words(text: str, patience: float = 30.0) -> None:
    """Say why the command ends.

    The first process says it. The others, which found the same, wait until torchrun ends them for the first one's sake: it would
    end the first for theirs, before it has spoken.

    Args:
        text: to say, on standard error.
        patience: seconds after which the others end by themselves.
    """
    if ranks().leads:
        print(text, file=sys.stderr, flush=True)
    else:
        with suppress(Stopped):
            time.sleep(patience)
