"""Names of files as text: every name can be shown, kept in JSON, CSV and npy, and told from any other."""

import unicodedata


def shown(name: str) -> str:
    r"""A name that can be printed and written anywhere: control characters, and bytes that are not UTF-8, escaped.

    >>> shown("Zoë_001.png"), shown("caf\udce9\n.png")
    ('Zoë_001.png', 'caf\\xe9\\n.png')
    """
    if name.isprintable():
        return name
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cs") else c for c in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
