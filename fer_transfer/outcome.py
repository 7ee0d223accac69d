"""What a job brings back to the command that launched it, from whatever process or machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a job ended; one that finished its work has neither.

    Attributes:
        error: what was wrong, in one message.
        stopped: the signal that it was stopped by.
    """

    error: str | None = None
    stopped: int | None = None
