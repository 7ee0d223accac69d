"""Batches made on a thread: the same, in the same order, with their errors, and no thread left behind."""

import threading
import time

import pytest
import torch

from fer_transfer.data.ahead import AheadLoader, ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def none_left():
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not threads()


def counted(count, made):
    for number in range(count):
        made.append(number)
        yield number


def settled(made):
    """How many were made once nothing more comes."""
    before = -1
    while len(made) != before:
        before = len(made)
        time.sleep(0.05)
    return before


def test_two_are_ready_and_one_waits_for_its_place():
    made = []
    batches = ahead(counted(10, made))
    assert settled(made) == 0, "nothing before the first is asked for: the epoch is set in between"
    assert next(batches) == 0 and settled(made) == 4
    assert next(batches) == 1 and settled(made) == 5
    assert list(batches) == list(range(2, 10)) and none_left()


def test_the_thread_is_gone_before_the_last_batch_is_used():
    batches = ahead(counted(3, []))
    assert [next(batches) for _ in range(3)] == [0, 1, 2] and none_left()


@pytest.mark.parametrize("how", ["close", "forget", "interrupt"])
def test_an_interruption_leaves_no_thread(how):
    batches = ahead(counted(1000, []))
    next(batches)
    assert threads()
    if how == "close":
        batches.close()
    elif how == "forget":
        del batches
    else:
        with pytest.raises(KeyboardInterrupt):
            batches.throw(KeyboardInterrupt)
    assert none_left()


def test_an_error_comes_out_where_its_batch_was_asked_for():
    def failing():
        yield 1
        raise OSError("the disk is gone")

    batches = ahead(failing())
    assert next(batches) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert none_left() and list(batches) == []


def test_an_error_of_the_threads_beginning_comes_out_too():
    def broken():
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        next(ahead(iter([1]), broken))


def test_a_loader_gives_what_torchs_gives_and_takes_as_much_from_the_generator():
    """A run that is resumed draws what it would have drawn."""
    faces = torch.arange(10)
    results = []
    for kind in (torch.utils.data.DataLoader, AheadLoader):
        torch.manual_seed(0)
        loader = kind(faces, batch_size=4, shuffle=True)
        results.append(([batch.tolist() for batch in loader], torch.get_rng_state().tolist()))
    assert results[0] == results[1] and len(results[1][0]) == 3
