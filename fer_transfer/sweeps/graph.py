"""The stages of a sweep: each once, with what it needs and how long it may take, and in which order they are launched."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fer_transfer.faces.faces import Faces
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.predict import unpredicted
from fer_transfer.study import Study
from fer_transfer.sweeps.rows import Row


@dataclass
class PlannedRow:
    """A row, checked.

    Attributes:
        row: as composed.
        plan: its plan.
        jobs: stages of the plan, parents first.
        faces: those at hand, by the words of its recipes.
        study: that it belongs to.
        submission, note: what its record says of it besides.
    """

    row: Row
    plan: Plan
    jobs: tuple[Job, ...]
    faces: Mapping[str, Faces]
    study: Study
    submission: str | None
    note: str | None


@dataclass
class Task:
    """One stage to train, or to predict with.

    Attributes:
        number: in the order of the rows, from 0; parents before their children.
        job: the stage.
        row: the first that needs it: with its overrides the stage is launched.
        trains: whether it is not in the store.
        parents: tasks that must be done first.
        rows: how many need it.
        faces: that it trains on, in all its epochs.
        seconds: as long as stages like it took, or None.
        rank: seconds from its start to the end of the longest chain that it begins.
        error: why it failed, or was not tried.
    """

    number: int
    job: Job
    row: PlannedRow
    trains: bool
    parents: tuple["Task", ...]
    rows: int = 0
    faces: int = 0
    seconds: float | None = None
    rank: float = 0.0
    error: str | None = None
    done: bool = False
    children: list["Task"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it is called in lines."""
        return f"{self.job.stage.name} {self.job.key[:8]} seed {self.job.own.seed}"


def tasks_of(rows: Sequence[PlannedRow], missing: set[str]) -> list[Task]:
    """Every distinct stage that is to be trained, and every one in the store whose predictions a row lacks.

    Args:
        rows: planned.
        missing: keys of stages that are not in the store.
    """
    tasks: dict[tuple[str, str], Task] = {}
    trained: dict[str, Task] = {}
    for row in rows:
        for job in row.jobs:
            key, last = (job.key, job.stage.recipe.evaluation), job is row.jobs[-1]
            if key not in tasks:
                first = trained.get(job.key)
                if job.key not in missing and (not last or not unpredicted(job, row.faces)):
                    continue
                if first is not None and not last:
                    continue  # predictions of the way that a stage before it was evaluated are nobody's
                needed = first or (trained.get(job.parent.key) if job.parent else None)
                task = Task(len(tasks), job, row, job.key in missing and first is None, (needed,) if needed else ())
                tasks[key] = task
                if task.trains:
                    trained[job.key] = task
                for parent in task.parents:
                    parent.children.append(task)
            tasks[key].rows += 1
    return list(tasks.values())


def rank(tasks: Sequence[Task], unknown: float = 1.0) -> None:
    """Give every task the length of the longest chain that it begins: the longest go first."""
    for task in reversed(tasks):
        longest = max((child.rank for child in task.children), default=0.0)
        task.rank = (unknown if task.seconds is None else task.seconds) + longest


def ordered(tasks: Sequence[Task]) -> list[Task]:
    """By rank, the longest chain first; a parent's is longer than its children's."""
    return sorted(tasks, key=lambda task: (-task.rank, task.number))


def waves(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """What can start, again and again until nothing is left; the caller marks what it has come to in between.

    A task whose parent failed, or was not done, fails with it.
    """
    left = ordered(tasks)
    while left:
        for task in left:  # parents first
            failed = [parent for parent in task.parents if parent.error is not None]
            if failed:
                task.error = f"not tried, for {failed[0].name} failed"
        left = [task for task in left if task.error is None and not task.done]
        ready = [task for task in left if all(parent.done for parent in task.parents)]
        if not ready:
            return
        yield ready
        left = [task for task in left if not task.done]


def makespan(tasks: Sequence[Task], workers: int) -> float:
    """Seconds until all is done where every stage starts as soon as its own parents and a worker are there."""
    waiting = {task.number: sum(not parent.done for parent in task.parents) for task in tasks}
    ready = [(-task.rank, task.number, task) for task in tasks if not waiting[task.number]]
    heapq.heapify(ready)
    running: list[tuple[float, int, Task]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            task = heapq.heappop(ready)[2]
            heapq.heappush(running, (now + (task.seconds or 0.0), task.number, task))
        now, _, ended = heapq.heappop(running)
        for child in ended.children:
            waiting[child.number] -= 1
            if not waiting[child.number]:
                heapq.heappush(ready, (-child.rank, child.number, child))
    return now


def makespan_in_waves(tasks: Sequence[Task], workers: int) -> float:
    """The same where a wave starts when the one before it is done."""
    depth: dict[int, int] = {}
    for task in tasks:
        depth[task.number] = max((depth[parent.number] + 1 for parent in task.parents), default=0)
    total = 0.0
    for level in range(max(depth.values(), default=-1) + 1):
        free = [0.0] * workers
        for task in ordered([task for task in tasks if depth[task.number] == level]):
            heapq.heappush(free, heapq.heappop(free) + (task.seconds or 0.0))
        total += max(free)
    return total


def bound(tasks: Sequence[Task], workers: int) -> float:
    """Seconds that no schedule can beat: the longest chain, or all the work over all the workers."""
    return max(max((task.rank for task in tasks), default=0.0), sum(task.seconds or 0.0 for task in tasks) / workers)
