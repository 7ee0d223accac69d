"""Reading csv files whose rows are pictures, ``"70 80 82 ..."``, without a Python number for every pixel.

The forms of FER-2013's csv differ in columns, their order, blanks in the header and quotes; all are read here.
Blocks are cut at line ends, the pixel fields of some rows are joined, and numpy converts them at once. A batch that
is not plainly regular is read again row by row, which either reads it or names the row and the value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ReleaseError
from fer_transfer.faces.source import Advance
from fer_transfer.files.archive import Member, pretender
from fer_transfer.labels import EXPRESSIONS, UNLABELLED

#: Height and width of FER-2013's faces.
SIDE = 48

#: FER-2013's own splits, as its Usage column spells them.
USAGES = ("Training", "PublicTest", "PrivateTest")

_PIXELS = SIDE * SIDE
_BLOCK = 4 << 20
_BATCH = 32  # rows converted at once: 270 kB of text, so that all steps stay in cache
_LONGEST_LINE = 1 << 20  # far above 48*48*4; without it a binary file would be read whole as one line
_BLANK_LINES = re.compile(rb"\n[ \t\r\n]+")  # dropped together: a file may hold little else
_BLANK = ord(" ")
_COLUMNS = ({"emotion", "pixels", "usage"}, {"emotion", "pixels"}, {"pixels"})
_EMOTIONS = {str(i).encode(): i for i in range(len(EXPRESSIONS))}
_USAGES = {usage.encode(): usage for usage in USAGES}


@dataclass(frozen=True)
class PixelRows:
    """What a csv file holds, row by row.

    Attributes:
        pixels: uint8 [N, 48, 48], 0..255.
        labels: int8 [N], 0..6 in FER-2013's order (the canonical one), or UNLABELLED without that column.
        usages: one of ``USAGES`` a row, or None without that column.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int8]
    usages: list[str] | None


def read_pixel_rows(member: Member, advance: Advance) -> PixelRows:
    """Read a csv with the columns emotion, pixels and Usage, or emotion and pixels, or pixels alone.

    Args:
        member: the stream of the csv, from its start.
        advance: told of bytes read and bytes in all.

    Raises:
        ReleaseError: naming the file, the row (the first below the header is 1) and the value that is wrong.
    """
    lines = _lines(member, advance)
    header = next(lines, (0, b""))[1]
    columns = _columns(header, member.where)
    batches: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    usages: list[str] = []
    fields: list[bytes] = []
    for number, line in lines:
        values = [value.strip(b' "\t\r') for value in line.split(b",")]
        if len(values) != len(columns):
            _bad(member, number, f"{len(columns)} values ({', '.join(columns)})", f"{len(values)}")
        row = dict(zip(columns, values, strict=True))
        fields.append(row["pixels"])
        labels.append(_label(row, member, number))
        if "usage" in row:
            usages.append(_usage(row["usage"], member, number))
        if len(fields) == _BATCH:
            batches.append(_convert(fields, member, len(labels)))
            fields = []
    if fields:
        batches.append(_convert(fields, member, len(labels)))
    if not labels:
        raise ReleaseError(f"Expected rows in {member.where}, but it holds only a header. Get the file again.")
    pixels = np.concatenate(batches).reshape(-1, SIDE, SIDE)
    return PixelRows(pixels, np.array(labels, np.int8), usages if "usage" in columns else None)


def _lines(member: Member, advance: Advance) -> Iterator[tuple[int, bytes]]:
    """Number and text of every line that is not blank; the header is number 0, so rows count from 1."""
    rest, number, done = b"", 0, 0
    while block := member.read(_BLOCK):
        if done == 0 and (what := pretender(block)):
            _not_csv(member, what)
        done += len(block)
        *lines, rest = _BLANK_LINES.sub(b"\n", rest + block).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            _not_csv(member, "a file without line ends")
        for line in lines:
            if line.strip():
                yield number, line
                number += 1
        advance(done, max(member.size, done))
    if done == 0:
        _not_csv(member, "an empty file")
    if rest.strip():
        yield number, rest


def _columns(header: bytes, where: str) -> list[str]:
    text = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    columns = [name.strip(' "\t\r').lower() for name in text.split(",")]
    if len(columns) != len(set(columns)) or set(columns) not in _COLUMNS:
        raise ReleaseError(
            f"Expected the columns emotion,pixels,Usage (or emotion,pixels, or pixels) in {where}, "
            f"but its first line is {text[:80]!r}. Give FER-2013's own csv."
        )
    return columns


def _label(row: dict[str, bytes], member: Member, number: int) -> int:
    if "emotion" not in row:
        return UNLABELLED
    label = _EMOTIONS.get(row["emotion"])
    if label is None:
        _bad(member, number, "an emotion 0 to 6", _show(row["emotion"]))
    return label


def _usage(value: bytes, member: Member, number: int) -> str:
    usage = _USAGES.get(value)
    if usage is None:
        _bad(member, number, f"a Usage of {', '.join(USAGES)}", _show(value))
    return usage


def _convert(fields: list[bytes], member: Member, last: int) -> NDArray[np.uint8]:
    """Pixels uint8 [n, 2304] of n fields, the last of which stands in row ``last``."""
    pixels = _convert_regular(fields)
    if pixels is None:
        first = last - len(fields) + 1
        pixels = np.stack([_convert_one(field, member, first + i) for i, field in enumerate(fields)])
    return pixels


def _convert_regular(fields: list[bytes]) -> NDArray[np.uint8] | None:
    """Pixels of fields with one blank between numbers of one to three digits; None if they are not that."""
    # Three bytes in front, so that the hundreds of the first number can be looked for.
    text = np.frombuffer(b"   " + b" ".join(fields) + b" ", np.uint8)
    blank = text == _BLANK
    digits = text - np.uint8(ord("0"))  # wraps far above 9 for what is no digit
    is_digit = digits < 10
    after = np.flatnonzero(blank[3:])  # where the blank after each number stands, from the first number on
    of_rows = np.cumsum([len(field) + 1 for field in fields]) - 1
    if len(after) != len(fields) * _PIXELS or not np.array_equal(after[_PIXELS - 1 :: _PIXELS], of_rows):
        return None
    empty = (blank[2:-1] & blank[3:]).any()
    long = (is_digit[3:] & is_digit[2:-1] & is_digit[1:-2] & is_digit[:-3]).any()
    if empty or long or np.count_nonzero(is_digit) + len(after) + 3 != len(text):
        return None
    digits *= is_digit
    low = digits[2:-1] + np.uint8(10) * digits[1:-2]  # at most 99: bytes suffice, and are four times as fast
    high = digits[:-3] * is_digit[1:-2]
    values, hundreds = low.take(after), high.take(after)
    if ((hundreds > 2) | ((hundreds == 2) & (values > 55))).any():
        return None
    values += np.uint8(100) * hundreds
    return values.reshape(len(fields), _PIXELS)


def _convert_one(field: bytes, member: Member, number: int) -> NDArray[np.uint8]:
    tokens = field.split()
    if len(tokens) != _PIXELS:
        _bad(member, number, f"{_PIXELS} pixels", f"{len(tokens)}")
    for position, token in enumerate(tokens):
        # Three digits at most, also for the sake of int(), which refuses thousands of them.
        if not token.isdigit() or len(token.lstrip(b"0")) > 3 or int(token) > 255:
            _bad(member, number, f"0 to 255 as pixel {position + 1}", _show(token))
    return np.array([int(token) for token in tokens], np.uint8)


def _show(value: bytes) -> str:
    return repr(value[:20].decode("utf-8", "replace"))


def _bad(member: Member, number: int, expected: str, got: str) -> NoReturn:
    raise ReleaseError(
        f"Expected {expected} in row {number} of {member.where} (line {number + 1}), but got {got}. "
        "The file is damaged or was cut short: get it again."
    )


def _not_csv(member: Member, what: str) -> NoReturn:
    raise ReleaseError(f"Expected a csv file at {member.where}, but it is {what}. Get the file again.")
