"""Which tensors of a file a network takes, which not, and why; strict but for what a pattern excepts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch  # noqa: F401  # doctests
from torch import Tensor

from fer_transfer.errors import WeightsError

_SHOWN = 8


@dataclass(frozen=True)
class LoadedWeights:
    """What went into a network and what did not.

    Attributes:
        taken: names of the network that were filled.
        skipped: names, of the file or of the network, that a pattern excepts.
    """

    taken: list[str]
    skipped: list[str]


def check_fit(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    skip: Sequence[str],
    source: str,
    option: str = "recipe.backbone.skip_weights",
) -> LoadedWeights:
    """What of given tensors a network takes, strictly.

    Args:
        own: the network's tensors, by name; only their shapes are looked at.
        given: the tensors to take, under the network's names.
        skip: patterns (fnmatch) over names, of either side, that are left as they are.
        source: what the tensors are, for the message.
        option: where a user gives ``skip``, for the message.

    Raises:
        WeightsError: listing with ``-`` what the network misses, with ``+`` what it does not have, and other shapes; if a
            pattern names nothing, or nothing is taken.
    """

    def excepted(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in skip)

    if idle := [p for p in skip if not any(fnmatchcase(n, p) for n in {*own, *given})]:
        raise WeightsError(
            f"Expected {option} with patterns of names such as {next(iter(own), 'fc.weight')}, but {idle} match no name of "
            f"the network or of {source}."
        )
    # Batch counters carry no information: PyTorch itself accepts checkpoints from before they existed.
    missing = [n for n in own if n not in given and not excepted(n) and not n.endswith("num_batches_tracked")]
    unknown = [n for n in given if n not in own and not excepted(n)]
    shapes = [n for n in given if n in own and given[n].shape != own[n].shape and not excepted(n)]
    if missing or unknown or shapes:
        lines = _mismatch(source, missing, unknown, shapes, own, given)
        raise WeightsError("\n".join([*lines, _advice([*missing, *unknown, *shapes], skip, option)]))
    taken = [n for n in given if n in own and not excepted(n)]
    if not taken:
        raise WeightsError(f"Expected something to take from {source}, but {option}={list(skip)} leaves nothing.")
    return LoadedWeights(taken, sorted(n for n in {*own, *given} if excepted(n)))


def _mismatch(
    source: str,
    missing: list[str],
    unknown: list[str],
    shapes: list[str],
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
) -> list[str]:
    lines = [
        f"{source} does not fit the network: {len(missing)} missing, {len(unknown)} unknown, {len(shapes)} of another shape."
    ]
    lines += [f"  - {n} {tuple(own[n].shape)}" for n in missing[:_SHOWN]]
    lines += [f"  + {n} {tuple(given[n].shape)}" for n in unknown[:_SHOWN]]
    lines += [f"  ~ {n} expected {tuple(own[n].shape)}, but got {tuple(given[n].shape)}" for n in shapes[:_SHOWN]]
    hidden = sum(max(0, len(group) - _SHOWN) for group in (missing, unknown, shapes))
    lines += [f"  ... and {hidden} more"] if hidden else []
    return lines


def check_finite(taken: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that no network can compute with.

    Raises:
        WeightsError: naming the first tensors that hold a NaN or an infinity.
    """
    if broken := [n for n, t in taken.items() if t.is_floating_point() and not t.isfinite().all()]:
        raise WeightsError(
            f"Expected finite numbers in {source}, but {len(broken)} tensors hold a NaN or an infinity, first "
            f"{', '.join(broken[:3])}. The file is damaged, or its training diverged: get it anew."
        )


def _advice(names: Sequence[str], skip: Sequence[str], option: str) -> str:
    """The whole list to give, for on a command line it replaces the one before."""
    roots = sorted({n.split(".")[0] + ".*" for n in names})
    if len(roots) > 3:
        return "Choose the backbone that these weights were made for."
    patterns = ",".join(repr(pattern) for pattern in [*skip, *roots])
    return f'If that is meant, except them: {option}="[{patterns}]"'


def weights_table(own: Mapping[str, Tensor], given: Mapping[str, Tensor], skip: Sequence[str] = ()) -> list[str]:
    r"""One line for each name of a network or a file: what becomes of it and why.

    Args:
        own: the network's tensors, by name; only their shapes are looked at.
        given: the file's, under the network's names.
        skip: patterns (fnmatch) over names that are left out.

    >>> conv, fc = torch.zeros(2, 3), torch.zeros(4, 2)
    >>> print(*weights_table({"conv.weight": conv, "fc.weight": fc}, {"conv.weight": conv, "a.0": fc}), sep="\n")
    taken        conv.weight  2x3
    missing      fc.weight    4x2  not in the file
    unknown      a.0          4x2  not in the network
    """
    width = max((len(n) for n in {*own, *given}), default=0)
    lines = []
    for name in [*own, *(n for n in given if n not in own)]:
        size = "x".join(map(str, (own[name] if name in own else given[name]).shape))
        what, why = "taken", ""
        if pattern := next((p for p in skip if fnmatchcase(name, p)), None):
            what, why = "left out", f"{pattern!r} names it; {'' if name in given else 'not '}in the file"
        elif name not in given:
            what, why = "missing", "not in the file"
        elif name not in own:
            what, why = "unknown", "not in the network"
        elif own[name].shape != given[name].shape:
            what, why = "other shape", f"{'x'.join(map(str, given[name].shape))} in the file"
        lines.append(f"{what:<12} {name:<{width}}  {size}  {why}".rstrip())
    return lines


def extent(taken: Sequence[str], own: Sequence[str]) -> str:
    """How much of a network's tensors were taken.

    >>> extent(["conv1.weight"], ["conv1.weight", "conv1.num_batches_tracked"]), extent(["a1.b"], ["a1.b", "c.b"])
    ('all layers', 'a1 only')
    """
    if not [name for name in own if name not in taken and not name.endswith("num_batches_tracked")]:
        return "all layers"
    layers = span(taken)
    return f"{layers if len(layers) < 60 else f'{len(taken)} of {len(own)} tensors'} only"


def span(names: Sequence[str]) -> str:
    """Layers in short.

    >>> span(["conv1.weight", "conv1.bias", "conv2.weight", "conv3.weight", "fc6.weight", "fc8.weight"])
    'conv1-3, fc6, fc8'
    """
    runs: list[tuple[str, int, int]] = []
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in names):
        stem, number = re.fullmatch(r"(.*?)(\d*)", layer).groups()  # type: ignore[union-attr]
        if number and runs and runs[-1][0] == stem and runs[-1][2] + 1 == int(number):
            runs[-1] = (stem, runs[-1][1], int(number))
        else:
            runs.append((stem, int(number or -1), int(number or -1)))
    return ", ".join(
        f"{stem}{'' if first < 0 else first}{f'-{last}' if last > first else ''}" for stem, first, last in runs
    )
