"""A network in a file of the user's: read and checked at once, known by its digest, loaded once in every process."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from fer_transfer.errors import ConfigError


class ModelFile:
    """A file with a model that a library runs. It travels to other processes as its path, and is loaded there again.

    Args:
        path: of the file; None: none was given, which is told.
        what: what it should be, for messages: "the YuNet model".
        load: makes the network of the file's bytes; a ``cv2.error`` or ``ValueError`` says that they are no such model
            (a ValueError's words go into the message). It must pickle: a function of a module, or a partial of one.
        advice: where to get the file, for messages.
        runs: what runs it, for messages; None: this OpenCV.

    Attributes:
        digest: SHA-256 of the file, hexadecimal.

    Raises:
        ConfigError: if there is none, it cannot be read, or it holds no such model.
    """

    def __init__(
        self, path: str | None, what: str, load: Callable[[bytes], Any], advice: str, runs: str | None = None
    ) -> None:
        if path is None:
            raise ConfigError(f"Expected the path of {what}, but none is given. {advice}")
        self.path, self.what, self._load, self._advice = path, what, load, advice
        self._runs = runs or f"OpenCV {cv2.__version__}"
        data = self._read()
        self.digest = hashlib.sha256(data).hexdigest()
        self._network = self._loaded(data)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}  # what libraries make does not pickle

    @property
    def network(self) -> Any:
        """What ``load`` made.

        Raises:
            ConfigError: in another process, if the file is no longer there or another one.
        """
        if self._network is None:
            self._network = self._loaded(self.again())
        return self._network

    def again(self) -> bytes:
        """The file's bytes, read again.

        Raises:
            ConfigError: if the file is no longer there or another one.
        """
        data = self._read()
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise ConfigError(f"Expected {self.what} at {self.path} to stay as it was, but it changed. Begin again.")
        return data

    def _read(self) -> bytes:
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"Expected {self.what} at {self.path!r}, but it cannot be read ({error.strerror}). {self._advice}"
            ) from None

    def _loaded(self, data: bytes) -> Any:
        try:
            return self._load(data)
        except ConfigError:  # a ValueError too, but of what the library needs, not of the file
            raise
        except (cv2.error, ValueError) as error:
            why = f": {error}" if isinstance(error, ValueError) and str(error) else ""
            raise ConfigError(
                f"Expected {self.what}, but {self.path} ({len(data)} bytes) is none that {self._runs} can "
                f"run{why}. {self._advice}"
            ) from None
