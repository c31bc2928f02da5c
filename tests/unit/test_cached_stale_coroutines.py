"""`stale=` on coroutine functions: an old value is served while a task refreshes it."""

from __future__ import annotations

import asyncio

import pytest
from tests.clock import Clock
from tests.loading import HeldLoader, settle

from penstock import cached

TTL, STALE = 10, 5


class Source:
    """A cached coroutine function with its loader and its clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.held = HeldLoader()
        self.load = cached(ttl=TTL, stale=STALE, timer=self.clock)(self.held)

    async def fill(self) -> None:
        """Have "a 1" in the cache, fresh."""
        first = asyncio.ensure_future(self.load("a"))
        await settle()
        self.held.release()
        assert await first == "a 1"


def test_fresh_value_starts_no_refresh() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(9.999)
        assert await source.load("a") == "a 1"
        await settle()
        assert source.held.calls == ["a"]

    asyncio.run(main())


def test_stale_value_is_served_while_a_task_refreshes_it() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        for _ in range(3):
            assert await source.load("a") == "a 1"
            await settle()
        assert source.held.calls == ["a", "a"]
        source.held.release()
        await settle()
        assert await source.load("a") == "a 2"
        source.clock.advance(9.999)
        assert await source.load("a") == "a 2"
        await settle()
        assert source.held.calls == ["a", "a"]

    asyncio.run(main())


def test_stale_hit_is_ready_at_once() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        with pytest.raises(StopIteration) as stop:
            source.load("a").send(None)
        assert stop.value.value == "a 1"

    asyncio.run(main())


def test_value_past_its_stale_time_is_waited_for() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL + STALE)
        late = asyncio.ensure_future(source.load("a"))
        await settle()
        assert not late.done()
        source.held.release()
        assert await late == "a 2"

    asyncio.run(main())


def test_value_that_dies_during_its_refresh_is_waited_for_in_that_refresh() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        await source.load("a")
        await settle()
        source.clock.advance(STALE)
        late = [asyncio.ensure_future(source.load("a")) for _ in range(2)]
        await settle()
        late.pop().cancel()
        await settle()
        source.held.release()
        assert await late[0] == "a 2"
        assert source.held.calls == ["a", "a"]

    asyncio.run(main())


def test_refresh_outlives_the_waiters_that_joined_it() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        await source.load("a")
        await settle()
        source.clock.advance(STALE)
        late = asyncio.ensure_future(source.load("a"))
        await settle()
        late.cancel()
        await settle()
        assert source.held.cancelled == []
        source.held.release()
        await settle()
        assert await source.load("a") == "a 2"

    asyncio.run(main())


def test_refresh_outlives_the_task_that_asked() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        asking = asyncio.ensure_future(source.load("a"))
        assert await asking == "a 1"
        await settle()
        asking.cancel()
        source.held.release()
        await settle()
        assert await source.load("a") == "a 2"

    asyncio.run(main())


def test_failing_refresh_is_logged_and_keeps_the_old_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    outcomes: list[object] = ["old", ValueError("source is down"), "new"]

    @cached(ttl=TTL, stale=STALE, timer=clock)
    async def load(key: str) -> object:
        await asyncio.sleep(0)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def main() -> None:
        assert await load("a") == "old"
        clock.advance(TTL)
        error = outcomes[0]
        assert await load("a") == "old"
        await settle()
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("penstock.caching", "WARNING")
        assert "'a'" in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert await load("a") == "old"
        await settle()
        assert await load("a") == "new"
        assert load.stats().load_failures == 1

    asyncio.run(main())
    assert len(caplog.records) == 1


def test_invalidation_during_a_refresh_prevents_the_store() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        await source.load("a")
        await settle()
        source.load.invalidate("a")
        source.held.release()
        await settle()
        assert "a" not in source.load.cache
        new = asyncio.ensure_future(source.load("a"))
        await settle()
        source.held.release()
        assert await new == "a 3"

    asyncio.run(main())


def test_explicit_refresh_supersedes_the_one_behind_the_stale_value() -> None:
    async def main() -> None:
        source = Source()
        await source.fill()
        source.clock.advance(TTL)
        await source.load("a")
        await settle()
        refresh = asyncio.ensure_future(source.load.refresh("a"))
        await settle()
        source.held.release(3)
        assert await refresh == "a 3"
        source.held.release(2)
        await settle()
        assert await source.load("a") == "a 3"

    asyncio.run(main())


def test_stale_hit_outside_a_loop_serves_the_value_and_leaves_the_refresh_to_others() -> None:
    source = Source()
    asyncio.run(source.fill())
    source.clock.advance(TTL)
    with pytest.raises(StopIteration) as stop:
        source.load("a").send(None)
    assert stop.value.value == "a 1"
    assert source.held.calls == ["a"]

    async def main() -> None:
        assert await source.load("a") == "a 1"
        await settle()
        source.held.release()
        await settle()
        assert await source.load("a") == "a 2"

    asyncio.run(main())


def test_refresh_cut_short_by_the_end_of_its_loop_is_done_in_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source()
    asyncio.run(source.fill())
    source.clock.advance(TTL)

    async def ask() -> None:
        assert await source.load("a") == "a 1"
        await settle()

    asyncio.run(ask())
    assert source.held.cancelled == [2]

    async def ask_again() -> None:
        await ask()
        source.held.release()
        await settle()
        assert await source.load("a") == "a 3"

    asyncio.run(ask_again())
    assert caplog.records == []


def test_method_is_refreshed_on_its_instance() -> None:
    clock = Clock()

    class Service:
        def __init__(self) -> None:
            self.calls = 0

        @cached(ttl=TTL, stale=STALE, timer=clock)
        async def load(self, key: str, *, option: int = 0) -> int:
            self.calls += 1
            return self.calls + option

    async def main() -> None:
        one, other = Service(), Service()
        assert [await one.load("a", option=10), await other.load("a", option=20)] == [11, 21]
        clock.advance(TTL)
        assert await one.load("a", option=10) == 11
        await settle()
        assert await one.load("a", option=10) == 12
        assert [one.calls, other.calls] == [2, 1]

    asyncio.run(main())


def test_loader_may_ask_for_its_own_stale_value() -> None:
    clock = Clock()
    seen = []

    @cached(ttl=TTL, stale=STALE, timer=clock)
    async def load(key: str) -> int:
        if clock.now:
            seen.append(await load(key))
        return len(seen)

    async def main() -> None:
        assert await load("a") == 0
        clock.advance(TTL)
        assert await load("a") == 0
        await settle()
        assert seen == [0]
        assert await load("a") == 1

    asyncio.run(main())
