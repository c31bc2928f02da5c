"""`Loader`: event loops that come and go, and what is left of those who have gone."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from typing import Any

import pytest
from tests.keyed import HeldSource, Source
from tests.loading import settle
from tests.steps import run
from tests.threads import spawn

from penstock import Loader, WrongEventLoop

# loops


def test_there_has_to_be_a_loop() -> None:
    loader = Loader(Source())
    with pytest.raises(RuntimeError, match="no running event loop"):
        loader.load(1)
    run(asyncio.wait_for(loader.load_many([1]), 5))


def test_another_loop_is_refused_while_the_first_is_open() -> None:
    async def other(loader: Loader[object, object]) -> None:
        for use in (lambda: loader.load(1), lambda: loader.load(2)):
            with pytest.raises(WrongEventLoop, match="bound to another event loop"):
                use()
        with pytest.raises(WrongEventLoop):
            await loader.aclose()
        assert not loader.closed

    async def main() -> None:
        loader = Loader(Source())
        assert await loader.load(1) == "value of 1"
        spawn(asyncio.run, other(loader)).result()
        assert await loader.load(2) == "value of 2"

    run(main())


def test_another_loop_takes_over_when_the_first_is_closed() -> None:
    source = Source()
    loader = Loader(source)
    for number in (1, 2, 3):
        assert run(asyncio.wait_for(loader.load_many([1, number]), 5)) == [
            "value of 1",
            f"value of {number}",
        ]
    assert source.calls == [[1], [2], [3]]


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("options", [{}, {"linger": 5}, {"max_items": 1, "max_concurrency": 1}])
def test_a_loop_that_is_closed_under_loads_takes_them_along(
    steps: int, options: dict[str, Any]
) -> None:
    source = HeldSource()
    loader = Loader(source, **options)
    futures = []

    async def ask() -> None:
        futures.extend([loader.load(1), loader.load(2), loader.load(1)])
        loader.clear(2)
        await settle(steps)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    task = coroutine = None
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:  # type: ignore[arg-type]
            coroutine.close()  # type: ignore[union-attr]
    loop.close()
    del loop, task, coroutine
    calls = len(source.calls)

    async def main() -> None:
        loading = loader.load(1)
        await asyncio.sleep(6)
        source.release(calls + 1)
        assert await loading == f"1 {calls + 1}"
        assert source.calls[calls:] == [[1]]
        source.forget()
        gc.collect()  # the calls of the old loop
        stats = loader.stats()
        assert (stats.misses, stats.loaded, stats.abandoned, stats.failed) == (3, 1, 2, 0)
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 0, 0)
        if steps == 0:
            assert not loader._calls._dead
        await loader.aclose()
        assert not loader._calls._dead

    run(main())
    assert not any(future.done() for future in futures)
    futures.clear()
    gc.collect()  # what ran in the old loop is closed
    assert loader.stats().failed == 0


def test_nobody_is_kept_in_mind_who_has_gone() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        for steps in (0, 1, 2, 3, 10):
            futures = [loader.load(1), loader.load(1), loader.load(2), loader.load(2)]
            await settle(steps)
            for future in futures:
                future.cancel()
            await settle()
            assert not loader._calls._joined
        assert len(source.calls) == len(source.cancelled)

    run(main())


def test_a_loader_that_nobody_has_any_more_answers_and_is_gone_without_the_collector() -> None:
    async def main() -> None:
        loader = Loader(Source())
        gone = weakref.ref(loader)
        future = loader.load(1)
        gc.disable()
        try:
            del loader
            assert await future == "value of 1"
            await settle()
            assert gone() is None
        finally:
            gc.enable()

    run(main())
