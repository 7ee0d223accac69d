"""Many words in little memory: a million ids as Python's own text take eighty bytes each and more."""

from array import array

import numpy as np


class Words:
    """Words in the order in which they come, by place.

    Attributes:
        longest: characters of the longest.

    >>> words = Words()
    >>> for word in ("a", "b\u00e9", "a"):
    ...     words.append(word)
    >>> len(words), words.distinct(), words.longest, words[1:3]
    (3, 2, 2, ['b\u00e9', 'a'])
    """

    def __init__(self) -> None:
        self.longest = 0
        self._text = bytearray()
        self._ends = array("Q", [0])
        self._hashes = array("q")

    def append(self, word: str) -> None:
        """Add one."""
        self._text += word.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._text))
        self._hashes.append(hash(word))
        self.longest = max(self.longest, len(word))

    def __len__(self) -> int:
        return len(self._hashes)

    def __getitem__(self, places: slice) -> list[str]:
        return [self._word(place) for place in range(*places.indices(len(self)))]

    def _word(self, place: int) -> str:
        return self._text[self._ends[place] : self._ends[place + 1]].decode("utf-8", "surrogatepass")

    def distinct(self) -> int:
        """How many different ones there are."""
        hashes = len(np.unique(np.frombuffer(self._hashes, np.int64)))
        return hashes if hashes == len(self) else len(set(self[:]))  # two words may share a hash
