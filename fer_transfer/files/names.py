"""Text from files as it may be shown: every name can be printed, kept in JSON, CSV and npy, and told from any other."""

import re
import unicodedata

#: Turn the direction of what follows, so that a name reads as another; and two separators that some take for line ends.
_UNSEEN = re.compile("[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def shown(name: str) -> str:
    r"""A name that can be printed and written anywhere: what would act on a terminal, and bytes that are not UTF-8, escaped.

    >>> shown("Zoë_001.png"), shown("caf\udce9\n.png"), shown("\x1b[2J"), shown("gnp.\u202ea")
    ('Zoë_001.png', 'caf\\xe9\\n.png', '\\x1b[2J', 'gnp.\\u202ea')
    """
    if name.isprintable():
        return name
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cs") or _UNSEEN.match(c) else c for c in name)


def shown_text(text: str) -> str:
    r"""The same of text that has lines: they are kept.

    >>> print(shown_text("one\ntw\ro"))
    one
    tw\ro
    """
    return "\n".join(map(shown, text.split("\n")))


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
