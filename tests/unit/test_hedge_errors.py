"""`hedge`: calls that fail, budgets and deadlines."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from tests.hedging import Fatal, Oops, Server
from tests.loading import settle
from tests.steps import now, run

from penstock.errors import DeadlineExceeded
from penstock.flow._budget import RetryBudget
from penstock.flow._deadline import deadline
from penstock.flow._hedge import HedgeStats, hedge

# Errors


def test_an_error_before_the_delay_is_the_answer() -> None:
    async def main() -> None:
        error = Oops()
        server = Server((0.5, error), 1)
        call = hedge(server, delay=1)
        start = now()
        with pytest.raises(Oops) as caught:
            await call()
        assert caught.value is error
        assert not hasattr(error, "__notes__")
        assert now() - start == 0.5
        assert server.delays == [0]
        assert call.stats() == HedgeStats(calls=1, failures=1, delay=1.0)

    run(main())


@pytest.mark.parametrize("on", [Oops, (LookupError, Oops), lambda error: type(error) is Oops])
def test_an_error_that_on_allows_is_followed_by_the_next_call_at_once(on: Any) -> None:
    async def main() -> None:
        server = Server((0.5, Oops), (0.25, Oops), 2, 2)
        call = hedge(server, delay=1, extra=3, on=on)
        start = now()
        assert await call() == 2
        assert now() - start == 2.75
        assert server.delays == [0, 0.5, 0.75, 1.75]  # the delay counts from the last one
        server = Server((0.5, KeyError), 2)
        with pytest.raises(KeyError):
            await hedge(server, delay=1, on=Oops)()
        assert server.delays == [0]

    run(main())


def test_an_error_leaves_the_decision_to_the_call_that_runs() -> None:
    async def main() -> None:
        server = Server((3, Oops), 5)
        call = hedge(server, delay=2)
        start = now()
        assert await call() == 1
        assert now() - start == 7
        assert call.stats() == HedgeStats(calls=1, extra=1, won=1, delay=2.0)
        server = Server(5, (1, Oops))
        assert await hedge(server, delay=2)() == 0

    run(main())


def test_after_an_error_that_on_does_not_allow_no_further_call_is_made() -> None:
    async def main() -> None:
        server = Server(10, (0.5, Oops), 1)
        assert await hedge(server, delay=1, extra=2)() == 0
        assert server.delays == [0, 1]

    run(main())


def test_when_all_fail_the_first_error_is_raised_with_a_note_on_the_others() -> None:
    async def main() -> None:
        error = Oops("first")
        server = Server((3, KeyError("later")), (0.5, error), (9, ValueError("last")))
        call = hedge(server, delay=1, extra=2, on=Oops)
        for _ in range(2):
            with pytest.raises(Oops) as caught:
                await call()
            assert caught.value is error
            assert error.__notes__ == [
                "hedge of Server: all 3 calls failed; the others: "
                "KeyError('later'), ValueError('last')"
            ]
            server.started.clear()
        assert call.stats() == HedgeStats(calls=2, failures=2, extra=4, delay=1.0)

    run(main())


@pytest.mark.parametrize("kind", [Fatal, asyncio.CancelledError, GeneratorExit])
def test_what_is_no_exception_ends_it_all(kind: type[BaseException]) -> None:
    async def main() -> None:
        server = Server((2.5, kind), 10)
        call = hedge(server, delay=1, on=Exception, extra=5)
        with pytest.raises(kind):
            await call()
        assert server.cancelled == [1, 2]
        assert call.stats().cancelled == 1

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_stops_the_loop_stops_it(kind: type[BaseException]) -> None:
    server = Server((3, kind), 10)
    with pytest.raises(kind):
        run(hedge(server, delay=1)())
    assert server.running == 0


def test_what_the_predicate_raises_ends_it_all() -> None:
    async def main() -> None:
        def judge(error: Exception) -> bool:
            raise LookupError

        server = Server(10, (0.5, Oops))
        with pytest.raises(LookupError):
            await hedge(server, delay=1, extra=2, on=judge)()
        assert server.cancelled == [0]

    run(main())


def test_an_answer_at_the_same_moment_as_an_error_wins() -> None:
    async def main() -> None:
        server = Server((2, Oops), 1)
        assert await hedge(server, delay=1)() == 1

    run(main())


def test_a_loser_that_fails_on_its_way_out_is_not_heard_of() -> None:
    async def main() -> None:
        async def call() -> str:
            try:
                await asyncio.sleep(10 if now() == 1000 else 1)
            except asyncio.CancelledError:
                raise Oops from None
            return "won"

        assert await hedge(call, delay=1)() == "won"

    run(main())


def test_errors_leave_no_cycle_behind_and_answers_no_timer() -> None:
    class Item:
        pass

    async def fail(item: Item) -> Item:
        await asyncio.sleep(0)
        raise Oops

    async def main() -> None:
        with pytest.raises(Oops):
            await hedge(fail, delay=1, on=Oops)(Item())
        assert await hedge(Server(1), delay=5)() == 0
        await settle()
        assert [one for one in gc.get_objects() if type(one) is Item] == []
        loop: Any = asyncio.get_running_loop()
        assert [handle for handle in loop._scheduled if not handle.cancelled()] == []

    gc.collect()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


# Budget


def test_extra_calls_are_taken_out_of_the_budget() -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        budget = RetryBudget(ttl=1e6, min_per_second=0, ratio=0.5, timer=clock)
        server = Server(3)
        call = hedge(server, delay=1, budget=budget)
        for _ in range(10):
            await call()
        assert call.stats() == HedgeStats(calls=10, extra=5, out_of_budget=5, delay=1.0)
        assert len(server.started) == 15
        # No further calls of the same one are asked for.
        call = hedge(server, delay=1, extra=5, budget=RetryBudget(min_per_second=0, ratio=0))
        await call()
        assert call.stats().out_of_budget == 1

    run(main())


def test_calls_after_an_error_are_taken_out_of_the_budget_too() -> None:
    async def main() -> None:
        server = Server((0.5, Oops))
        call = hedge(server, delay=1, on=Oops, budget=RetryBudget(min_per_second=0, ratio=0))
        with pytest.raises(Oops):
            await call()
        assert len(server.started) == 1
        assert call.stats().out_of_budget == 1

    run(main())


# Deadlines


def test_the_ambient_deadline_ends_it_all() -> None:
    async def main() -> None:
        server = Server(10, goodbye=1)
        call = hedge(server, delay=1)
        start = now()
        with deadline(3), pytest.raises(DeadlineExceeded, match=r"^the deadline of 3 s is over$"):
            await call()
        assert now() - start == 3 + 1
        assert server.cancelled == [0, 1]
        assert call.stats() == HedgeStats(calls=1, failures=1, extra=1, delay=1.0)

    run(main())


def test_no_call_is_made_when_the_deadline_is_over() -> None:
    async def main() -> None:
        server = Server(10)
        with deadline(3):
            await asyncio.sleep(3)
            with pytest.raises(DeadlineExceeded):
                await hedge(server, delay=1)()
        assert server.started == []

    run(main())


def test_a_deadline_says_nothing_of_errors_before_it() -> None:
    async def main() -> None:
        errors = [Oops(), Oops()]
        server = Server((0.5, errors[0]), (0.5, errors[1]), 10)
        call = hedge(server, delay=1, extra=2, on=Oops)
        with deadline(3.5), pytest.raises(DeadlineExceeded) as caught:
            await call()
        assert [hasattr(error, "__notes__") for error in [caught.value, *errors]] == [False] * 3

    run(main())
