"""What a tracker shows of a stage and of a row, as plain data that any tracker can be told: names, tags, configuration, links."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fer_transfer.files.names import shown
from fer_transfer.stages.lineage import Lineage

STAGE, ROW = "stage", "row"

#: In the names of networks and weights of timm's hub, and of the paper's networks: what was trained on ImageNet.
_IMAGENET = re.compile(r"(\b|_)in(1k|12k|21k|22k)|imagenet|bvlc_alexnet|vgg_cnn_m_2048", re.IGNORECASE)

_TAG, _NAME = 64, 128  # longest that wandb takes


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        id: of a stage its key; the same run is written to again.
        name: tells seeds apart.
        group: the row it belongs to.
        kind: ``stage`` or ``row``.
        tags: plan, backbone, seed, releases, and each caveat.
        config: plain data.
        uses: keys of stages whose weights it starts from or is scored with.
        initial: what the initial weights were, where it starts from such: ``identity``, ``weights``, ``pretraining``; or None.
        summary: numbers by name.
        notes: its caveats, a line each.
    """

    id: str
    name: str
    group: str
    kind: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    uses: tuple[str, ...] = ()
    initial: Mapping[str, Any] | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Run":
        """Read what ``to_json`` gave."""
        return cls(**{**content, "tags": tuple(content["tags"]), "uses": tuple(content["uses"])})


def group_name(plan: str, backbone: str, row_id: str) -> str:
    """What the runs of a row have in common, whatever their seeds: plan, network, and what tells apart other settings.

    >>> group_name("fer28_emotiw", "resnet18", "0123456789abcdef")
    'fer28_emotiw, resnet18, 012345'
    """
    return cut(f"{plan}, {backbone}, {row_id[:6]}")


def stage_run(plan: str, group: str, init_from: str | None, lineage: Lineage, recipe: Mapping[str, Any]) -> Run:
    """The run of a stage.

    Args:
        plan: that trains it.
        group: of its row (``group_name``).
        init_from: name of the stage it starts from in the plan, or None.
        lineage: of its weights; the last stage is its own.
        recipe: plain data, whole.
    """
    own, backbone = lineage.stages[-1], str(recipe["backbone"]["name"])
    is_child = init_from is not None
    faces = {
        used.release: {
            "digest": used.digest,
            "trained_on": list(used.trained_on),
            "selected_on": list(used.selected_on),
            "caveats": list(used.caveats),
        }
        for used in own.faces
    }
    config = {
        "kind": STAGE,
        "plan": plan,
        "stage": own.name,
        "key": own.key,
        "init_from": init_from,
        "start": own.start,
        "weights": lineage.weights,
        "backbone": backbone,
        "seed": own.seed,
        "recipe": dict(recipe),
        "faces": faces,
        "lineage": [f"{stage.name} {stage.key}" for stage in lineage.stages],
        "caveats": list(lineage.caveats),
    }
    return Run(
        own.key,
        cut(f"{plan}/{own.name} {backbone} seed {own.seed}"),
        group,
        STAGE,
        tags(plan, backbone, f"seed {own.seed}", *faces, *short_caveats(lineage.caveats)),
        config,
        uses=(own.start,) if is_child else (),
        initial=None if is_child else initial_weights(lineage, own.start, backbone),
        notes="\n".join(lineage.caveats),
    )


def initial_weights(lineage: Lineage, identity: str, backbone: str) -> dict[str, Any] | None:
    """What a first stage started from, ImageNet's weights where the names say so; None: fresh random weights."""
    if identity == "none":
        return None
    known = "ImageNet" if _IMAGENET.search(f"{backbone} {lineage.weights}") else "pre-trained"
    return {"identity": identity, "weights": lineage.weights, "pretraining": lineage.pretraining or known}


def metric_name(column: str) -> str:
    """A column of ``metrics.csv`` as trackers show it: the section stands before a slash.

    >>> metric_name("selection_macro_recall"), metric_name("lr")
    ('selection/macro_recall', 'lr')
    """
    return re.sub(r"^(train|selection)_", r"\1/", column)


def tags(*words: str) -> tuple[str, ...]:
    """Each once, as long as a tag may be.

    >>> tags("fer28", "fer28", "", "x" * 70)[1][-3:]
    'xx…'
    """
    return tuple(dict.fromkeys(cut(word, _TAG) for word in words if word))


def short_caveats(caveats: Sequence[str]) -> tuple[str, ...]:
    """The words of caveats that must be seen beside any number.

    >>> short_caveats(["emotiw: synthetic", "no pre-training"])
    ('synthetic', 'emotiw: synthetic', 'no pre-training')
    """
    loud = [word for word in ("synthetic", "stand-in") if any(word in caveat.lower() for caveat in caveats)]
    return (*loud, *caveats)


def cut(text: str, length: int = _NAME) -> str:
    """A name as it may be shown, no longer than that."""
    text = shown(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"
