"""The seven expressions, in one canonical order, and the checked map from each release's own labels.

FER-2013 numbers its classes 0 to 6, EmotiW names folders (alphabetical order is another permutation), and the
paper's Figure 5 uses a third order. Everything inside this package uses ``EXPRESSIONS``; only readers of releases
translate, through ``expression_index``.
"""

from fer_transfer.errors import ReleaseError

#: Canonical order; FER-2013's own (Goodfellow et al. 2013).
EXPRESSIONS = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")

#: Label of a face whose expression is withheld or unknown.
UNLABELLED = -1

_ALIASES = {
    "anger": "Angry",
    "disgusted": "Disgust",
    "fearful": "Fear",
    "happiness": "Happy",
    "sadness": "Sad",
    "surprised": "Surprise",
}
_INDEX = {name.lower(): EXPRESSIONS.index(name) for name in EXPRESSIONS}
_INDEX |= {alias: EXPRESSIONS.index(name) for alias, name in _ALIASES.items()}


def is_expression(name: str) -> bool:
    """Whether ``name`` is one of the seven expressions or a known spelling of one, whatever its case."""
    return name.strip().lower() in _INDEX


def expression_index(name: str, where: str = "") -> int:
    """Canonical index (0..6) of an expression's name as releases spell it.

    Args:
        name: a class name, in any case; noun forms ("happiness") count.
        where: file or folder, for the error message.

    Raises:
        ReleaseError: if the name is none of the seven.

    >>> expression_index("Happy"), expression_index("sadness"), expression_index("NEUTRAL")
    (3, 4, 6)
    """
    try:
        return _INDEX[name.strip().lower()]
    except KeyError:
        place = f" in {where}" if where else ""
        raise ReleaseError(
            f"Expected one of the seven expressions {', '.join(EXPRESSIONS)}{place}, but got {name!r}. "
            "Rename the class or remove it from the release."
        ) from None
