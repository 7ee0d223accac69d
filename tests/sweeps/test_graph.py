"""The order of stages, on made-up ones."""

import itertools
import random
from types import SimpleNamespace

import pytest

from fer_transfer.sweeps.graph import Task, bound, makespan, makespan_in_waves, ordered, rank, waves


def made(edges, seconds):
    """Tasks whose parents are given by number."""
    tasks = []
    for number, (parents, length) in enumerate(zip(edges, seconds, strict=True)):
        job = SimpleNamespace(
            stage=SimpleNamespace(name=f"s{number}"), key=f"{number:016}", own=SimpleNamespace(seed=0)
        )
        task = Task(number, job, None, True, tuple(tasks[p] for p in parents), seconds=length)
        for parent in task.parents:
            parent.children.append(task)
        tasks.append(task)
    rank(tasks)
    return tasks


def test_the_longest_chain_goes_first_and_parents_before_children():
    tasks = made([(), (0,), (), ()], [1, 10, 5, 12])
    assert [task.number for task in ordered(tasks)] == [3, 0, 1, 2]
    assert [task.rank for task in tasks] == [11, 10, 5, 12]


def test_waves_hold_what_is_ready_and_failures_are_inherited():
    tasks = made([(), (0,), (1,), (), (3,)], [1, 1, 1, 1, 1])
    seen = []
    for wave in waves(tasks):
        seen.append([task.number for task in wave])
        for task in wave:
            task.done, task.error = task.number != 1, "bad" if task.number == 1 else None
    assert seen == [[0, 3], [1, 4]]
    assert "s1 00000000 seed 0 failed" in tasks[2].error


def test_what_failed_on_the_way_in_starts_no_wave():
    tasks = made([(), (0,)], [1, 1])
    tasks[0].error = "bad"
    assert list(waves(tasks)) == [] and tasks[1].error


@pytest.mark.parametrize("seed", range(5))
def test_schedules_keep_their_bounds(seed):
    """Against all orders of a few tasks: no list schedule of a graph is longer than twice the bound (Graham 1966)."""
    rng = random.Random(seed)
    edges = [tuple({rng.randrange(n)} if n and rng.random() < 0.5 else ()) for n in range(7)]
    tasks = made(edges, [rng.randint(1, 9) for _ in edges])
    for workers in (1, 2, 3):
        least, found, in_waves = bound(tasks, workers), makespan(tasks, workers), makespan_in_waves(tasks, workers)
        assert least <= found <= 2 * least and least <= in_waves
    assert makespan(tasks, 1) == sum(task.seconds for task in tasks)
    assert makespan(tasks, 99) == max(itertools.chain([0], (task.rank for task in tasks)))
