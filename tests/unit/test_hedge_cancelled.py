"""`hedge` cancelled before each of its steps, and in programs made by chance."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.loading import settle
from tests.steps import now, run, steps_of, tasks_left

from penstock.bench._virtual_loop import VirtualLoop
from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import deadline
from penstock.flow._hedge import hedge


class Oops(Exception):
    """What a call fails with."""


class Scene:
    """Calls that take several steps, and that know of each other."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds
        self.calls = self.running = 0

    async def call(self) -> int:
        number = self.calls
        self.calls += 1
        self.running += 1
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(self.seconds[number])
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            await asyncio.sleep(number)
            raise
        finally:
            self.running -= 1
        return number

    async def fail(self) -> int:
        raise Oops(await self.call())


async def wait_for_the_first(scene: Scene) -> None:
    assert await hedge(scene.call, delay=100)() == 0


async def wait_for_the_second(scene: Scene) -> None:
    assert await hedge(scene.call, delay=1)() == 1


async def wait_for_the_third(scene: Scene) -> None:
    assert await hedge(scene.call, delay=1, extra=3)() == 2


async def wait_for_errors(scene: Scene) -> None:
    with pytest.raises(Oops):
        await hedge(scene.fail, delay=1, extra=2, on=Oops)()


async def wait_for_a_deadline(scene: Scene) -> None:
    with deadline(2.5), pytest.raises(DeadlineExceeded):
        await hedge(scene.call, delay=1, extra=2)()


@pytest.mark.parametrize("twice", [0, 1, 2, 4])
@pytest.mark.parametrize(
    "program",
    [
        wait_for_the_first,
        wait_for_the_second,
        wait_for_the_third,
        wait_for_errors,
        wait_for_a_deadline,
    ],
)
def test_cancelled_before_any_step(program: Callable[[Scene], Awaitable[None]], twice: int) -> None:
    seconds = {wait_for_the_second: (20, 5), wait_for_the_third: (20, 20, 0.5, 20)}

    async def once() -> None:
        scene = Scene(*seconds.get(program, (20, 21, 22)))
        try:
            await program(scene)
        finally:
            assert scene.running == 0
            assert tasks_left() <= 1  # who cancels

    for _, task in steps_of(once, twice=twice):
        if not task.cancelled():
            task.result()


def test_a_cancellation_is_counted_and_passed_on_when_all_calls_have_ended() -> None:
    async def main() -> None:
        scene = Scene(20, 20, 20)
        call = hedge(scene.call, delay=1, extra=2)
        task = asyncio.ensure_future(call())
        await asyncio.sleep(2.5)
        assert scene.running == 3
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert scene.running == 0
        assert call.stats().cancelled == call.stats().calls == 1

    run(main())


def test_a_cancellation_while_losers_end_is_not_lost() -> None:
    async def main() -> None:
        scene = Scene(20, 20, 1)
        call = hedge(scene.call, delay=1, extra=2)
        task = asyncio.ensure_future(call())
        await asyncio.sleep(3.5)
        assert scene.running == 1
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert scene.running == 0
        assert call.stats().cancelled == call.stats().calls == 1

    run(main())


def test_a_call_that_does_not_care_for_cancellation_is_waited_for() -> None:
    async def main() -> None:
        async def call() -> str:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(10 if now() == 1000 else 1)
                return "won"
            await asyncio.sleep(5)
            return "late"

        start = now()
        assert await hedge(call, delay=1)() == "won"
        assert now() - start == 7

    run(main())


def test_a_coroutine_that_is_closed_by_hand_leaves_nothing_behind() -> None:
    async def main() -> None:
        scene = Scene(20, 20)
        coroutine = hedge(scene.call, delay=1)()
        coroutine.send(None)
        await settle()
        assert scene.running == 1
        coroutine.close()
        await settle()
        assert scene.running == 0

    run(main())


def test_a_coroutine_whose_loop_is_closed_is_dropped_in_silence() -> None:
    scene = Scene(20, 20)
    coroutines = [hedge(scene.call, delay=1)()]

    async def begin() -> None:
        coroutines[0].send(None)
        await settle()

    loop = VirtualLoop()
    loop.run_until_complete(begin())
    loop.close()
    coroutines[0].close()
    coroutines.clear()
    gc.collect()  # asyncio logs that a task was destroyed


def expected(
    answers: list[tuple[float, bool]], extra: int, delay: float, is_repeated: bool
) -> tuple[float, int, int]:
    """When there is an answer, of which call it is (the first, if all fail), and of how many."""
    running = {0: answers[0][0]}
    calls, next_at, first_error = 1, delay, None

    def start(at: float) -> None:
        nonlocal calls, next_at
        running[calls] = at + answers[calls][0]
        calls, next_at = calls + 1, at + delay

    while True:
        number, end = min(running.items(), key=lambda item: item[1])
        if calls <= extra and next_at < end:
            start(next_at)
            continue
        del running[number]
        if not answers[number][1]:
            return end, number, calls
        first_error = number if first_error is None else first_error
        if is_repeated and calls <= extra:
            start(end)
        else:
            extra = 0
        if not running:
            return end, first_error, calls


@given(
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=5, max_size=5),
    st.integers(1, 4),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.booleans(),
)
def test_the_answer_is_the_first_there_could_be(
    whole_seconds: list[tuple[int, bool]], extra: int, delay: float, is_repeated: bool
) -> None:
    # No two things happen at once: no two sums of these fractions are equal.
    answers = [(whole + 2.0 ** -(3 + n), fails) for n, (whole, fails) in enumerate(whole_seconds)]

    async def main() -> None:
        calls = 0

        async def call() -> int:
            nonlocal calls
            number = calls
            calls += 1
            seconds, fails = answers[number]
            await asyncio.sleep(seconds)
            if fails:
                raise Oops(number)
            return number

        hedged = hedge(call, delay=delay, extra=extra, on=Oops if is_repeated else ())
        start = now()
        try:
            number = await hedged()
        except Oops as error:
            number = error.args[0]
        assert (now() - start, number, calls) == expected(answers, extra, delay, is_repeated)
        assert tasks_left() == 0

    run(main(), collect=False)
