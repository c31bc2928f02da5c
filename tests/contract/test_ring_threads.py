"""Ring: threads that use one at the same time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Callable
from threading import Barrier, Event
from types import ModuleType
from typing import Any

import pytest
from tests.forks import in_child
from tests.rings import Promise, fill, make_ring
from tests.threads import LIMIT, spawn

PUSHERS = 4
EACH = 2000


def collect_all(ring: Any, wakes: Event, count: int, batch: int = 64) -> list[Any]:
    """Take until so many items are there, and sleep between the bursts."""
    seen: list[Any] = []
    while True:
        taken = ring._take(batch, None)
        if taken is not None:
            seen += taken[0]
        elif len(seen) >= count:
            return seen
        elif not ring._listen(1, None):
            assert wakes.wait(LIMIT), f"nobody woke the taker after {len(seen)} items"
            wakes.clear()


@pytest.mark.usefixtures("interleaving")
def test_four_threads_push_while_one_takes(backend: ModuleType) -> None:
    ring = make_ring(backend)
    wakes = Event()
    ring.acts["wake"] = lambda ring: wakes.set()

    def push(number: int) -> None:
        for at in range(EACH):
            if at % 3:
                ring.put_nowait((number, at))
            else:
                assert ring._push((number, at), Promise(), 1, False)

    taker = spawn(collect_all, ring, wakes, PUSHERS * EACH)
    for thread in [spawn(push, number) for number in range(PUSHERS)]:
        thread.result()
    seen = taker.result()
    assert len(seen) == PUSHERS * EACH
    # Each thread's own are in the order in which it pushed them.
    for number in range(PUSHERS):
        assert [at for who, at in seen if who == number] == list(range(EACH))
    assert ring._counts() == (PUSHERS * EACH, PUSHERS * EACH, 0)
    assert (ring.pending, ring.pending_weight, ring._head) == (0, 0, ring._tail)


@pytest.mark.usefixtures("interleaving")
def test_threads_wake_once_for_a_burst(backend: ModuleType) -> None:
    for items, weight in ((1, None), (PUSHERS * 20, None), (None, 5), (7, PUSHERS * 15)):
        ring = make_ring(backend)
        assert ring._listen(items, weight) is False
        start = Barrier(PUSHERS)

        def push() -> None:
            start.wait(LIMIT)  # noqa: B023  # this round's
            for _ in range(50):
                ring.put_nowait("a")  # noqa: B023  # this round's

        for thread in [spawn(push) for _ in range(PUSHERS)]:
            thread.result()
        assert ring.told == [("wake",)]


@pytest.mark.usefixtures("interleaving")
def test_no_thread_gets_beyond_the_capacity(backend: ModuleType) -> None:
    ring = make_ring(backend, 10)
    most: list[int] = []

    def push() -> int:
        pushed = 0
        for _ in range(EACH):
            pushed += ring._push("a", Promise(), 1, False)
            most.append(ring.pending)
        return pushed

    def take() -> int:
        count = 0
        for _ in range(EACH):
            batch = ring._take(3, None)
            count += 0 if batch is None else len(batch[0])
        return count

    pushers, takers = [spawn(push) for _ in range(2)], [spawn(take) for _ in range(2)]
    pushed = sum([thread.result() for thread in pushers])
    taken = sum([thread.result() for thread in takers])
    assert max(most) <= 10
    assert pushed == taken + ring.pending
    assert ring._counts() == (pushed, taken, 0)


@pytest.mark.usefixtures("interleaving")
def test_several_threads_that_remove_share_what_there_is(backend: ModuleType) -> None:
    """Some futures are done; each item is taken, dropped or swept by exactly one."""
    ring = make_ring(backend)
    count = PUSHERS * 400
    cancelled = [number % 5 == 0 for number in range(count)]
    stop = Event()

    def future(number: int) -> Any:
        one: concurrent.futures.Future[None] = concurrent.futures.Future()
        if cancelled[number]:
            one.cancel()
        return one

    def push(first: int) -> None:
        for number in range(first, count, PUSHERS):
            ring._push(number, future(number), number % 3, False)

    def remove(batch: int) -> tuple[list[int], int]:
        got: list[int] = []
        swept = 0
        while not (stop.is_set() and ring.pending == 0):
            taken = ring._take(batch, 5)
            if taken is not None:
                got += taken[0]
            dropped = ring._drop_oldest()
            if dropped is not None:
                got.append(dropped[0])
            swept += ring._sweep()
        return got, swept

    removers = [spawn(remove, batch) for batch in (1, 10)]
    for thread in [spawn(push, first) for first in range(PUSHERS)]:
        thread.result()
    stop.set()
    results = [thread.result() for thread in removers]
    got = [number for numbers, _ in results for number in numbers]
    assert sorted(got) == [number for number in range(count) if not cancelled[number]]
    assert sum([swept for _, swept in results]) <= sum(cancelled)
    assert (ring.pending, ring.pending_weight, ring._head) == (0, 0, count)
    assert ring._counts() == (count, len(got), sum(cancelled))


class Pump:
    """Takes in an event loop what tasks and threads push, until so much has come."""

    def __init__(self, backend: ModuleType, expected: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.expected = expected
        self.finished = self.loop.create_future()
        self.seen: list[Any] = []
        self.runs = 0
        self.ring = make_ring(backend)
        self.ring._bind(self.loop, self.loop.create_future, asyncio._get_running_loop, lambda: None)
        self.ring.acts["wake"] = lambda ring: self.loop.call_soon_threadsafe(self.run)

    def run(self) -> None:
        self.runs += 1
        while (batch := self.ring._take(16, None)) is not None:
            items, futures, *_ = batch
            self.seen += items
            for item, future in zip(items, futures, strict=True):
                if future is not None:
                    future.set_result(item)
        if self.ring._listen(1, None):
            self.loop.call_soon(self.run)
        elif len(self.seen) == self.expected:
            self.finished.set_result(None)


@pytest.mark.usefixtures("interleaving")
def test_a_loop_takes_what_threads_and_its_own_tasks_push(backend: ModuleType) -> None:
    async def main() -> None:
        pump = Pump(backend, 3 * 300)

        async def ask(item: object) -> None:
            assert await pump.ring.submit(item) == item

        def push(number: int) -> None:
            for at in range(300):
                pump.ring.put_nowait((number, at))

        threads = [spawn(push, number) for number in range(2)]
        await asyncio.gather(*[ask(("task", at)) for at in range(300)])
        await asyncio.wait_for(pump.finished, LIMIT)
        for thread in threads:
            thread.result()
        assert len(pump.seen) == len(set(pump.seen)) == 900
        # Each wake-up is a run of the pump, which may find more and run again.
        assert 0 < pump.ring.told.count(("wake",)) <= pump.runs

    asyncio.run(main())


@pytest.mark.usefixtures("interleaving")
def test_closing_while_threads_push_loses_nothing_that_was_accepted(backend: ModuleType) -> None:
    for _ in range(10):
        ring = make_ring(backend)
        started = Event()

        def push() -> int:
            pushed = 0
            while ring._push("a", None, 1, True):  # noqa: B023  # this round's
                pushed += 1
                started.set()  # noqa: B023  # this round's
            return pushed

        threads = [spawn(push) for _ in range(2)]
        assert started.wait(LIMIT)
        ring._close()
        pushed = sum([thread.result() for thread in threads])
        assert ring.pending == ring._tail == pushed
        assert len(ring._take(pushed + 1, None)[0]) == pushed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.usefixtures("interleaving")
def test_threads_of_the_parent_leave_nothing_locked_in_a_forked_child(backend: ModuleType) -> None:
    stop = Event()
    ring = make_ring(backend)

    def use() -> None:
        ring.put_nowait("a")
        ring._take(2, None)
        ring._sweep()
        ring._listen(1, None)
        ring._counts()
        ring.told.clear()

    def go_on() -> None:
        while not stop.is_set():
            use()

    threads = [spawn(go_on) for _ in range(3)]
    try:
        for _ in range(10):
            assert in_child(use)
    finally:
        stop.set()
    for thread in threads:
        thread.result()


def in_the_weigher(ring: Any, look: Callable[..., int]) -> None:
    ring._init(None, look)
    ring.put_nowait("a")


def in_the_timer(ring: Any, look: Callable[..., int]) -> None:
    ring._init(None, None, look)
    ring.put_nowait("a")


def in_a_future(ring: Any, look: Callable[..., int]) -> None:
    for remove in (lambda: ring._take(1, None), ring._drop_oldest, ring._sweep):
        (promise,) = fill(ring, "a")
        promise.act = look
        remove()


def in_a_method(ring: Any, look: Callable[..., int]) -> None:
    ring.acts = dict.fromkeys(("wake", "refuse", "submit"), look)
    ring.put_nowait("a")
    ring._close()
    ring.put_nowait("b")
    ring.submit("c")


def in_what_it_is_bound_with(ring: Any, look: Callable[..., int]) -> None:
    loop = object()
    for parts in ((look, lambda: loop, NONE), (Promise, look, NONE), (Promise, lambda: loop, look)):
        ring._bind(loop, *parts)
        ring.submit("a")


#: A function that returns None.
NONE = type(None)
PLACES = {
    in_the_weigher: 1,
    in_the_timer: 1,
    in_a_future: 3,
    in_a_method: 3,
    in_what_it_is_bound_with: 3,
}


@pytest.mark.parametrize("place", PLACES)
def test_other_threads_use_it_while_code_of_a_user_runs(
    backend: ModuleType, place: Callable[[Any, Callable[..., int]], None]
) -> None:
    ring = make_ring(backend)
    looks: list[object] = []

    def look(*args: object) -> int:
        if len(looks) < PLACES[place]:
            looks.append(spawn(lambda: (ring._counts(), ring._listen(None, None))).result())
        return 1

    place(ring, look)
    assert len(looks) == PLACES[place]
