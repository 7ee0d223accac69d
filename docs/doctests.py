"""Docstrings as the pages show them: examples as code, arguments that are told together each in a row of its own."""

import re
from typing import Any

from griffe import Extension, Object

#: Google's style has examples as text, in which [1, 2][3] would be a link.
_EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)

#: ``low, high: its edges``, which is read as an attribute "low," of the type "high"; and the lines that go on with it.
_TOGETHER = re.compile(r"^    (\w+(?:, \w+)+)(: .*(?:\n {8,}.*)*)", re.MULTILINE)


def prepared(docstring: str) -> str:
    """A docstring with a fence around every example and a line for every name."""
    text = _EXAMPLE.sub(r"```pycon\n\g<0>\n```", docstring)
    return _TOGETHER.sub(lambda told: "\n".join(f"    {name}{told[2]}" for name in told[1].split(", ")), text)


class Doctests(Extension):
    """Prepares the docstring of every documented object."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for every documented object."""
        if obj.docstring:
            obj.docstring.value = prepared(obj.docstring.value)
