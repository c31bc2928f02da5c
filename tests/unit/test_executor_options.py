"""Tasks with options: priorities, deadlines, checked results, keys, and a queue with a limit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.threads import LIMIT, spawn

from penstock.errors import LimitExceeded, TaskExpired
from penstock.flow import deadline, remaining
from penstock.flow._executor import Executor


class Gate:
    """A task that tells that it runs, and waits until it is let go."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.go = threading.Event()

    def __call__(self, value: object = None) -> object:
        self.running.set()
        assert self.go.wait(LIMIT)
        return value


@pytest.fixture
def single() -> Iterator[Executor]:
    """One with a single worker."""
    with Executor(1) as made:
        yield made


def hold(executor: Executor) -> Gate:
    """Keep the only worker busy."""
    gate = Gate()
    executor.submit(gate)
    assert gate.running.wait(LIMIT)
    return gate


def fail(error: BaseException) -> None:
    raise error


def test_lower_priorities_run_first_and_equal_ones_in_their_order(single: Executor) -> None:
    gate, ran = hold(single), []
    for priority in (5, -3, None, 5, 0, -3, -4, 1):
        name = (priority, len(ran))
        single.with_options(priority=priority).submit(ran.append, (*name, priority))
    order = [-4, -3, -3, None, 0, 1, 5, 5]
    gate.go.set()
    single.barrier().result(LIMIT)
    assert [entry[0] for entry in ran] == order


def test_options_add_up(single: Executor) -> None:
    gate, ran = hold(single), []
    urgent = single.with_options(priority=-1)
    urgent.with_options(deadline=LIMIT).submit(ran.append, 1)
    single.submit(ran.append, 2)
    urgent.with_options(priority=7).submit(ran.append, 3)
    gate.go.set()
    single.barrier().result(LIMIT)
    assert ran == [1, 2, 3]


def test_pending_task_expires_at_its_deadline(single: Executor) -> None:
    gate = hold(single)
    late = single.with_options(deadline=0.01).submit(fail, AssertionError())
    error = late.exception(LIMIT)
    assert isinstance(error, TaskExpired)
    assert str(error) == "the task did not start within 0.01 s"
    assert error.seconds == 0.01
    gate.go.set()
    assert single.submit(int).result(LIMIT) == 0
    now = single.stats()
    assert (now.expired, now.pending, now.submitted) == (1, 0, 3)


def test_deadlines_are_met_in_any_order(single: Executor) -> None:
    gate = hold(single)
    far = single.with_options(deadline=3600).submit(int)
    near = single.with_options(deadline=0.01).submit(int)
    assert isinstance(near.exception(LIMIT), TaskExpired)
    assert not far.done()
    gate.go.set()
    assert far.result(LIMIT) == 0


def test_task_that_runs_in_a_thread_is_left_to_end(single: Executor) -> None:
    gate = Gate()
    task = single.with_options(deadline=0.01).submit(gate, 3)
    assert gate.running.wait(LIMIT)
    time.sleep(0.02)
    gate.go.set()
    assert task.result(LIMIT) == 3
    assert single.stats().expired == 0


def test_deadline_around_the_submission_counts(single: Executor) -> None:
    gate = hold(single)
    with deadline(0.01):
        tasks = [single.submit(int), single.with_options(deadline=3600).submit(int)]
        with pytest.raises(TaskExpired):
            asyncio.run(single.run(int))
    assert all(isinstance(task.exception(LIMIT), TaskExpired) for task in tasks)
    with deadline(3600):
        seen = single.submit(remaining)
        near = single.with_options(deadline=0.01).submit(int)
    assert isinstance(near.exception(LIMIT), TaskExpired)
    gate.go.set()
    left = seen.result(LIMIT)
    assert left is not None
    assert 3500 < left <= 3600


def test_run_expires(single: Executor) -> None:
    gate = hold(single)
    with pytest.raises(TaskExpired):
        asyncio.run(single.with_options(deadline=0.01).run(int))
    gate.go.set()


def test_many_deadlines_that_were_met_are_forgotten(single: Executor) -> None:
    hurried = single.with_options(deadline=3600)
    for _ in range(10):
        for task in [hurried.submit(int) for _ in range(100)]:
            task.result(LIMIT)
    hurried.submit(int).result(LIMIT)
    with deadline(0.01):  # somebody has a look
        gate = Gate()
        single.submit(gate)
        with pytest.raises(TaskExpired):
            single.submit(int).result(LIMIT)
    gate.go.set()
    assert len(single._core.keeper._heap) < 500


def test_result_is_checked_before_it_is_there(single: Executor) -> None:
    gate = Gate()
    task = single.with_options(validate=gate).submit(abs, -2)
    assert gate.running.wait(LIMIT)
    assert not task.done()
    assert single.stats().completed == 0
    gate.go.set()
    assert task.result(LIMIT) == 2


def test_later_task_has_its_turn_before_the_check(single: Executor) -> None:
    gate, seen = hold(single), []

    def note(value: object) -> object:
        seen.append(value)
        return value

    checked = single.with_options(validate=lambda value: seen.append(f"check {value}"))
    for number in range(3):
        checked.submit(note, number)
    single.submit(note, 3)
    gate.go.set()
    single.barrier().result(LIMIT)
    assert seen == [0, 1, "check 0", 2, "check 1", 3, "check 2"]


def test_result_that_is_not_accepted_is_an_error(single: Executor) -> None:
    def positive(value: int) -> bool:
        return value > 0

    checked = single.with_options(validate=positive)
    assert checked.submit(int, 5).result(LIMIT) == 5
    message = "the result -5 was not accepted by .*positive$"
    with pytest.raises(ValueError, match=message):
        checked.submit(int, -5).result(LIMIT)
    with pytest.raises(ValueError, match=message):
        asyncio.run(checked.run(int, -5))
    error = OSError("of the check")
    assert single.with_options(validate=lambda _: fail(error)).submit(int).exception() is error
    assert single.with_options(validate=lambda _: None).submit(int).result(LIMIT) == 0
    assert single.with_options(validate=fail).submit(fail, error).exception() is error
    now = single.stats()
    assert (now.completed, now.failed, now.pending) == (2, 4, 0)


def test_tasks_with_the_same_key_share_a_future(single: Executor) -> None:
    gate, calls = Gate(), []

    def work() -> object:
        calls.append(1)
        return gate(len(calls))

    keyed = single.with_options(key="k")
    first = keyed.submit(work)
    assert keyed.submit(work) is first
    assert gate.running.wait(LIMIT)
    assert keyed.submit(work) is first
    assert single.with_options(key="other").submit(int) is not first
    gate.go.set()
    assert first.result(LIMIT) == 1
    assert keyed.submit(work).result(LIMIT) == 2
    assert single.stats().submitted == 3


def test_cancelled_task_is_not_shared(single: Executor) -> None:
    gate, keyed = hold(single), single.with_options(key=("a", 1))
    first = keyed.submit(int)
    first.cancel()
    second = keyed.submit(int)
    assert second is not first
    gate.go.set()
    assert second.result(LIMIT) == 0


def test_last_one_who_awaits_a_shared_task_cancels_it(single: Executor) -> None:
    gate, keyed = hold(single), single.with_options(key="k")

    async def main() -> None:
        one, two = (asyncio.create_task(keyed.run(abs, -1)) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.wait([one])
        assert single.stats().cancelled == 0
        three = asyncio.create_task(keyed.run(fail, AssertionError()))
        await asyncio.sleep(0)
        gate.go.set()
        assert await two == await three == 1

    asyncio.run(main())
    other = hold(single)

    async def leave() -> None:
        tasks = [asyncio.create_task(keyed.run(fail, AssertionError())) for _ in range(2)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(leave())
    assert single.stats().cancelled == 1
    other.go.set()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"priority": 1.5}, TypeError, "priority must be an int, got float"),
        ({"deadline": 0}, ValueError, "deadline must be"),
        ({"deadline": "1"}, TypeError, "deadline must be"),
        ({"validate": 5}, TypeError, "validate must be callable, got int"),
        ({"key": []}, TypeError, "unhashable type"),
        ({"retries": -1}, ValueError, "retries must be >= 0, got -1"),
    ],
)
def test_bad_options_are_refused(
    single: Executor, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        single.with_options(**options)


def test_map_has_the_options_but_no_key(single: Executor) -> None:
    checked = single.with_options(validate=lambda value: value != 2)
    results = checked.map(abs, [-1, -2])
    assert next(results) == 1
    with pytest.raises(ValueError, match="not accepted"):
        next(results)
    with pytest.raises(ValueError, match=r"^map\(\) with a key"):
        single.with_options(key="k").map(abs, [1])


def test_options_can_be_handed_to_asyncio(single: Executor) -> None:
    async def main() -> object:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(single.with_options(priority=1), abs, -4)

    assert asyncio.run(main()) == 4


def test_full_executor_that_raises_turns_tasks_away() -> None:
    with Executor(1, max_pending=2, on_full="raise") as executor:
        gate = hold(executor)
        pending = [executor.submit(int) for _ in range(2)]
        with pytest.raises(LimitExceeded, match=r"^2 tasks are pending already") as caught:
            executor.submit(int)
        assert (caught.value.waiting, caught.value.max_waiting) == (2, 2)
        with pytest.raises(LimitExceeded):
            asyncio.run(executor.run(int))
        assert executor.stats().rejected == 2
        pending[0].cancel()
        pending.append(executor.submit(int))
        gate.go.set()
        assert [task.result(LIMIT) for task in pending[1:]] == [0, 0]
        assert executor.stats().pending == 0


def test_full_executor_that_waits_makes_threads_wait() -> None:
    with Executor(1, max_pending=1) as executor:
        gate = hold(executor)
        executor.submit(int)
        waiting = spawn(lambda: executor.submit(abs, -3).result(LIMIT))
        while not executor._core.places.waiting:  # type: ignore[union-attr]
            time.sleep(0.001)
        gate.go.set()
        assert waiting.result() == 3


def test_full_executor_that_waits_makes_tasks_wait_and_blocks_no_loop() -> None:
    with Executor(1, max_pending=1) as executor:
        gate = hold(executor)

        async def main() -> list[int]:
            runs = [asyncio.create_task(executor.run(abs, -number)) for number in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="would block the event loop"):
                executor.submit(int)
            runs[3].cancel()
            await asyncio.sleep(0)
            gate.go.set()
            return [await run for run in runs if run is not runs[3]]

        assert asyncio.run(main()) == [0, 1, 2, 4]
        assert executor.stats().pending == 0


def test_task_that_finds_no_place_in_time_expires() -> None:
    with Executor(1, max_pending=1) as executor:
        gate = hold(executor)
        executor.submit(int)
        hurried = executor.with_options(deadline=0.01)
        assert isinstance(hurried.submit(int).exception(LIMIT), TaskExpired)
        with pytest.raises(TaskExpired):
            asyncio.run(hurried.run(int))
        gate.go.set()
        executor.barrier().result(LIMIT)
        now = executor.stats()
        assert (now.expired, now.submitted, now.completed, now.pending) == (2, 4, 2, 0)


def test_tasks_of_tasks_are_never_made_to_wait() -> None:
    with Executor(1, max_pending=1) as executor:

        def nest() -> list[int]:
            tasks = [executor.submit(abs, -number) for number in range(5)]
            return [task.result() for task in tasks]

        assert executor.submit(nest).result(LIMIT) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("cancel", [False, True])
def test_who_waits_for_a_place_learns_of_the_end(cancel: bool) -> None:
    executor = Executor(1, max_pending=1)
    gate = hold(executor)
    executor.submit(int)
    waiting = [spawn(executor.submit, int) for _ in range(3)]
    while executor._core.places.waiting < 3:  # type: ignore[union-attr]
        time.sleep(0.001)
    executor.shutdown(wait=False, cancel_futures=cancel)
    for each in waiting:
        with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
            each.result()
    gate.go.set()
    executor.shutdown()
