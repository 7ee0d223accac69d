"""A file fetched because somebody asked for it: resumed where it broke off, bounded, checked, and only then in its place.

What is there of it stays beside its place as ``NAME.part``. The digest decides, not the server: a redirect is followed to another
host over https only, and never from https to http; more bytes than stated are not read.
"""

import hashlib
import http.client
import re
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from fer_transfer.files.digest import file_digest

_BLOCK = 1 << 16
_SECONDS = 30  # without a byte
_TRIES = 5  # in a row that bring nothing new


class FetchError(Exception):
    """What was expected of the server, and what came."""


class _Broken(Exception):
    """It may go on from where it is."""


@dataclass(frozen=True)
class Wanted:
    """A published file.

    Attributes:
        address: http or https.
        size: bytes.
        sha256: hexadecimal.
    """

    address: str
    size: int
    sha256: str


def fetch(wanted: Wanted, out: Path, advance: Callable[[int, int | None], None] = lambda done, total: None) -> None:
    """Write a published file to ``out``, all of it or nothing.

    Args:
        wanted: what is fetched.
        out: its place; ``out.part`` beside it is gone on with.
        advance: told the bytes that are there, and all.

    Raises:
        FetchError: if another command fetches it, there is no network, the server breaks off time and again, or what it
            sends is not the file.
        OSError: if it cannot be written.
    """
    if urlsplit(wanted.address).scheme not in ("http", "https"):
        raise FetchError(f"Expected an address with http or https, but got {wanted.address}.")
    part = out.with_name(out.name + ".part")
    with _alone(part):
        _complete(wanted, part, advance)
        if (got := file_digest([part])) != wanted.sha256:
            part.unlink()
            raise FetchError(
                f"Expected sha256 {wanted.sha256} of {wanted.address}, but what came has {got}; it was thrown away."
            )
        part.replace(out)


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """While one fetches into a part, no other does, on this computer: the lock lies in its temporary folder.

    Raises:
        FetchError: if another does.
    """
    name = hashlib.sha256(str(part.resolve()).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"fer_transfer-{name}.lock", mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FetchError(
            f"Expected to be the only one that fetches {part.with_suffix('')}, but another command does. Wait for it, then "
            "repeat the command."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _complete(wanted: Wanted, part: Path, advance: Callable[[int, int | None], None]) -> None:
    """Fetch what is missing, again after each break, until no try brings anything new."""
    idle = 0
    while (before := _there(part, wanted.size)) < wanted.size:
        try:
            _go_on(wanted, part, before, advance)
        except _Broken as error:
            idle = 0 if _there(part, wanted.size) > before else idle + 1
            if idle == _TRIES:
                raise FetchError(
                    f"Expected {wanted.size} bytes from {wanted.address}, but {before} are here and {_TRIES} tries in a row "
                    f"brought no more ({error}). What is there is kept: repeat the command to go on."
                ) from None


def _there(part: Path, size: int) -> int:
    """Bytes of it that are there; a part larger than the whole is none of it."""
    if not part.exists():
        return 0
    if part.stat().st_size > size:
        part.unlink()
        return 0
    return part.stat().st_size


def _go_on(wanted: Wanted, part: Path, start: int, advance: Callable[[int, int | None], None]) -> None:
    """One request, for what is missing after the first ``start`` bytes."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "fer_transfer"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with _OPENER.open(urllib.request.Request(wanted.address, headers=headers), timeout=_SECONDS) as answer:
            at = _first_byte(answer, wanted, start)
            with part.open("r+b" if at else "wb") as file:
                file.seek(at)
                _copy(answer, file, at, wanted, advance)
    except _TooMuch:
        part.unlink()
        raise FetchError(
            f"Expected {wanted.size} bytes from {wanted.address}, but there are more. Nothing is kept."
        ) from None
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # of a part that is not of this file
            part.unlink(missing_ok=True)
            raise _Broken("it does not have the rest") from None
        if error.code in (408, 429, 500, 502, 503, 504):
            raise _Broken(f"it answers {error.code}") from None
        raise FetchError(
            f"Expected a file at {wanted.address}, but the server answers {error.code} {error.reason}."
        ) from None
    except urllib.error.URLError as error:
        raise _unreached(wanted, error) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _Broken(str(error) or type(error).__name__) from None


class _TooMuch(Exception):
    """More bytes than the file has."""


def _unreached(wanted: Wanted, error: urllib.error.URLError) -> Exception:
    if isinstance(error.reason, ConnectionResetError | TimeoutError):
        return _Broken(str(error.reason))
    host = urlsplit(wanted.address).netloc
    return FetchError(f"Expected {host} to answer, but it cannot be reached ({error.reason}). Is there a network?")


def _first_byte(answer: Any, wanted: Wanted, start: int) -> int:
    """Where in the file the answer begins: a server may send the whole where the rest was asked for."""
    if answer.status == 200:
        _check_total(answer.headers.get("Content-Length"), wanted)
        return 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if answer.status != 206 or not found or found[1] != str(start):
        raise FetchError(
            f"Expected the bytes from {start} of {wanted.address}, but the server answers {answer.status} with "
            f"{answer.headers.get('Content-Range')}."
        )
    _check_total(found[2], wanted)
    return start


def _check_total(stated: str | None, wanted: Wanted) -> None:
    # As text: Python refuses to read a number of thousands of digits.
    if stated and stated.isdecimal() and stated != str(wanted.size):
        raise FetchError(f"Expected {wanted.size} bytes at {wanted.address}, but the server has {stated[:20]}.")


def _copy(answer: Any, file: IO[bytes], at: int, wanted: Wanted, advance: Callable[[int, int | None], None]) -> None:
    while block := answer.read(_BLOCK):
        if at + len(block) > wanted.size:
            raise _TooMuch
        file.write(block)
        at += len(block)
        advance(at, wanted.size)
    if at < wanted.size:
        raise _Broken(f"it broke off at {at} bytes")


def may_follow(source: str, target: str) -> bool:
    """Whether a redirect is followed.

    >>> may_follow("https://a.org/x", "https://cdn.b.org/x"), may_follow("http://a.org/x", "https://b.org/x")
    (True, True)
    >>> may_follow("http://a.org/x", "http://a.org/y"), may_follow("http://a.org/x", "http://b.org/x")
    (True, False)
    >>> may_follow("https://a.org/x", "http://a.org/x"), may_follow("https://a.org/x", "ftp://a.org/x")
    (False, False)
    """
    was, now = urlsplit(source), urlsplit(target)
    return now.scheme == "https" or (was.scheme, was.hostname) == (now.scheme, now.hostname) == ("http", now.hostname)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5
    inf_msg = "and redirects more than 5 times, or in a circle: "  # the library's is of three lines

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not may_follow(req.full_url, newurl):
            fp.close()
            raise FetchError(
                f"Expected {req.full_url} itself, but it redirects to {newurl}, which is not followed: another host, or "
                "less safe."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)
