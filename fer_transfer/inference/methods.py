"""The methods of saliency by name, checked before anything heavy is imported."""

from importlib.util import find_spec

from fer_transfer.errors import ConfigError

#: The one to take comes first: on faces whose moving parts are known it finds them best (``benchmarks/saliency.py``).
METHODS = ("integrated_gradients", "grad_cam", "occlusion")


def checked_method(method: object) -> str:
    """A method that can be used here.

    Raises:
        ConfigError: if it is none of ``METHODS``, or captum is not installed.
    """
    if method not in METHODS:
        raise ConfigError(f"Expected a method of saliency, one of {', '.join(METHODS)}, but got {method!r}.")
    if find_spec("captum") is None:
        raise ConfigError("Saliency needs captum, which is not installed: pip install 'fer_transfer[saliency]'.")
    return str(method)


def method_asked(given: object) -> str | None:
    """What the setting ``saliency`` asks for: true is the first method, a word is one, false is none.

    Raises:
        ConfigError: as ``checked_method``.
    """
    word = str(given).lower()
    return None if word == "false" else checked_method(METHODS[0] if word == "true" else word)
