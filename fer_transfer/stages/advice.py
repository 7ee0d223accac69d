"""Which settings train a recipe's network fastest on this machine: steps with random faces, one setting changed at a time."""

import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, NamedTuple

import torch

from fer_transfer.backbones.backbone import Backbone, describe
from fer_transfer.config import build
from fer_transfer.data.augment import BatchTransform
from fer_transfer.errors import ConfigError
from fer_transfer.stages.build import check_precision
from fer_transfer.stages.runtime import Runtime, environment
from fer_transfer.training.recipe import Recipe

#: What another setting must gain to be advised: less is lost in what else a machine does.
_GAIN = 1.05

#: Seconds that a way is measured at least, after a step that is not counted.
_SECONDS = 1.5

_HALVES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}

_SIDE = 48  # of the faces, in pixels; the network sees the recipe's crop of them


@dataclass(frozen=True)
class Way:
    """How a step is computed. The first two change speed alone; the others are of the recipe, and change the weights.

    Attributes:
        channels_last: memory format of pictures and weights.
        threads: of the processor.
        precision: Lightning's name.
        batch_size: faces a step.
    """

    channels_last: bool
    threads: int
    precision: str
    batch_size: int

    def words(self, than: "Way") -> list[str]:
        """Settings of fer-train that differ from those of another way."""
        names = [field.name for field in fields(self)]
        changed = [
            (name, new) for name, new, old in zip(names, astuple(self), astuple(than), strict=True) if new != old
        ]
        return [f"{'runtime' if name in _OF_RUNTIME else 'recipe'}.{name}={str(new).lower()}" for name, new in changed]


_OF_RUNTIME = ("channels_last", "threads")


class Advice(NamedTuple):
    """What was measured.

    Attributes:
        given: the way of the settings as they are.
        rates: faces a second, of each way in the order in which it was measured.
        fastest: of them; a way that is not clearly faster than what it is compared with does not count.
    """

    given: Way
    rates: dict[Way, float]
    fastest: Way


def advise(recipe: Recipe, runtime: Runtime) -> Advice:
    """Measure the settings as they are, then others one by one, each beside the fastest so far.

    Args:
        recipe: of a stage whose network sees pixels.
        runtime: device, threads and memory format.

    Raises:
        ConfigError: if the network sees something else, or the recipe cannot be trained on this device.
    """
    if recipe.sees != "pixels":
        raise ConfigError(f"Expected a network that sees pixels for advice=true, but {recipe.backbone.name} does not.")
    check_precision(recipe, runtime)
    runtime.apply()
    threads = torch.get_num_threads()
    given = Way(runtime.channels_last, threads, recipe.precision, recipe.batch_size)
    backbone, device = describe(recipe.backbone), runtime.torch_device
    fastest, rates = given, {given: rate(backbone, recipe, given, device)}
    for change in _changes(given, device):
        way: Way = replace(fastest, **change)
        rates[way] = rate(backbone, recipe, way, device)
        if rates[way] > _GAIN * rates[fastest]:
            fastest = way
    torch.set_num_threads(threads)
    return Advice(given, rates, fastest)


def advice_text(advice: Advice, name: str, accelerator: str) -> str:
    """What was measured, and which settings to give."""
    given, rates, fastest = advice
    machine = environment(accelerator)
    where = f"{machine['device']} (torch {machine['torch']})"
    lines = [f"Plain steps (crop, mirror, network, optimiser) of {name} with random faces on {where}, faces a second:"]
    lines += [f"{speed:10.1f}  {' '.join(way.words(given)) or 'as given'}" for way, speed in rates.items()]
    if fastest == given:
        return "\n".join([*lines, "The settings as given are the fastest of these. Nothing was trained."])
    gain, words = rates[fastest] / rates[given], fastest.words(given)
    lines += [f"Fastest, {gain:.2f} times: {' '.join(words)}"]
    if any(word.startswith("recipe.") for word in words):
        lines += ["What begins with recipe. makes another recipe of it, with other weights and another key."]
    return "\n".join([*lines, "Nothing was changed, and nothing was trained."])


def rate(backbone: Backbone, recipe: Recipe, way: Way, device: torch.device) -> float:
    """Faces a second: crop and mirror, forward, loss, backward and the optimiser's step; the fastest of some steps."""
    torch.set_num_threads(way.threads)
    layout: Any = torch.channels_last if way.channels_last else torch.contiguous_format
    network: Any = backbone.network(load=False)
    network.to(device, memory_format=layout).train()
    transform: BatchTransform = build(
        "augment", recipe.augment, preprocessing=backbone.preprocessing, channels_last=way.channels_last
    ).to(device)
    optimizer: torch.optim.Optimizer = build("optimizer", recipe.optimizer, params=network.parameters())
    faces = torch.randint(0, 256, (way.batch_size, _SIDE, _SIDE), dtype=torch.uint8, device=device)
    target = torch.arange(way.batch_size, device=device) % int(network.num_classes)

    def loss() -> Any:
        optimizer.zero_grad()
        with torch.autocast(device.type, _HALVES.get(way.precision), enabled=way.precision in _HALVES):
            logits = network(transform((faces,), random=True))
        found: Any = torch.nn.functional.cross_entropy(logits.float(), target)
        found.backward()
        return found.item()  # waits for the device

    return way.batch_size / min(_seconds(optimizer, loss))


def _seconds(optimizer: torch.optim.Optimizer, loss: Any) -> Iterator[float]:
    """What steps take, after a first one."""
    optimizer.step(loss)
    end = time.perf_counter() + _SECONDS
    while True:
        started = time.perf_counter()
        optimizer.step(loss)
        done = time.perf_counter()
        yield done - started
        if done > end:
            return


def _changes(given: Way, device: torch.device) -> Iterator[dict[str, Any]]:
    """What else to try, in this order."""
    yield {"channels_last": not given.channels_last}
    if device.type == "cpu":
        yield from ({"threads": threads} for threads in (1, 2, 4, 8, 16, 32, 64) if threads < given.threads)
    yield {"precision": "32-true" if given.precision == "bf16-mixed" else "bf16-mixed"}
    yield from ({"batch_size": size} for size in (given.batch_size // 2, 2 * given.batch_size) if size >= 2)
