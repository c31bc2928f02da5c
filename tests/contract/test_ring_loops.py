"""A ring that is bound to an event loop knows whether that is the one that runs."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, _get_running_loop
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from tests.forks import in_child
from tests.rings import make_ring
from tests.threads import spawn


@pytest.fixture
def loop() -> Iterator[AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def other() -> Iterator[AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def bound(backend: ModuleType, loop: AbstractEventLoop) -> Any:
    ring = make_ring(backend)
    ring._bind(loop, loop.create_future, _get_running_loop, lambda: None)
    return ring


async def submit(ring: Any) -> object:
    """Twice: the second time it may know without asking."""
    first, second = ring.submit("a"), ring.submit("b")
    assert (first is None) is (second is None)
    return second


def test_it_makes_futures_in_its_own_loop_each_time_that_it_runs(
    backend: ModuleType, loop: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)
    for _ in range(3):
        future = loop.run_until_complete(submit(ring))
        assert isinstance(future, asyncio.Future)
        assert future.get_loop() is loop
    assert ring.pending == 6


def test_it_makes_none_in_another_loop_nor_without_one(
    backend: ModuleType, loop: AbstractEventLoop, other: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)
    loop.run_until_complete(submit(ring))
    assert other.run_until_complete(submit(ring)) is None
    assert ring.submit("a") is None
    assert spawn(lambda: ring.submit("a")).result() is None
    assert loop.run_until_complete(submit(ring)) is not None
    assert ring.pending == 4


def test_it_makes_none_in_a_loop_that_runs_inside_of_its_own(
    backend: ModuleType, loop: AbstractEventLoop, other: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)

    async def nest() -> None:
        assert await submit(ring) is not None
        asyncio._set_running_loop(None)
        try:
            assert other.run_until_complete(submit(ring)) is None
            assert ring.submit("a") is None
        finally:
            asyncio._set_running_loop(loop)
        assert await submit(ring) is not None

    loop.run_until_complete(nest())
    assert ring.pending == 4


def test_it_makes_none_in_a_thread_while_its_loop_runs_in_another(
    backend: ModuleType, loop: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)

    async def main() -> None:
        assert await submit(ring) is not None
        assert spawn(lambda: ring.submit("a")).result() is None

    loop.run_until_complete(main())


def test_it_makes_none_in_a_forked_child_where_no_loop_runs(
    backend: ModuleType, loop: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)

    def in_fork() -> None:
        assert _get_running_loop() is None
        assert ring.submit("a") is None

    async def main() -> None:
        assert await submit(ring) is not None
        assert in_child(in_fork)
        assert await submit(ring) is not None

    loop.run_until_complete(main())
    assert ring.pending == 4


def test_what_is_put_in_another_loop_is_told_before(
    backend: ModuleType, loop: AbstractEventLoop, other: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)

    async def put() -> None:
        for _ in range(3):
            ring.put_nowait("a")

    loop.run_until_complete(put())
    spawn(lambda: ring.put_nowait("a")).result()
    ring.put_nowait("a")
    assert ring.told == [("wake",)]
    ring.told.clear()
    other.run_until_complete(put())
    assert ring.told == [("elsewhere",)] * 3
    loop.run_until_complete(put())
    assert ring.told == [("elsewhere",)] * 3
    assert ring.pending == 11


def test_what_is_put_elsewhere_is_put_after_it_was_told(
    backend: ModuleType, loop: AbstractEventLoop, other: AbstractEventLoop
) -> None:
    ring = bound(backend, loop)
    ring.acts["elsewhere"] = lambda ring: ring._bind(
        other, other.create_future, _get_running_loop, lambda: None
    )

    async def put() -> None:
        ring.put_nowait("a")
        assert await submit(ring) is not None

    other.run_until_complete(put())
    assert ring.told == [("elsewhere",), ("wake",)]


def test_nothing_is_told_of_a_loop_while_it_is_not_bound(
    backend: ModuleType, loop: AbstractEventLoop
) -> None:
    ring = make_ring(backend)

    async def put() -> None:
        ring.put_nowait("a")

    loop.run_until_complete(put())
    assert ring.told == [("wake",)]
