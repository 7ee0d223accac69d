"""What the runner tells an experiment tracker. The base class is the tracker that tells nobody; ``tracking`` has the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_transfer.faces.faces import Faces
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.record import Record


class Tracker:
    """Hears of every stage that is trained, and of the rows that came of them; of the first process alone, and never raises."""

    def comes(self, plan: Plan, jobs: Sequence[Job], faces: Mapping[str, Faces]) -> None:
        """A plan begins.

        Args:
            plan: its stages.
            jobs: the same, parents first, whether they are in the store or not.
            faces: by the words of its recipes.
        """

    def starts(self, job: Job) -> None:
        """A stage begins, or goes on."""

    def epoch(self, row: Mapping[str, str]) -> None:
        """An epoch of it is over; where it goes on, those before are told again.

        Args:
            row: of ``metrics.csv``.
        """

    def finished(self, job: Job) -> None:
        """It is in the store."""

    def stops(self) -> None:
        """It ended otherwise: it failed, or was interrupted."""

    def rows(self, store: Path, records: Sequence[Record]) -> None:
        """Rows are finished, and their records written into the store."""

    def close(self) -> str:
        """Nothing follows; returns what is to be said of it, or ""."""
        return ""
