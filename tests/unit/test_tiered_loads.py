"""`TieredCache.get_or_load`: one load of a key at a time, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run
from tests.stores import Tiers

from penstock import RecursiveLoad, TieredCache


class Oops(Exception):
    pass


# who loads


def test_what_no_tier_has_is_loaded_and_kept_in_all_of_them() -> None:
    async def main() -> None:
        async with Tiers(2) as tiers:
            calls = []

            async def load(key: str) -> str:
                calls.append(key)
                return f"value of {key}"

            for _ in range(2):
                assert await tiers.cache.get_or_load("k", load) == "value of k"
            assert tiers.in_memory("k") == "value of k"
            await settle()
            assert tiers.stored("k") == ["value of k"] * 2
            tiers.forget()
            assert await tiers.cache.get_or_load("k", load) == "value of k"
            assert calls == ["k"]

    run(main())


def test_loader_may_be_a_plain_function() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            assert await tiers.cache.get_or_load("k", str.upper) == "K"
            assert await tiers.cache.get("k") == "K"
            later: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            later.set_result(3)
            assert await tiers.cache.get_or_load("f", lambda _: later) == 3

    run(main())


def test_calls_share_one_load() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            calls = [tiers.cache.get_or_load("k", load) for _ in range(5)]
            await settle()
            calls += [tiers.cache.get_or_load("k", load) for _ in range(5)]
            load.release(1)
            assert await asyncio.gather(*calls) == ["k 1"] * 10
            stats = tiers.cache.stats()
            assert (stats.loads, stats.coalesced, stats.misses) == (1, 9, 10)
            assert load.calls == ["k"]

    run(main())


def test_loads_of_one_tick_ask_and_fill_a_store_once() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            await asyncio.gather(*[tiers.cache.get_or_load(key, str.upper) for key in "abc"])
            await settle()
            assert tiers.stores[0].asked("get") == [("a", "b", "c")]
            assert tiers.stores[0].asked("fill") == [("a", "b", "c")]

    run(main())


def test_nobody_waits_for_a_store_to_be_filled() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            store = tiers.stores[0]
            load = HeldLoader()
            call = tiers.cache.get_or_load("k", load)
            await settle()
            store.hang()
            load.release()
            assert await call == "k 1"
            await settle()
            assert store.asked("fill") == [("k",)]
            assert tiers.stored("k") == ["nothing"]
            store.mend()
            await settle()
            assert tiers.stored("k") == ["k 1"]

    run(main())


# errors


def test_error_is_told_and_not_kept() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()

            async def fails(key: str) -> str:
                await load(key)
                raise Oops(key)

            calls = [asyncio.ensure_future(tiers.cache.get_or_load("k", fails)) for _ in range(3)]
            await settle()
            load.release()
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in errors] == [Oops] * 3
            assert len({id(error) for error in errors}) == 3
            assert tiers.in_memory("k") == "nothing"
            assert await tiers.cache.get_or_load("k", str) == "k"
            stats = tiers.cache.stats()
            assert (stats.load_failures, stats.loads) == (1, 1)

    run(main())


@pytest.mark.parametrize("error", [StopIteration(1), KeyError("k"), TimeoutError()])
def test_any_exception_passes_through(error: Exception) -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            def fails(_: str) -> str:
                raise error

            with pytest.raises(Exception) as caught:
                await tiers.cache.get_or_load("k", fails)
            told = caught.value
            assert told is error or told.__cause__ is error

    run(main())


def test_end_of_the_program_passes_through() -> None:
    class Exit(SystemExit):
        pass

    async def main() -> None:
        cache = TieredCache(ttl=60)

        def fails(_: str) -> str:
            raise Exit

        call = asyncio.ensure_future(cache.get_or_load("k", fails))
        with pytest.raises(Exit):
            await call

    with pytest.raises(Exit):
        asyncio.run(main())


def test_failing_load_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Tiers(hard_timeout=1) as tiers:

            async def fails(key: str) -> str:
                await asyncio.sleep(2)
                raise Oops(key)

            with pytest.raises(TimeoutError):
                await tiers.cache.get_or_load("k", fails)
            await asyncio.sleep(2)

    run(main())
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "loading 'k', for which nobody waits, failed" in caplog.text


# who leaves


def test_cancelling_one_call_cancels_nobody_else() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            calls = [asyncio.ensure_future(tiers.cache.get_or_load("k", load)) for _ in range(3)]
            await settle()
            calls[0].cancel()
            await settle()
            calls[2].cancel()
            await settle()
            assert load.cancelled == []
            load.release()
            assert await calls[1] == "k 1"

    run(main())


def test_load_is_cancelled_when_the_last_one_leaves() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            calls = [asyncio.ensure_future(tiers.cache.get_or_load("k", load)) for _ in range(3)]
            await settle()
            for call in reversed(calls):
                assert load.cancelled == []
                call.cancel()
                await settle()
            assert load.cancelled == [1]
            again = tiers.cache.get_or_load("k", load)
            await settle()
            load.release()
            assert await again == "k 2"

    run(main())


def test_call_that_comes_when_a_load_is_being_cancelled_begins_anew() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            call = asyncio.ensure_future(tiers.cache.get_or_load("k", load))
            await settle()
            call.cancel()
            await asyncio.sleep(0)
            again = tiers.cache.get_or_load("k", load)
            await settle()
            load.release()
            assert await again == "k 2"

    run(main())


def test_nothing_is_loaded_for_who_left_while_the_tiers_were_asked() -> None:
    async def main() -> None:
        async with Tiers() as tiers:
            load = HeldLoader()
            tiers.stores[0].before.clear()
            call = asyncio.ensure_future(tiers.cache.get_or_load("k", load))
            await settle()
            call.cancel()
            await settle()
            tiers.stores[0].before.set()
            await settle()
            assert load.calls == []
            assert tiers.cache._loads.flights == {}

    run(main())


def test_loader_that_is_cancelled_by_somebody_else_cancels_who_waits() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def fails(_: str) -> str:
                raise asyncio.CancelledError

            with pytest.raises(asyncio.CancelledError):
                await tiers.cache.get_or_load("k", fails)
            assert await tiers.cache.get_or_load("k", str) == "k"

    run(main())


# loads within loads


def test_load_that_would_wait_for_itself_is_refused() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def load(key: str) -> str:
                return str(await tiers.cache.get_or_load(key, load))

            with pytest.raises(RecursiveLoad):
                await tiers.cache.get_or_load("k", load)

            async def left(_: str) -> str:
                return str(await tiers.cache.get_or_load("right", right))

            async def right(_: str) -> str:
                return str(await tiers.cache.get_or_load("left", left))

            results = await asyncio.gather(
                tiers.cache.get_or_load("left", left),
                tiers.cache.get_or_load("right", right),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [RecursiveLoad] * 2

    run(main())


def test_load_may_ask_for_other_keys() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def load(key: str) -> int:
                number = int(key)
                if number < 2:
                    return number
                less = [tiers.cache.get_or_load(str(number - by), load) for by in (1, 2)]
                return sum(await asyncio.gather(*less))

            assert await tiers.cache.get_or_load("20", load) == 6765
            assert tiers.cache.stats().loads == 21

    run(main())


def test_load_that_deletes_its_own_key_does_not_begin_anew() -> None:
    async def main() -> None:
        async with Tiers() as tiers:

            async def load(key: str) -> str:
                await tiers.cache.delete(key)
                return str(await tiers.cache.get_or_load(key, load))

            with pytest.raises(RecursiveLoad):
                await tiers.cache.get_or_load("k", load)

    run(main())


def test_load_has_the_context_of_who_asked_first() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    async def main() -> None:
        async with Tiers() as tiers:
            seen = []

            async def load(key: str) -> str:
                seen.append(variable.get())
                variable.set("changed")
                return key

            variable.set("first")
            call = tiers.cache.get_or_load("k", load)
            variable.set("second")
            await asyncio.gather(call, tiers.cache.get_or_load("k", load))
            assert seen == ["first"]
            assert variable.get() == "second"

    run(main())
