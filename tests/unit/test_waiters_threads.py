"""One line of waiters shared by threads and event loops, some of which end before their turn."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from tests.loading import settle
from tests.threads import LIMIT, spawn
from tests.waiting import Guest, assert_empty

from penstock._waiters import Waiters
from penstock.bench._virtual_loop import VirtualLoop, run
from penstock.errors import AcquireTimeout, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A deadline that a test waits for in real time.
SHORT = 0.01


@pytest.fixture(autouse=True)
def _interleaving() -> Iterator[None]:
    """Let threads interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


class Line(Waiters):
    """Tells when somebody has got in line."""

    def __init__(self, limit: int, max_waiting: int | None = None) -> None:
        super().__init__(limit, max_waiting=max_waiting)
        self.in_line = threading.Semaphore(0)

    def _enqueue(self, waiter: object, weight: int, priority: int) -> int:
        ticket = super()._enqueue(waiter, weight, priority)
        self.in_line.release()
        return ticket

    def wait_for_line(self) -> None:
        assert self.in_line.acquire(timeout=LIMIT)

    def _outcome(self, kind: type[BaseException]) -> str:
        return "ignored"


def enter(line: Waiters) -> None:
    with line:
        pass


def test_thread_waits_for_its_turn() -> None:
    line = Line(1)
    line.try_acquire()
    threads = [spawn(enter, line) for _ in range(3)]
    for _ in threads:
        line.wait_for_line()
    assert line.waiting == 3
    line.release()
    for thread in threads:
        thread.result()
    assert_empty(line)


def test_threads_get_in_in_the_order_in_which_they_came() -> None:
    line, log = Line(1), []
    line.try_acquire()

    def work(number: int) -> None:
        with line:
            log.append(number)

    threads = []
    for number in range(5):
        threads.append(spawn(work, number))
        line.wait_for_line()
    line.release()
    for thread in threads:
        thread.result()
    assert log == [0, 1, 2, 3, 4]


def test_thread_gives_up_when_its_time_is_over() -> None:
    line = Line(1)
    line.try_acquire()
    with pytest.raises(AcquireTimeout, match=r"^no permit became free within 0.01 s$") as caught:
        line._block(1, 0, SHORT)
    assert caught.value.seconds == SHORT
    with pytest.raises(AcquireTimeout):
        line._block(1, 0, 0)
    assert line._stats()[6] == 2
    line.release()
    assert_empty(line)


def test_thread_that_is_turned_away_holds_nothing() -> None:
    line = Line(1, max_waiting=0)
    line.try_acquire()
    with pytest.raises(LimitExceeded), line:
        pass
    line.release()
    assert_empty(line)


def test_thread_that_is_granted_as_its_time_runs_out_gets_in_or_leaves() -> None:
    line = Line(1)
    for _ in range(30):
        line.try_acquire()
        thread = spawn(line._block, 1, 0, 1e-4)
        line.wait_for_line()
        line.release()
        thread.wait()
        assert thread.error is None or isinstance(thread.error, AcquireTimeout)
        if thread.error is None:
            line.release()
        assert_empty(line)


def test_thread_with_an_event_loop_does_not_wait() -> None:
    async def main() -> None:
        line = Line(1)
        with line:  # it does not have to
            message = r"^waiting here would block the event loop: use async with$"
            with pytest.raises(RuntimeError, match=message), line:
                pass
            assert line.waiting == 0
        assert_empty(line)

    run(main())


def test_interrupted_thread_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupt(BaseException):
        pass

    class Lock:
        """A lock in whose wait a signal handler raises; by then it is granted, or it is not."""

        def __init__(self) -> None:
            self.waits = 0

        def acquire(self, timeout: float = -1) -> bool:
            self.waits += 1
            if self.waits == 2:  # the first one is its making
                if is_granted:
                    line.release()
                raise Interrupt
            return True

        def locked(self) -> bool:
            return False

    monkeypatch.setattr("penstock._waiters.Lock", Lock)
    for is_granted in (False, True):
        line = Waiters(1)
        line.try_acquire()
        with pytest.raises(Interrupt), line:
            pass
        assert line.waiting == 0
        if not is_granted:
            line.release()
        assert_empty(line)


def test_permit_may_be_released_by_another_thread() -> None:
    async def main() -> None:
        line = Line(1)
        await line.acquire()
        guest = Guest(line)
        await settle()
        spawn(line.release).result()
        assert line.in_use == 1
        async with asyncio.timeout(LIMIT):
            await guest.task
        assert guest.state == "inside"
        guest.go()
        assert_empty(line)

    asyncio.run(main())


def test_permit_granted_by_another_thread_to_a_task_being_cancelled_is_passed_on() -> None:
    async def main() -> None:
        line = Line(1)
        for _ in range(50):
            await line.acquire()
            victim, after = Guest(line), Guest(line)
            await settle(2)
            thread = spawn(line.release)
            victim.cancel()
            async with asyncio.timeout(LIMIT):
                await asyncio.wait([victim.task])
                if victim.state == "inside":  # it was faster than its cancellation
                    victim.go()
                await after.task
            thread.result()
            assert after.state == "inside"
            after.go()
            assert_empty(line)

    asyncio.run(main())


def abandon(line: Line, count: int = 1) -> list[Guest]:
    """Let tasks wait on a loop that is closed with them; return them."""

    def work() -> list[Guest]:
        loop = VirtualLoop()

        async def ask() -> list[Guest]:
            guests = [Guest(line) for _ in range(count)]
            await settle()
            return guests

        try:
            return loop.run_until_complete(ask())
        finally:
            loop.close()

    return spawn(work).result()


@pytest.fixture
def _quiet_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    """Do not show what asyncio says of tasks that are destroyed while they wait."""
    caplog.set_level(logging.CRITICAL, "asyncio")


@pytest.mark.usefixtures("_quiet_asyncio")
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("count", [1, 3, 2000])
def test_waiters_of_a_closed_loop_are_skipped(count: int, is_kept: bool) -> None:
    line = Line(1)
    line.try_acquire()
    gone = abandon(line, count)
    if not is_kept:
        gone.clear()
        gc.collect()
    living = spawn(enter, line)
    for _ in range(count + 1):
        line.wait_for_line()
    line.release()
    living.result()
    assert (line.in_use, line.waiting) == (0, 0)
    gone.clear()
    gc.collect()  # their coroutines are closed, and must not give back what is not theirs
    assert_empty(line)


@pytest.mark.usefixtures("_quiet_asyncio")
def test_heavy_waiters_of_a_closed_loop_are_skipped_in_bulk() -> None:
    line = Line(4)
    line.try_acquire(4)
    gone = abandon(line, 7)
    living = spawn(enter, line)
    for _ in range(8):
        line.wait_for_line()
    line.release(4)
    living.result()
    assert (line.in_use, line.waiting) == (0, 0)
    gone.clear()
    gc.collect()
    assert_empty(line)


@pytest.mark.usefixtures("_quiet_asyncio")
def test_permit_on_its_way_to_a_loop_that_closes_is_not_lost() -> None:
    line = Line(1)
    line.try_acquire()
    asked, granted = threading.Event(), threading.Event()

    def work() -> None:
        loop = VirtualLoop()

        async def ask() -> None:
            Guest(line)
            await settle()
            asked.set()
            assert granted.wait(LIMIT)  # it has the permit, and will never hear of it

        loop.run_until_complete(ask())
        loop.close()

    thread = spawn(work)
    assert asked.wait(LIMIT)
    line.release()
    assert line.in_use == 1
    granted.set()
    thread.result()
    gc.collect()
    assert_empty(line)


@pytest.mark.usefixtures("_quiet_asyncio")
def test_line_that_nobody_refers_to_goes_with_its_waiters() -> None:
    line = Line(1)
    line.try_acquire()
    abandon(line, 3)
    del line
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Line]


def contend(line: Waiters, rounds: int) -> list[int]:
    """Let two event loops and two threads have at one line; return how many were inside at once."""
    inside, most, turns = 0, 0, []
    lock = threading.Lock()

    def come() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def go() -> None:
        nonlocal inside
        with lock:
            inside -= 1
        turns.append(1)

    def in_thread() -> None:
        for _ in range(rounds):
            with line:
                come()
                go()

    async def task() -> None:
        for _ in range(rounds):
            async with line:
                come()
                await asyncio.sleep(0)
                go()

    async def tasks() -> None:
        await asyncio.gather(*[task() for _ in range(4)])

    works: list[Callable[[], None]] = [in_thread, in_thread, *[lambda: asyncio.run(tasks())] * 2]
    for thread in [spawn(work) for work in works]:
        thread.result()
    return [most, len(turns)]


@pytest.mark.parametrize("limit", [1, 3])
def test_two_loops_and_two_threads_share_a_line(limit: int) -> None:
    line = Line(limit)
    most, turns = contend(line, 100)
    assert 1 <= most <= limit
    assert turns == 100 * (2 + 2 * 4)
    assert_empty(line)


def test_limit_may_change_under_contention() -> None:
    line, is_over = Line(2), threading.Event()

    def change() -> None:
        while not is_over.is_set():
            for limit in (1, 3, 2):
                line.resize(limit)

    changer = spawn(change)
    try:
        most, _ = contend(line, 50)
    finally:
        is_over.set()
    changer.result()
    assert most <= 3
    assert_empty(line)
