"""The backbone of a recipe, described once: network, initial weights, head, preprocessing, and what must be said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fer_transfer.backbones.fitting import extent
from fer_transfer.backbones.networks import build_network, built_for, head_patterns, matches, record_of
from fer_transfer.backbones.notes import recorded_kwargs, weights_notes
from fer_transfer.backbones.preprocessing import Preprocessing, preprocessing_of
from fer_transfer.backbones.recipe import BackboneRecipe
from fer_transfer.backbones.weights import WeightsFile, load_into, open_weights, tensors_digest, without_prefix
from fer_transfer.labels import EXPRESSIONS


@dataclass(frozen=True, eq=False)
class Backbone:
    """What a recipe's backbone is: one answer, made once by ``describe`` and handed on.

    Attributes:
        recipe: that it describes.
        identity: of the initial weights, for a key: ``none``, ``hub:<name>.<tag>:<16 hex of the tensors' digest>``,
            ``sha256:<hex>`` of a file.
        weights_text: of the initial weights, for a table: ``none``, the hub's identity, ``<file name> (sha256:<12 hex>)``.
        head: name patterns of the head.
        preprocessing: what the weights expect of their input.
        caveat: what must be said of pre-training: ``no pre-training``, ``pre-training: conv1-5 only``, or None. The head of
            another task, which no plan keeps, does not count; nor what the weights of a stage inherit: that is in ``lineage``.
        lineage: what the weights of a stage were made from, as its file has it, not interpreted; None for all others.
        notes: lines to be said once before training, such as what is assumed of a file that does not say it.
        kwargs: arguments of the constructor: the recipe's own over those that the weights' file asks for.
        tensors: the initial weights, without the head if they are the hub's; empty for ``none``.
    """

    recipe: BackboneRecipe
    identity: str
    weights_text: str
    head: tuple[str, ...]
    preprocessing: Preprocessing
    caveat: str | None
    lineage: Mapping[str, Any] | None
    notes: tuple[str, ...]
    kwargs: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(repr=False)

    def network(self, load: bool = True, classes: int = len(EXPRESSIONS), skip_head: bool = False) -> nn.Module:
        """A new timm network with a fresh head.

        Args:
            load: fill in the initial weights; False where a parent stage's weights follow.
            classes: outputs of the head.
            skip_head: leave the head fresh, for the initial weights have one of other classes.

        Raises:
            WeightsError: if the initial weights do not fit.
        """
        network = build_network(self.recipe.name, self.kwargs, classes)
        if load and self.tensors:
            skipped = [*_skipped(self.recipe, self.head), *(self.head if skip_head else ())]
            load_into(network, self.tensors, skipped, _source(self.recipe))
        return network

    def record(self) -> dict[str, Any]:
        """What must travel with weights trained from here, so that nobody types it: input and constructor arguments."""
        return self.preprocessing.record() | ({"kwargs": dict(self.kwargs)} if self.kwargs else {})


def describe(recipe: BackboneRecipe) -> Backbone:
    """Describe a recipe's backbone; reads its file of weights, or fetches them, once. Random states stay as they are.

    Raises:
        ConfigError: if timm knows no such name, the constructor refuses the arguments, the network does not name its head,
            or a value of the recipe's preprocessing is unknown or outside its range.
        WeightsError: if the file is missing or damaged, its record or lineage is none, or the hub does not have the weights.
            Whether they fit is found out by ``Backbone.network``.
    """
    hub = recipe.weights == "hub"
    file = None if hub or recipe.weights == "none" else open_weights(recipe.weights)
    kwargs = {**recorded_kwargs(file), **recipe.kwargs}
    with torch.random.fork_rng(devices=[]):
        network = build_network(recipe.name, kwargs, len(EXPRESSIONS), pretrained=hub)
    head, timms = head_patterns(network), record_of(network)
    tensors = file.tensors if file else {n: t for n, t in network.state_dict().items() if hub and not matches(n, head)}
    identity = _identity(recipe, file, timms, tensors)
    own_input, record = recipe.preprocessing or {}, file.record if file else None
    preprocessing = preprocessing_of(timms, own_input, record, built_for(network), source=_source(recipe))
    return Backbone(
        recipe,
        identity,
        weights_text=f"{file.path.name} ({identity[:19]})" if file else identity,
        head=head,
        preprocessing=preprocessing,
        caveat=_caveat(recipe, file, network, tensors, head),
        lineage=file.lineage if file else None,
        notes=weights_notes(recipe.name, file, recipe.kwargs, own_input, preprocessing) if file else (),
        kwargs=kwargs,
        tensors=tensors,
    )


def _identity(
    recipe: BackboneRecipe, file: WeightsFile | None, timms: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> str:
    if file:
        return f"sha256:{file.digest}"
    if recipe.weights == "none":
        return "none"
    tag = timms.get("tag")
    name = recipe.name if not tag or recipe.name.endswith(f".{tag}") else f"{recipe.name}.{tag}"
    return f"hub:{name}:{tensors_digest(tensors)[:16]}"  # what a tag stands for may change on the hub


def _source(recipe: BackboneRecipe) -> str:
    return "timm's hub" if recipe.weights == "hub" else recipe.weights


def _skipped(recipe: BackboneRecipe, head: Sequence[str]) -> list[str]:
    return [*head, *recipe.skip_weights] if recipe.weights == "hub" else recipe.skip_weights


def _caveat(
    recipe: BackboneRecipe,
    file: WeightsFile | None,
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    head: Sequence[str],
) -> str | None:
    """What must stand beside numbers of a network that was not pre-trained as a whole."""
    if file and file.lineage is None and (inherited := (file.record or {}).get("caveat")):
        return str(inherited)
    if own_caveat := record_of(network).get("caveat"):
        return str(own_caveat)
    own, skipped = network.state_dict(), _skipped(recipe, head)
    given = without_prefix(tensors, own, _source(recipe))
    taken = [n for n, t in own.items() if n in given and given[n].shape == t.shape and not matches(n, skipped)]
    if not taken:
        return "no pre-training"
    fresh = {name for name, _ in network.named_parameters()} - set(taken)
    if all(matches(name, head) for name in fresh):
        return None
    return f"pre-training: {extent(taken, list(own))}"
