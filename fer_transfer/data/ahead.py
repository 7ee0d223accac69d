"""Batches made ahead of the step that wants them, on a thread of their own.

Copying faces out of memory-mapped arrays and pinning them leave Python's lock alone: the training thread waits only for what is
not ready yet.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty, Queue
from threading import Event, Thread
from typing import NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader

T = TypeVar("T")

_AHEAD = 2  # batches that are ready


class _End(NamedTuple):
    error: BaseException | None = None


class AheadLoader(DataLoader[T]):
    """A DataLoader without worker processes whose batches are made ahead, in the same order.

    What its sampler is told (``set_epoch``) counts until the first batch is asked for.
    """

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]
        first: Callable[[], object] = _nothing
        if self.pin_memory:  # for the thread's own device, which is the first until it is told
            first = partial(torch.cuda.set_device, torch.cuda.current_device())
        return ahead(super().__iter__(), first)


def _nothing() -> None: ...


def ahead(batches: Iterator[T], first: Callable[[], object] = _nothing) -> Iterator[T]:
    """The same batches, made while those before them are used.

    The thread begins when the first batch is asked for. It ends when the last is made, or when this iterator is closed or
    forgotten. An error comes out where its batch was asked for.

    Args:
        batches: used on the thread alone.
        first: called on the thread before anything else.

    >>> list(ahead(iter([1, 2, 3])))
    [1, 2, 3]
    """
    made: Queue[T | _End] = Queue(_AHEAD)
    closed = Event()
    thread = Thread(target=_make, args=(batches, first, made, closed), name="batches", daemon=True)
    thread.start()
    try:
        while not isinstance(batch := made.get(), _End):
            yield batch
            del batch  # before the thread is woken: both would want Python's lock
        if batch.error is not None:
            raise batch.error
    finally:
        closed.set()
        while thread.is_alive():
            with suppress(Empty):  # it may wait for a place
                made.get(timeout=0.01)


def _make(batches: Iterator[T], first: Callable[[], object], made: "Queue[T | _End]", closed: Event) -> None:
    try:
        first()
        for batch in batches:
            made.put(batch)
            if closed.is_set():
                return
        end = _End()
    except BaseException as error:  # whatever it is, it is raised where the batch is missing
        end = _End(error)
    made.put(end)
