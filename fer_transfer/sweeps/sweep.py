"""Runs the rows of a multirun: every distinct stage once, on whatever launcher, and then the records of the rows."""

import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from fer_transfer.config import override, typed_words
from fer_transfer.errors import FerTransferError, LaunchError
from fer_transfer.files.names import shown_text
from fer_transfer.outcome import Outcome
from fer_transfer.reports.ending import ending
from fer_transfer.signals import check, deferred
from fer_transfer.stages.predict import unpredicted
from fer_transfer.stages.record import Record
from fer_transfer.stages.recording import write_record
from fer_transfer.stages.runner import FinishedPlan, state_of
from fer_transfer.stages.work import unfinished
from fer_transfer.sweeps.estimate import network_of, said, seconds_per_face
from fer_transfer.sweeps.graph import (
    PlannedRow,
    Task,
    bound,
    makespan,
    makespan_in_waves,
    ordered,
    rank,
    tasks_of,
    waves,
)
from fer_transfer.sweeps.launching import (
    each_for_itself,
    explained,
    launch_size,
    nothing_started,
    outcome_of,
    threads_of,
    workers_of,
)
from fer_transfer.sweeps.planning import Planner, plan_rows
from fer_transfer.sweeps.rows import Row, wrong_lines
from fer_transfer.sweeps.view import View
from fer_transfer.tracking.trackers import tracker_of

_LISTED = 40  # stages that are listed one by one


class Sweep:
    """The rows of a multirun.

    Args:
        rows: composed.
        launcher: Hydra's, set up.
        options: settings of the launcher.
        logger: settings of the tracker.

    Raises:
        FerTransferError: if none of the rows can be planned because their runtime is wrong.
    """

    def __init__(
        self, rows: Sequence[Row], launcher: Launcher, options: Mapping[str, Any], logger: Mapping[str, Any]
    ) -> None:
        self.rows, self.launcher, self.options, self.logger = rows, launcher, options, logger
        self.workers, self.threads = workers_of(options), threads_of(options)
        self.planner = Planner(rows[0].settings)
        self.quiet = self.planner.runtime.progress == "none"
        self.launched = 0

    def run(self) -> int:
        """Plan, launch, record; returns the exit code: 1 if a row failed."""
        planned, failed = plan_rows(self.planner, self.rows)
        for line in wrong_lines(failed):
            _warn(f"error: {line}")
        if not planned:
            return 1
        tracker = tracker_of(self.logger, planned[0].study, self.quiet)
        tasks = tasks_of(planned, self.planner.missing)
        self._time(tasks)
        self._say_what_comes(planned, tasks)
        if self.rows[0].settings["dry_run"]:
            return 1 if failed else 0
        records = self._launch(planned, tasks)
        failed |= _failed(planned, tasks)
        store = self.planner.runner.store.root
        tracker.rows(store, records)
        said = tracker.close()
        if not self.quiet:
            print(
                "\n".join(filter(None, [ending(records, failed, store, planned[0].study), shown_text(said)])),
                flush=True,
            )
        return 1 if failed else 0

    def _time(self, tasks: Sequence[Task]) -> None:
        """Estimate every stage's time by those that were measured."""
        known = seconds_per_face(self.planner.runner.store) if tasks else {}
        for task in tasks:
            recipe = task.job.own.recipe
            rate = known.get(network_of(recipe))
            task.faces = recipe["epochs"] * self.planner.faces_of(task.job, task.row.faces) if task.trains else 0
            task.seconds = 0.0 if not task.trains else None if rate is None else rate * task.faces
        known_ones = [task.seconds for task in tasks if task.seconds]
        rank(tasks, unknown=sum(known_ones) / len(known_ones) if known_ones else 1.0)

    def _say_what_comes(self, planned: Sequence[PlannedRow], tasks: Sequence[Task]) -> None:
        if self.quiet:
            return
        distinct = {job.key: (job, row) for row in planned for job in row.jobs}
        trained = [task for task in tasks if task.trains]
        states = {task.number: state_of(task.job, [task.job], self.planner.runner.store) for task in trained}
        resumed = sum(state == "to resume" for state in states.values())
        lines = [
            f"{len(planned)} rows, {len(distinct)} distinct stages: {len(distinct) - len(trained)} in the store, {resumed} to "
            f"resume, {len(trained) - resumed} to train"
        ]
        if trained:
            by_row = [(job, row) for row in planned for job in row.jobs if job.key in self.planner.missing]
            once, again = (self._work(jobs) for jobs in (((t.job, t.row) for t in trained), by_row))
            lines.append(f"{_work(once)} to train; row by row it would be {_work(again)}")
            lines.append(self._about(tasks))
        lines += self.planner.said
        for task in tasks[:_LISTED]:
            state = states.get(task.number, "to predict with")
            time = f" about {said(task.seconds)}" if task.seconds else ""
            rows = f", {task.rows} rows" if task.rows > 1 else ""
            lines.append(f"  [{task.number + 1}/{len(tasks)}] {task.name} {_network(task)} {state}{time}{rows}")
        if len(tasks) > _LISTED:
            lines.append(f"  ... and {len(tasks) - _LISTED} more")
        print(shown_text("\n".join(lines)), flush=True)

    def _work(self, jobs: Any) -> tuple[int, int]:
        """Epochs and faces."""
        epochs = [(job.stage.recipe.epochs, self.planner.faces_of(job, row.faces)) for job, row in jobs]
        return sum(count for count, _ in epochs), sum(count * faces for count, faces in epochs)

    def _about(self, tasks: Sequence[Task]) -> str:
        """The estimate, from all stages or from none."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        if any(task.seconds is None for task in tasks):
            return f"on {workers}; how long it takes is told once the store has a stage of each network"
        length = makespan if hasattr(self.launcher, "launch_graph") else makespan_in_waves
        least = bound(tasks, self.workers)
        return f"about {said(length(tasks, self.workers))} on {workers}, {said(least)} at least, by stages in the store"

    def _launch(self, planned: Sequence[PlannedRow], tasks: list[Task]) -> list[Record]:
        store = self.planner.runner.store
        stop_file = store.work / f"stop-{secrets.token_hex(4)}"
        view = View(store, tasks, self.workers, stop_file, self.quiet)
        parallel = self.workers > 1 or hasattr(self.launcher, "launch_graph")
        records: dict[int, Record] = {}
        try:
            # A parallel launcher that is torn away from its workers kills them: these are told to stop first.
            with view.watching(), deferred() if parallel else nullcontext():
                for batch, parents in self._batches(tasks):
                    self._run(batch, parents, stop_file)
                    self._record(planned, tasks, records)
                    check()
        finally:
            stop_file.unlink(missing_ok=True)
        self._record(planned, tasks, records)  # those that were there before
        return [records[number] for number in sorted(records)]

    def _batches(self, tasks: list[Task]) -> Any:
        """What is launched at once, with what each of it waits for: all, where the launcher takes parents; else wave by wave."""
        if hasattr(self.launcher, "launch_graph"):
            batch = ordered(tasks)
            place = {task.number: n for n, task in enumerate(batch)}
            yield batch, [[place[parent.number] for parent in task.parents] for task in batch]
            return
        for wave in waves(tasks):
            # Of one worker a job that was stopped is the last one.
            size = 1 if self.workers == 1 else launch_size(self.options) or len(wave)
            for start in range(0, len(wave), size):
                yield wave[start : start + size], None

    def _run(self, batch: Sequence[Task], parents: list[list[int]] | None, stop_file: Path) -> None:
        """Launch tasks and mark what became of them."""
        overrides = [self._overrides(task, stop_file) for task in batch]
        first, self.launched = self.launched, self.launched + len(batch)
        try:
            if parents is None:
                with each_for_itself(self.options):
                    returns: Sequence[JobReturn | None] = self.launcher.launch(overrides, first)
            else:
                returns = self.launcher.launch_graph(overrides, parents, first)  # type: ignore[attr-defined]
        except Exception as error:  # of the launcher's own kinds: a worker that died takes all of a launch with it
            check()
            if nothing_started(error):
                raise LaunchError(explained(error)) from None
            returns = [_died(task, explained(error)) for task in batch]
            if parents is None and len(batch) > 1:
                self._run_again(batch, returns, stop_file)
                return
        for task, back in zip(batch, returns, strict=True):
            self._mark(task, back)

    def _run_again(self, batch: Sequence[Task], returns: Sequence[JobReturn | None], stop_file: Path) -> None:
        """A worker that died took its launch with it.

        What had not begun is launched as before; what had, each alone: then it is seen which one a worker dies of.
        """
        lost = [task for task, back in zip(batch, returns, strict=True) if outcome_of(back).error is not None]
        begun = [task for task in lost if unfinished(self.planner.runner.store, task.job.key)]
        again = [[task for task in lost if task not in begun], *([task] for task in begun)] if begun else []
        for task, back in zip(batch, returns, strict=True):
            if task not in lost or not again:
                self._mark(task, back)
        if again:
            why, names = outcome_of(returns[batch.index(lost[0])]).error, ", ".join(task.name for task in begun)
            _warn(f"warning: {why} What it was at is taken up again, one at a time: {names}")
        for tasks in filter(None, again):
            self._run(tasks, None, stop_file)

    def _mark(self, task: Task, back: JobReturn | None) -> None:
        if back is not None and back.status is JobStatus.FAILED:  # it may have been lost behind its last step
            back = _died(task, explained(back._return_value))
        outcome = outcome_of(back)
        vars(task.job).pop("lineage", None)  # as the store has it now
        if outcome.stopped is None and outcome.error is None and back is not None:
            task.done = True
        elif outcome.stopped is not None:
            task.error = f"stopped by signal {outcome.stopped}; the same command goes on from its checkpoint"
        elif outcome.error is not None:
            task.error = outcome.error
            _warn(f"error: {task.name} of {task.row.row.name}: {outcome.error}")
        elif back is None:
            task.error = "not tried, for a stage before it failed"

    def _overrides(self, task: Task, stop_file: Path) -> list[str]:
        """Of the job that does a task: those of a row that needs it, and what only the job has to know."""
        own = [
            override("stage", task.job.stage.name),
            "runtime.progress=none",
            override("runtime.stop_file", stop_file),
        ]
        if self.threads is not None and task.row.row.settings["runtime"]["threads"] is None:
            own.append(f"runtime.threads={self.threads}")
        return [*task.row.row.overrides, *own]

    def _record(self, planned: Sequence[PlannedRow], tasks: Sequence[Task], records: dict[int, Record]) -> None:
        """Write the records of the rows whose stages are all there, each once."""
        open_ones = {(task.job.key, task.job.stage.recipe.evaluation) for task in tasks if not task.done}
        keys = {key for key, _ in open_ones}
        for number, row in enumerate(planned):
            last = row.jobs[-1]
            waits = (last.key, last.stage.recipe.evaluation) in open_ones or any(j.key in keys for j in row.jobs[:-1])
            if number not in records and not waits:
                finished = FinishedPlan(row.plan, row.jobs, 0, row.faces)
                words = typed_words(row.row.overrides)
                records[number] = write_record(self.planner.runner.store, finished, row.submission, row.note, words)


def _died(task: Task, reason: str) -> JobReturn:
    """For a job that a launcher brought nothing back of: the store knows whether it had finished."""
    try:
        finished = task.job.folder.result() is not None and (task.trains or not unpredicted(task.job, task.row.faces))
    except FerTransferError as error:
        finished, reason = False, str(error)
    return JobReturn(status=JobStatus.COMPLETED, _return_value=Outcome(None if finished else reason))


def _failed(planned: Sequence[PlannedRow], tasks: Sequence[Task]) -> dict[str, str]:
    """Why rows are not finished, by their names."""
    errors = {task.job.key: task for task in tasks if task.error is not None}
    failed = {}
    for row in planned:
        for job in row.jobs:
            if job.key in errors:
                failed[row.row.name] = f"{errors[job.key].name}: {errors[job.key].error}"
                break
    return failed


def _network(task: Task) -> str:
    return str(task.job.stage.recipe.backbone.name)


def _work(work: tuple[int, int]) -> str:
    epochs, faces = work
    return f"{epochs} epochs, {faces:,} faces"


def _warn(text: str) -> None:
    print(shown_text(text), file=sys.stderr, flush=True)
