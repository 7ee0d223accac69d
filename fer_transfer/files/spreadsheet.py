"""Text in CSV files that people open with a spreadsheet, which would run a cell that begins like a formula."""

#: What a spreadsheet may take for the beginning of a formula; the wide ones where it is set to Japanese or Chinese.
_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escaped(text: str) -> str:
    """Text with an apostrophe before it where a spreadsheet would take it for a formula.

    >>> escaped("=cmd|' /C calc'!A0"), escaped("Airheads_000519240.png"), escaped("'+1")
    ("'=cmd|' /C calc'!A0", 'Airheads_000519240.png', "''+1")
    """
    return f"'{text}" if text.lstrip("'").startswith(_BEGINS) else text


def unescaped(text: str) -> str:
    """What ``escaped`` was given.

    >>> unescaped(escaped("=1+1")), unescaped("'quoted'"), unescaped(escaped("'+1"))
    ('=1+1', "'quoted'", "'+1")
    """
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_BEGINS) else text
