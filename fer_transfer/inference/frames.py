"""Columns as a data frame of whichever library is installed; neither is needed for anything else."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fer_transfer.errors import ConfigError

LIBRARIES = ("pandas", "polars")


def data_frame(columns: Mapping[str, Sequence[Any]], library: str | None = None) -> Any:
    """A ``DataFrame`` of the columns.

    Args:
        columns: by name, all of one length.
        library: ``pandas`` or ``polars``; None: the first of these that is installed.

    Raises:
        ConfigError: if the library is another, or is not installed.
    """
    if library is not None and library not in LIBRARIES:
        raise ConfigError(f"Expected library to be {' or '.join(LIBRARIES)}, but got {library!r}.")
    installed = [name for name in ([library] if library else LIBRARIES) if find_spec(name)]
    if not installed:
        raise ConfigError(
            f"Expected {library or ' or '.join(LIBRARIES)} for a data frame, but it is not installed. Install it "
            f"(pip install {library or LIBRARIES[0]}), or take to_csv or to_json."
        )
    return import_module(installed[0]).DataFrame(dict(columns))
