"""What made a model and how good it is: members, lineage, accuracy with its interval, caveats. It goes with predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fer_transfer.evaluation.temperature import Temperature
from fer_transfer.faces.held_out import split_said
from fer_transfer.stages.lineage import Lineage, StageLineage
from fer_transfer.stages.record import Record


@dataclass(frozen=True)
class SplitScore:
    """Accuracy of a model on a split, over the faces that were found, from stored predictions.

    Attributes:
        split: ``release/split``.
        correct, count: faces right, faces.
        low, high: Wilson's interval at ``level``, 0..1.
        macro_recall: mean recall of the expressions, 0..1.
        selected: whether a stage chose its epoch there: then it is optimistic.
    """

    split: str
    correct: int
    count: int
    low: float
    high: float
    macro_recall: float
    selected: bool
    level: float = 0.95

    @property
    def accuracy(self) -> float:
        """0..1."""
        return self.correct / self.count

    def line(self) -> str:
        """For a reader."""
        return (
            f"{split_said(self.split)}: {100 * self.accuracy:.1f} % ({self.correct}/{self.count} found faces, Wilson "
            f"{100 * self.level:.0f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]), macro recall "
            f"{100 * self.macro_recall:.1f} %" + (", optimistic: the epoch was chosen there" if self.selected else "")
        )


@dataclass(frozen=True)
class Member:
    """One network of a model: plan, backbone, seed, key of its last stage, and what it was made from, in a line."""

    plan: str
    backbone: str
    seed: str
    key: str
    evaluation: str
    lineage: str


@dataclass(frozen=True)
class Provenance:
    """What made a model and how good it is.

    Attributes:
        name: as it was asked for.
        members: its networks, whose probabilities are averaged.
        weights: of the members in the mean, where they are not all alike.
        scores: on every labelled split that all members were scored on, of the mean.
        caveats: what must stand beside every number.
        cutting: how pictures become its faces.
        temperature: by which probabilities are calibrated, or None.
        ensembles: of what each ensemble among the rows is made, and how its members count.
        notes: what else must be known, such as another OpenCV than the faces were made with.
    """

    name: str
    members: tuple[Member, ...]
    scores: tuple[SplitScore, ...] = ()
    caveats: tuple[str, ...] = ()
    cutting: str = ""
    temperature: Temperature | None = None
    weights: tuple[float, ...] | None = None
    ensembles: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """For a reader, the most important first."""
        lines = [f"model: {self.name}, {_count(self.members)}"]
        lines += self.ensembles
        lines += [f"made by: {text}" for text in dict.fromkeys(member.lineage for member in self.members)]
        lines += [f"accuracy on {score.line()}" for score in self.scores] or [
            "accuracy: not known, no labelled split was scored"
        ]
        lines += [f"CAVEATS: {'; '.join(self.caveats)}"] if self.caveats else []
        lines += [f"faces: {self.cutting}"] if self.cutting else []
        lines += [f"probabilities: {self.temperature.line() if self.temperature else 'as the network gives them'}"]
        return [*lines, *(f"note: {note}" for note in self.notes)]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def provenance_from_json(content: Mapping[str, Any]) -> Provenance:
    """Read what ``Provenance.to_json`` gave.

    Raises:
        KeyError, TypeError: if it is none, or another version's.
    """
    temperature = content["temperature"]
    own: dict[str, Any] = {
        **{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()},
        "members": tuple(Member(**member) for member in content["members"]),
        "scores": tuple(SplitScore(**score) for score in content["scores"]),
        "temperature": None if temperature is None else Temperature(**temperature),
    }
    return Provenance(**own)


def _count(members: Sequence[Member]) -> str:
    by = members[0].evaluation.replace("_", " ")
    if len(members) == 1:
        return f"seed {members[0].seed}, {by}"
    seeds = list(dict.fromkeys(member.seed for member in members))
    return f"mean of {len(members)} networks (seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}), {by}"


def member_of(lineage: Lineage, plan: str, evaluation: str, seed: str) -> Member:
    """What a network says of itself."""
    own = lineage.stages[-1]
    backbone = str(own.recipe["backbone"]["name"])
    return Member(plan, backbone, seed, own.key, evaluation, lineage_line(lineage))


def lineage_line(lineage: Lineage) -> str:
    """From the initial weights to the last stage: ``none -> fer (fer2013 Training) -> emotiw (emotiw Train)``."""
    stages = [f"{stage.name} ({_trained_on(stage)}, {_epochs(stage)}{_taught(stage)})" for stage in lineage.stages]
    return " -> ".join([f"initial weights {lineage.weights}", *stages])


def _epochs(stage: StageLineage) -> str:
    count = int(stage.recipe["epochs"])
    return f"{count} epoch{'s' * (count > 1)}"


def _taught(stage: StageLineage) -> str:
    count = len(stage.teachers)
    return f", taught by {count} network{'s' * (count > 1)}" if count else ""


def _trained_on(stage: StageLineage) -> str:
    """Releases and splits: ``fer2013 Training+PublicTest``."""
    return ", ".join(f"{used.release} {used.training_text('+')}" for used in stage.faces if used.trained_on)


def caveats_of(records: Sequence[Record]) -> tuple[str, ...]:
    """What must stand beside any number of some rows, each once."""
    texts = [
        text
        for record in records
        for text in (
            *(f"{of.release}: {caveat}" for of in record.faces.values() for caveat in of.caveats),
            *record.lineage.caveats,
            *record.notes,
        )
    ]
    return tuple(dict.fromkeys(texts))
