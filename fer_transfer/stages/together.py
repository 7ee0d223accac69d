"""How processes that train a stage together agree: the first one tells the others what to train, and all stop at one batch.

The first process alone takes locks, decides what is trained, writes to the store and speaks. The others wait for its word, train
the stage that it names with it, and end when it ends. Words go over a group of their own, on the CPU: to wait for hours, because
another job trains the stage, is no failure of the group that trains.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, distributed

from fer_transfer.errors import ProcessError
from fer_transfer.ranks import Ranks, ranks
from fer_transfer.signals import Stopped

T = TypeVar("T")


_PATIENCE = timedelta(days=30)


class Word(NamedTuple):
    """What the first process tells the others: a stage to train, or the end.

    Attributes:
        key: of the stage, or None: there is nothing more to do.
        folder: where it is trained.
        code: exit code at the end.
    """

    key: str | None
    folder: str = ""
    code: int = 0


@dataclass
class Together:
    """The processes of a command; alone, it has nobody to tell or to ask.

    Attributes:
        ranks: this process among them.
        group: over which they speak, or None.
        waiting: whether the others wait for a word; known to the first process.
    """

    ranks: Ranks
    group: Any = None
    waiting: bool = True

    @contextmanager
    def training(self, key: str, folder: Path) -> Iterator[None]:
        """Let the others train a stage too; used by the first process, around its own training."""
        self._tell(Word(key, str(folder)))
        self.waiting = False  # until all are through: an error here reaches the others as the end of this process
        yield
        self.waiting = True

    def end(self, code: int) -> None:
        """Let the others end, if they wait for a word."""
        if self.ranks.leads and self.waiting:
            self._tell(Word(None, code=code))

    def told(self) -> Word:
        """Wait for a word of the first process.

        Raises:
            ProcessError: if it is gone.
        """
        return self._tell(Word(None))

    def _tell(self, word: Word) -> Word:
        return self.led(lambda: word)

    def led(self, decide: Callable[[], T]) -> T:
        """What the first process decides, in all of them; every one has to ask at the same place.

        Raises:
            ProcessError: if one is gone.
        """
        decided = [decide() if self.ranks.leads else None]
        if self.group is not None:
            with others_needed():
                distributed.broadcast_object_list(decided, 0, self.group)
        return cast(T, decided[0])

    def greatest(self, *values: int) -> list[int]:
        """Of each value the greatest that any process has; every process has to ask at the same place.

        Raises:
            ProcessError: if one is gone.
        """
        if self.group is None:
            return list(values)
        numbers = torch.tensor(values)
        with others_needed():
            distributed.all_reduce(numbers, distributed.ReduceOp.MAX, self.group)
        return numbers.tolist()


ALONE = Together(Ranks())


@contextmanager
def joined(accelerator: str) -> Iterator[Together]:
    """Join the processes that were started with this one, and tell them of the end.

    Args:
        accelerator: Lightning's word for what each trains on; ``gpu`` trains over NCCL.

    Raises:
        ProcessError: if one of them is gone.
    """
    mine = ranks()
    if mine.processes == 1:
        yield Together(mine)
        return
    with others_needed():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if accelerator == "gpu" else "gloo")
        together = Together(mine, distributed.new_group(timeout=_PATIENCE, backend="gloo"))
    try:
        yield together
    except BaseException as error:
        together.end(error.exit_code if isinstance(error, Stopped) else 1)
        raise
    together.end(0)
    distributed.destroy_process_group()


@contextmanager
def others_needed() -> Iterator[None]:
    """Say in one line that another process is gone: what is sent to it, or waited for, then fails.

    Raises:
        ProcessError: instead of what torch raises.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise ProcessError(
            f"Another of the {ranks().processes} processes that train this stage has ended. If it gave no reason above, it was "
            "killed. Repeat the command to go on from the last checkpoint."
        ) from None


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of what every process has; every one has to ask at the same place."""
    if not distributed.is_initialized():
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values
