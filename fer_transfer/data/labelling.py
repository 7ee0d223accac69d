"""What faces are taken to show, as a recipe says it: read and checked before torch is imported."""

from dataclasses import dataclass

from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError

#: Labellings, each with its name for people; that of the release goes without saying.
LABELS = {"release": "", "ferplus_majority": "FER+ majority", "ferplus_soft": "FER+ votes"}


@dataclass
class Labelling:
    """How faces are labelled and which are left out of training.

    Attributes:
        labels: ``release``: as distributed. ``ferplus_majority``: the single expression with most FER+ votes; faces whose
            most votes go to no class, such as unknown or no face, or are tied, are left out. ``ferplus_soft``: the votes for
            the classes, as probabilities; faces with none are left out. Releases without votes keep their labels.
        drop_non_faces: leave out of training what most FER+ taggers called no face.
        drop_leaked: leave out of training every face whose exact pixels also stand in a split not trained on.
        train_on_lost: train also on frames where no face was found (the paper leaves them out: 921 of 958).
    """

    labels: str = "release"
    drop_non_faces: bool = False
    drop_leaked: bool = False
    train_on_lost: bool = False

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            names, near = ", ".join(LABELS), nearest(self.labels, LABELS)
            raise ConfigError(f"Expected recipe.labelling.labels to be one of {names}, but got {self.labels!r}.{near}")

    @property
    def by_votes(self) -> bool:
        """Whether it needs FER+ votes, of releases that may have them."""
        return self.labels != "release" or self.drop_non_faces
