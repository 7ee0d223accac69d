"""Names and notes that do something to whoever opens a file with them, or prints it, as it is."""

import re

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "＝1+1",
    "<script>alert(1)<script>",
    r"\input{..etc..passwd}",
    "`|*a*|`",
    "[here](http:evil)",
    "a\x1b[2Jb",
    "a\u202egnp.b",
    "a\n\nb",
    "[/red]",
    "100%&#~^$_",
)


def acts_on_a_terminal(text: str) -> list[str]:
    """Characters that do more than stand there, line ends apart."""
    return re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may run a cell: it begins like a formula and holds more than numbers."""
    return cell.startswith(tuple("=+-@＝＋－＠\t\r\n")) and not re.fullmatch(r"[-+\d. ]+", cell)
