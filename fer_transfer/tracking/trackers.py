"""The trackers that ``logger`` chooses: what they are told goes to a follower a stage, and one for the rows."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, cast

from fer_transfer.errors import ConfigError
from fer_transfer.faces.faces import Faces
from fer_transfer.files.names import shown_text
from fer_transfer.reports.report import Report
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.record import Record
from fer_transfer.stages.recording import row_id
from fer_transfer.stages.tracker import Tracker
from fer_transfer.study import Study, published_rows
from fer_transfer.tracking.follower import Follower
from fer_transfer.tracking.runs import group_name, stage_run
from fer_transfer.tracking.sending import how_to_send

_STOP = 10.0  # seconds that an interruption waits at the longest
_PICTURES = 200  # of a split, as conf/logger/wandb.yaml has it
_LEVEL = 0.95  # of intervals, as conf/report.yaml has it
_LONGEST = 900.0  # that a follower goes on after the last word

P = ParamSpec("P")
Method: TypeAlias = Callable[Concatenate["FollowedTracker", P], None]


def _harmless(method: Method[P]) -> Method[P]:
    """What goes wrong is told once, and the training goes on without the tracker."""

    @wraps(method)
    def call(self: "FollowedTracker", *args: P.args, **kwargs: P.kwargs) -> None:
        if self.failed:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.failed = True
            self._warn(
                f"warning: {self.options['kind']}: {type(error).__name__}: {error}. Training goes on without it."
            )

    return cast(Method[P], call)


class FollowedTracker(Tracker):
    """Hands what it is told to followers (``tracking.follower``), one a stage: it may still be sending when the next begins.

    Args:
        options: of the outlet, with its ``kind`` and ``folder``.
        study: whose rows are shown.
        quiet: leave warnings to another process (a worker of a sweep, whose launching process says them once).
        wait: seconds that the end of a command waits at the longest for what is not written or sent yet.
        head_start: seconds of a stage before its follower starts beside it; that of a shorter stage starts at its end.
    """

    def __init__(
        self, options: Mapping[str, Any], study: Study, quiet: bool, wait: float, head_start: float = 0.0
    ) -> None:
        self.options = {
            **options,
            "folder": str(Path(options["folder"]).absolute()),
            "quiet": quiet,
            "longest": _LONGEST,
        }
        self.study, self.wait, self.head_start = study, wait, head_start
        self.failed = False
        self._followers: list[Follower] = []
        self._said: set[str] = set()
        self._faces: dict[str, str] = {}
        self._plan = self._group = ""

    @_harmless
    def comes(self, plan: Plan, jobs: Sequence[Job], faces: Mapping[str, Faces]) -> None:
        """Keep the name of the row, and where pictures of faces are that may be shown."""
        self._faces = {of.digest: str(of.folder.absolute()) for of in faces.values() if of.may_be_shown}
        self._plan = plan.name
        self._group = group_name(plan.name, jobs[-1].stage.recipe.backbone.name, row_id(plan, jobs))

    @_harmless
    def starts(self, job: Job) -> None:
        """Start a follower, and tell it what the stage is."""
        run = stage_run(self._plan, self._group, job.stage.init_from, job.lineage, asdict(job.stage.recipe))
        store = str(job.folder.path.parent.absolute())
        self._follow({"start": run.to_json(), "store": store, "faces": self._faces}, self.head_start)

    @_harmless
    def epoch(self, row: Mapping[str, str]) -> None:
        """Tell the stage's follower."""
        self._followers[-1].tell({"epoch": dict(row)})

    @_harmless
    def finished(self, job: Job) -> None:
        """Let the stage's follower end: it reads the rest from the store."""
        self._followers[-1].tell({"finish": str(job.folder.path.absolute())})
        self._followers[-1].end()

    @_harmless
    def stops(self) -> None:
        """Let the stage's follower end, before the same command, given again, goes on with the same run."""
        self._followers[-1].end()
        self._followers[-1].wait(time.monotonic() + _STOP)

    @_harmless
    def rows(self, store: Path, records: Sequence[Record]) -> None:
        """Let a follower write the rows of these records, with all their seeds, once the stages' are through."""
        if records:
            self._wait()
            self._write(store, [record.identity for record in records])

    def whole_store(self, store: Path, faces: Mapping[str, Path] | None = None, level: float = _LEVEL) -> None:
        """Write all that a store has finished: its stages, parents first, and its rows.

        Args:
            store: where it is.
            faces: folders of faces that may be shown, by digest.
            level: of the rows' intervals, 0..1.
        """
        self.options |= {"longest": None}  # a store of many stages takes its time
        self._faces = {digest: str(folder.absolute()) for digest, folder in (faces or {}).items()}
        self._write(store, None, level)
        try:
            self._followers[-1].wait(math.inf)
        except BaseException:
            if process := self._followers[-1].process:
                process.kill()
            raise

    def close(self) -> str:
        """Wait for the followers, as long as that may take; says how to send what was not sent."""
        self._wait()
        busy = sum(follower.runs for follower in self._followers)
        lines = (
            [f"{self.options['kind']}: {busy} runs are still being written or sent in the background"] if busy else []
        )
        return "\n".join([*lines, *how_to_send(self.options)])

    def _follow(self, message: Mapping[str, Any], head_start: float = 0.0) -> None:
        self._followers.append(Follower(self.options, self._warn, head_start))
        self._followers[-1].tell(message)

    def _warn(self, text: str) -> None:
        """Each once, for a run after the other meets the same."""
        if text not in self._said:
            self._said.add(text)
            print(shown_text(text), file=sys.stderr, flush=True)

    def _wait(self) -> None:
        until = time.monotonic() + self.wait
        for follower in self._followers:
            follower.wait(until)

    def _write(self, store: Path, rows: Sequence[str] | None, level: float = _LEVEL) -> None:
        study = {"study": asdict(self.study), "published": [asdict(row) for row in published_rows(self.study)]}
        self._follow({"store": str(store.absolute()), "rows": rows, "faces": self._faces, "level": level, **study})
        self._followers[-1].end()


def wandb_tracker(
    study: Study,
    quiet: bool,
    project: str,
    entity: str | None,
    offline: bool,
    weights: bool,
    pictures: int,
    timeout: float,
    wait: float,
    head_start: float,
    folder: str,
) -> FollowedTracker:
    """A run of wandb for each stage and for each row.

    Args:
        study: whose rows are shown.
        quiet: leave warnings to another process.
        project: of wandb's.
        entity: of wandb's; None: the one that is logged in.
        offline: write to ``folder`` only; nothing is sent and no login is needed.
        weights: send the weights of every stage; false: what they are, without their bytes.
        pictures: faces of a split that are shown beside their predictions, where the release may be shown.
        timeout: seconds for the server to answer, after which it is written offline.
        wait: seconds that the end of a command waits at the longest.
        head_start: seconds of a stage before wandb starts beside it; that of a shorter stage starts at its end.
        folder: under which wandb keeps its ``wandb/``.
    """
    if not isinstance(project, str) or not project or set(project) & set("/\\#?%:"):
        raise ConfigError(f"Expected logger.project to be a name without any of / \\ # ? % :, but got {project!r}.")
    options = {"project": project, "entity": entity, "offline": offline, "weights": weights, "pictures": pictures}
    own = {"kind": "wandb", "folder": folder, "timeout": timeout}
    return FollowedTracker({**own, **options}, study, quiet, wait, head_start)


def tensorboard_tracker(study: Study, quiet: bool, wait: float, head_start: float, folder: str) -> FollowedTracker:
    """TensorBoard's files of each stage, in ``folder/tensorboard``.

    Args:
        study: whose rows are shown.
        quiet: leave warnings to another process.
        wait: seconds that the end of a command waits at the longest.
        head_start: seconds of a stage before its files begin.
        folder: under which they are kept.

    Raises:
        ConfigError: if TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "Expected tensorboard to be installed for logger=tensorboard, but it is not. Give: pip install "
            "'fer_transfer[tensorboard]'"
        )
    return FollowedTracker({"kind": "tensorboard", "folder": folder}, study, quiet, wait, head_start)


def write_to_wandb(report: Report, project: str, *, offline: bool, dashboard: bool) -> str:
    """Write what a store has finished into wandb, stages and rows, and wait for it.

    Args:
        report: of the store; wandb's folder goes there too.
        project: of wandb's.
        offline: write only, to be sent later.
        dashboard: also lay out the project's page and a report there (``tracking.dashboard``).

    Returns:
        How to send what was not sent, and where the dashboard is.

    Raises:
        ConfigError: if the project's name is none, or there can be no dashboard.
    """
    if dashboard and (offline or find_spec("wandb_workspaces") is None):
        raise ConfigError(
            "Expected for dashboard=true a server and wandb-workspaces. Give offline=false, and pip install "
            "'fer_transfer[wandb]'."
        )
    wait, head_start = 0.0, 0.0  # it is waited for below
    tracker = wandb_tracker(
        report.study, False, project, None, offline, True, _PICTURES, 20.0, wait, head_start, str(report.store)
    )
    tracker.whole_store(report.store, report.pictures.may_be_shown, report.level)
    return "\n".join(filter(None, [tracker.close(), *(_lay_out(report, project) if dashboard else [])]))


def _lay_out(report: Report, project: str) -> list[str]:
    from fer_transfer.tracking.dashboard import save

    try:
        return save(report, project)
    except Exception as error:  # of the server, or of the way to it
        raise ConfigError(
            f"The dashboard could not be saved: {str(error) or type(error).__name__}. Log in (wandb login), and repeat it."
        ) from None


def tracker_of(options: Mapping[str, Any], study: Study, quiet: bool) -> Tracker:
    """The tracker that a configuration names.

    Args:
        options: of ``logger``, plain data; a ``_target_`` of null names none.
        study: whose rows are shown.
        quiet: leave warnings to another process.

    Raises:
        ConfigError: if it does not fit what it names.
    """
    from fer_transfer.config import build

    if options["_target_"] is None:
        return Tracker()
    tracker = build("logger", options, study=study, quiet=quiet)
    assert isinstance(tracker, Tracker)
    return tracker
