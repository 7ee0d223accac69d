"""Parameter groups and learning-rate schedules."""

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from timm.models import group_parameters
from torch import nn

from fer_transfer.errors import ConfigError

Schedule = Callable[[float, int], float]


def step_decay(epoch: float, epochs: int, every: int, factor: float) -> float:
    """Multiplier of the learning rate: ``factor`` to the number of ``every``-epoch periods passed.

    The paper divides by 10 after every 10 epochs.

    >>> [round(step_decay(e, 30, every=10, factor=0.1), 6) for e in (0, 9.99, 10, 25)]
    [1.0, 1.0, 0.1, 0.01]
    """
    return factor ** int(epoch // every)


def warmup_cosine(epoch: float, epochs: int, warmup: float) -> float:
    """Multiplier of the learning rate: linear from 0 over ``warmup`` epochs, then half a cosine down to 0.

    >>> [round(warmup_cosine(e, 10, warmup=2), 3) for e in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if epoch < warmup:
        return epoch / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - warmup) / max(epochs - warmup, 1e-9))))


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Take parameters out of training by name pattern (fnmatch).

    Raises:
        ConfigError: if a pattern matches nothing, or nothing is left to train.
    """
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"Expected recipe.frozen pattern {pattern!r} to match a parameter, but got none of {names[:3]} ... "
                f"({len(names)} names)."
            )
    for name, parameter in network.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"Expected recipe.frozen to leave a parameter to train, but {list(patterns)} matches all.")


def parameter_groups(
    network: nn.Module, head: Sequence[str], learning_rate: float, head_multiplier: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Trainable parameters in groups, backbone first, then head; the head's learning rate is multiplied.

    A network's own ``parameter_multipliers()`` (learning rate and weight decay by parameter name, as Caffe's layers have
    them) split both once more and multiply on top; a decay of 0 stands in the group, 1 leaves the optimiser's own. A
    network without them has at most two groups.

    With momentum m Caffe keeps v = m v + lr (g + wd w) and subtracts v, torch keeps v = m v + g + wd w and subtracts
    lr v: the same steps while the learning rate stays, but after it was divided by ten Caffe still takes the rest of its
    momentum at the old rate, torch at the new one.

    Args:
        network: whose parameters.
        head: name patterns of the head.
        learning_rate: of the backbone.
        head_multiplier: 10 is customary for a fresh head on a trained backbone; unknown in the paper.
        layer_decay: 0..1, of the learning rate from each layer of the backbone to the one below; 1: one rate for all, in two
            groups; otherwise there is a group for each layer.

    Raises:
        ConfigError: if a network asks for a decay multiplier other than 0 or 1, or does not say what its layers are.
    """
    below = {} if layer_decay == 1 else layers_below(network)
    multipliers: Mapping[str, tuple[float, float]] = getattr(network, "parameter_multipliers", dict)()
    if odd := [name for name, (_, decay) in multipliers.items() if decay not in (0, 1)]:
        raise ConfigError(f"Expected weight decay multipliers of 0 or 1, but got {len(odd)} others: {odd[:3]}.")
    groups: dict[tuple[bool, int, tuple[float, float]], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            is_head = any(fnmatchcase(name, pattern) for pattern in head)
            depth = 0 if is_head else below.get(name, 0)
            groups.setdefault((is_head, depth, multipliers.get(name, (1.0, 1.0))), []).append(parameter)
    result = []
    for (is_head, depth, (rate, decay)), parameters in sorted(groups.items(), key=lambda group: group[0][:2]):  # stable
        scaled = learning_rate * (head_multiplier if is_head else layer_decay**depth)
        result.append({"params": parameters, "lr": scaled * rate, **({} if decay else {"weight_decay": 0.0})})
    return result


def layers_below(network: nn.Module) -> dict[str, int]:
    """How many layers below its last one a network has each parameter, by name, as timm's ``group_matcher`` counts layers.

    Raises:
        ConfigError: if the network has none.
    """
    matcher: Callable[..., Mapping[str, Any]] | None = getattr(network, "group_matcher", None)
    if matcher is None:
        raise ConfigError(
            f"Expected for recipe.layer_decay a network that says what its layers are (timm's group_matcher), but "
            f"{type(network).__name__} does not. Give recipe.layer_decay=1."
        )
    layers: dict[str, int] = group_parameters(network, matcher(coarse=False), reverse=True)
    last = max(layers.values())
    return {name: last - layer for name, layer in layers.items()}
