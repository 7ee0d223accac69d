"""Which of several processes this one is, where torchrun has started more than one to train a stage together."""

import os
from typing import NamedTuple


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
