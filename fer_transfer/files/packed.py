"""Many records in little memory: a million pictures of a release, as Python's own objects, take hundreds of bytes each."""

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

#: Records that are packed together: more pack better, fewer are read sooner.
_TOGETHER = 1024

#: What is packed is packed once and read a few times; a higher level gains little on names that resemble each other.
_LEVEL = 1


class Packed(Sequence[T], Generic[T]):
    """Records in the order in which they come, pickled and deflated by the thousand; each is made anew when it is asked for.

    Names of pictures take about ten bytes each so. Going through all of them is what it is made for: one alone costs as much
    as a thousand.

    Args:
        records: anything that can be pickled; more may be appended.

    >>> names = Packed(f"Train/Happy/{number}.png" for number in range(3000))
    >>> names.append("last")
    >>> len(names), names[2999], names[-1], names[:2], "other" in names
    (3001, 'Train/Happy/2999.png', 'last', ['Train/Happy/0.png', 'Train/Happy/1.png'], False)
    """

    def __init__(self, records: Iterable[T] = ()) -> None:
        self._blocks: list[bytes] = []
        self._last: list[T] = []
        for record in records:
            self.append(record)

    def append(self, record: T) -> None:
        """Add one."""
        self._last.append(record)
        if len(self._last) == _TOGETHER:
            self._blocks.append(zlib.compress(pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL), _LEVEL))
            self._last = []

    def __len__(self) -> int:
        return len(self._blocks) * _TOGETHER + len(self._last)

    def __iter__(self) -> Iterator[T]:
        return self.part(0, len(self))

    def part(self, start: int, stop: int) -> Iterator[T]:
        """Those from start to stop, which are made as they are taken; nothing before them is unpacked."""
        first = start // _TOGETHER
        blocks = chain.from_iterable(map(self._block, range(first, len(self._blocks) + 1)))
        return islice(blocks, start - first * _TOGETHER, max(start, stop) - first * _TOGETHER)

    def _block(self, number: int) -> list[T]:
        if number == len(self._blocks):
            return self._last
        block: list[T] = pickle.loads(zlib.decompress(self._blocks[number]))
        return block

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            rows = range(len(self))[place]
            return list(self.part(rows.start, rows.stop)) if rows.step == 1 else [self[row] for row in rows]
        row = range(len(self))[place]
        return self._block(row // _TOGETHER)[row % _TOGETHER]


def distinct(records: Packed[Any]) -> int:
    """How many different ones there are.

    >>> distinct(Packed("abca"))
    3
    """
    hashes = len(np.unique(_hashes(records)))
    return hashes if hashes == len(records) else len(set(records))  # two may share a hash


def absent(records: Sequence[T], there: Sequence[T]) -> list[T]:
    """Those that are not among others, but for one in 2**64 pairs that share a hash.

    >>> absent("abca", Packed("bd"))
    ['a', 'c', 'a']
    """
    known = np.isin(_hashes(records), _hashes(there))
    return [] if known.all() else [record for record, is_known in zip(records, known, strict=True) if not is_known]


def _hashes(records: Sequence[Any]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, records), np.int64, len(records))
