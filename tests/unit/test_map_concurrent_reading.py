"""`map_concurrent` in `async for`: how far it runs ahead, and how it is left."""

from __future__ import annotations

import asyncio
import gc
from itertools import count

import pytest
from tests.loading import settle
from tests.steps import now, run, tasks_left

from penstock.bench._virtual_loop import VirtualLoop
from penstock.bench._virtual_loop import run as run_virtually
from penstock.errors import ClosedError, DeadlineExceeded
from penstock.flow._deadline import deadline
from penstock.flow._map import map_concurrent


class Oops(Exception):
    """What a call fails with."""


class Calls:
    """A coroutine function whose calls take a second each, and that counts them."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.started = self.ended = self.cancelled = 0

    @property
    def running(self) -> int:
        return self.started - self.ended - self.cancelled

    async def __call__(self, item: int) -> int:
        self.started += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        return item


def test_results_come_as_soon_as_they_can() -> None:
    async def main() -> None:
        async def wait(item: int) -> int:
            await asyncio.sleep(item)
            return item

        start = now()
        read = [(r, now() - start) async for r in map_concurrent(wait, [1, 3, 2, 1], limit=4)]
        assert read == [(1, 1), (3, 3), (2, 3), (1, 3)]
        start = now()
        mapped = map_concurrent(wait, [1, 3, 2, 1], limit=4, ordered=False)
        assert [(r, now() - start) async for r in mapped] == [(1, 1), (1, 1), (2, 2), (3, 3)]

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("buffer", "ahead"), [(None, 6), (0, 3), (1, 4), (10, 13)])
def test_a_slow_reader_holds_up_the_calls(buffer: int | None, ahead: int, ordered: bool) -> None:
    async def main() -> None:
        calls = Calls()
        read = 0
        mapped = map_concurrent(calls, count(), limit=3, ordered=ordered, buffer=buffer)
        async with mapped:
            async for _ in mapped:
                read += 1
                await asyncio.sleep(100)
                assert calls.ended == calls.started == read + ahead
                if read == 5:
                    break

    run(main())


def test_a_fast_reader_never_waits_for_more_than_one_round() -> None:
    async def main() -> None:
        calls = Calls()
        start = now()
        times = [now() - start async for _ in map_concurrent(calls, range(9), limit=3)]
        assert times == [1.0] * 3 + [2.0] * 3 + [3.0] * 3

    run(main())


def test_a_slow_first_call_lets_the_others_run_ahead_only_so_far() -> None:
    async def main() -> None:
        started: list[int] = []

        async def wait(item: int) -> int:
            started.append(item)
            await asyncio.sleep(1000 if item == 0 else 1)
            return item

        mapped = map_concurrent(wait, range(100), limit=3, buffer=5)
        first = asyncio.ensure_future(anext(mapped))  # type: ignore[arg-type]
        await asyncio.sleep(500)
        assert started == list(range(8))
        assert await first == 0
        assert [item async for item in mapped] == list(range(1, 100))

    run(main())


def test_an_error_comes_before_results_that_were_not_read() -> None:
    async def main() -> None:
        async def fail(item: int) -> int:
            await asyncio.sleep(item)
            if item == 3:
                raise Oops
            return item

        read: list[int] = []
        mapped = map_concurrent(fail, [1, 2, 3, 4, 5], limit=5)

        async def read_slowly() -> None:
            async for item in mapped:
                read.append(item)
                await asyncio.sleep(1.5)

        with pytest.raises(Oops):
            await read_slowly()
        assert read == [1, 2]
        assert [item async for item in mapped] == []  # as a generator that has raised

    run(main())


def test_a_deadline_is_raised_at_the_next_read() -> None:
    async def main() -> None:
        calls = Calls()
        with deadline(2.5):
            mapped = map_concurrent(calls, count(), limit=2)
            assert await anext(mapped) == 0
        await asyncio.sleep(100)
        assert calls.running == 0
        assert calls.started == 5  # with a buffer of 2, one of them read
        with pytest.raises(DeadlineExceeded):
            await anext(mapped)

    run(main())


# Leaving early


def test_a_break_cancels_what_runs() -> None:
    async def main() -> None:
        calls = Calls()
        async for item in map_concurrent(calls, count(), limit=3):
            if item == 4:
                break
        await settle()
        assert tasks_left() == 0
        assert calls.running == 0
        assert calls.cancelled == 3

    run(main())


def test_an_error_in_the_loop_cancels_what_runs() -> None:
    async def main() -> None:
        calls = Calls()

        async def read() -> None:
            async for item in map_concurrent(calls, count(), limit=3):
                if item == 4:
                    raise Oops

        with pytest.raises(Oops):
            await read()
        await settle()
        assert calls.running == tasks_left() == 0

    run(main())


def test_a_return_cancels_what_runs() -> None:
    async def main() -> None:
        calls = Calls()

        async def first() -> int:
            async for item in map_concurrent(calls, count(), limit=3):
                return item
            return -1

        assert await first() == 0
        await settle()
        assert calls.running == tasks_left() == 0

    run(main())


def test_async_with_waits_for_the_end_of_what_runs() -> None:
    async def main() -> None:
        calls = Calls()
        async with map_concurrent(calls, count(), limit=3) as mapped:
            async for item in mapped:
                if item == 4:
                    break
        assert calls.running == tasks_left() == 0
        async with map_concurrent(calls, range(3), limit=3) as mapped:
            assert await mapped == [0, 1, 2]
        async with map_concurrent(calls, range(3), limit=3):
            pass

    run(main())


def test_aclose_waits_for_the_end_and_ends_the_reading() -> None:
    async def main() -> None:
        calls = Calls()
        mapped = map_concurrent(calls, count(), limit=3)
        assert await anext(mapped) == 0
        await mapped.aclose()
        assert calls.running == tasks_left() == 0
        assert [item async for item in mapped] == []
        await mapped.aclose()

    run(main())


def test_aclose_before_reading_means_that_nothing_is_called() -> None:
    async def main() -> None:
        calls = Calls()
        mapped = map_concurrent(calls, count(), limit=3)
        await mapped.aclose()
        assert [item async for item in mapped] == []
        with pytest.raises(RuntimeError, match="used already, by aclose"):
            await mapped
        assert calls.started == 0

    run(main())


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_aclose_ends_the_reading_of_another_task(seconds: float) -> None:
    async def main() -> None:
        calls = Calls()
        mapped = map_concurrent(calls, count(), limit=3)

        async def read() -> list[int]:
            return [item async for item in mapped]

        reader = asyncio.ensure_future(read())
        await asyncio.sleep(seconds)
        await asyncio.gather(mapped.aclose(), mapped.aclose())
        assert await reader == []
        assert calls.running == 0

    run(main())


def test_aclose_ends_the_awaiting_of_another_task_with_an_error() -> None:
    async def main() -> None:
        async def wait(item: int) -> int:
            await asyncio.sleep(10 - item)
            return item

        mapped = map_concurrent(wait, range(5), limit=5)
        waiting = asyncio.ensure_future(mapped)
        await asyncio.sleep(8.5)
        await mapped.aclose()
        message = r"^map_concurrent\(\) was closed while it was awaited$"
        with pytest.raises(ClosedError, match=message):
            await waiting

    run(main())


def test_aclose_drops_an_error_that_nobody_has_read() -> None:
    async def main() -> None:
        async def fail(item: int) -> int:
            await asyncio.sleep(item)
            if item == 2:
                raise Oops
            return item

        async with map_concurrent(fail, [1, 2, 3], limit=3) as mapped:
            assert await anext(mapped) == 1
            await asyncio.sleep(5)

    run(main())


def test_a_call_cannot_close_what_it_is_part_of() -> None:
    async def main() -> None:
        async def close(_: int) -> None:
            await mapped.aclose()

        mapped = map_concurrent(close, range(3), limit=2)
        message = r"^a call of map_concurrent\(\) cannot wait for the end of them all$"
        with pytest.raises(RuntimeError, match=message):
            await mapped

    run(main())


def test_a_second_reader_is_refused_and_does_no_harm() -> None:
    async def main() -> None:
        calls = Calls()
        mapped = map_concurrent(calls, range(2), limit=3)
        reader = asyncio.ensure_future(anext(mapped))  # type: ignore[arg-type]
        await settle()
        with pytest.raises(RuntimeError, match=r"^map_concurrent\(\) is being read already$"):
            await anext(mapped)
        assert await reader == 0
        assert await anext(mapped) == 1

    run(main())


def test_a_cancelled_reader_ends_it_all_and_whoever_reads_on_hears_of_it() -> None:
    async def main() -> None:
        calls = Calls()
        mapped = map_concurrent(calls, count(), limit=3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(mapped)
        assert calls.running == tasks_left() == 0
        message = r"^map_concurrent\(\) ended when its reader was cancelled$"
        with pytest.raises(ClosedError, match=message):
            await anext(mapped)

    run(main())


def test_a_reader_that_is_closed_by_hand_leaves_nothing_behind() -> None:
    async def main() -> None:
        calls = Calls()

        async def read() -> None:
            async for _ in map_concurrent(calls, count(), limit=3):
                pass

        for coroutine in (read(), map_concurrent(calls, count(), limit=3)._collect()):
            coroutine.send(None)
            await asyncio.sleep(0.5)
            assert calls.running == 3
            coroutine.close()
            await settle()
            assert calls.running == tasks_left() == 0

    run(main())


def test_a_map_whose_loop_was_closed_with_calls_in_it_is_dropped_in_silence() -> None:
    calls = Calls(0)
    maps = [map_concurrent(calls, count(), limit=3)]
    loop = VirtualLoop()
    assert loop.run_until_complete(anext(maps[0])) == 0  # type: ignore[arg-type]
    loop.close()
    maps.clear()
    gc.collect()  # asyncio logs that tasks were destroyed


def test_a_map_that_outlives_its_loop_is_dropped_in_silence() -> None:
    calls = Calls()
    maps = [map_concurrent(calls, count(), limit=3)]

    async def main() -> None:
        assert await anext(maps[0]) == 0

    run_virtually(main())
    assert calls.running == 0
    maps.clear()
