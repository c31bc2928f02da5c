"""`hedge`: when a second call is made, and which answer counts."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from tests.loading import settle
from tests.steps import now, run, tasks_left

from penstock import _components
from penstock.errors import DeadlineExceeded
from penstock.flow._budget import RetryBudget
from penstock.flow._deadline import deadline, remaining
from penstock.flow._hedge import HedgeStats, hedge


class Oops(Exception):
    """What a call fails with."""


class Fatal(BaseException):
    """What is no Exception."""


class Server:
    """
    Answers call number n after so many seconds: with n, or with an error.

    Args:
        *answers: Seconds, or seconds and an error; the last one is repeated.
        goodbye: How long a call takes to go when it is cancelled.
    """

    def __init__(
        self,
        *answers: float | tuple[float, BaseException | type[BaseException]],
        goodbye: float = 0,
    ) -> None:
        self.answers = answers
        self.goodbye = goodbye
        self.started: list[float] = []
        self.cancelled: list[int] = []
        self.running = 0

    async def __call__(self) -> int:
        self.started.append(now())
        number = len(self.started) - 1
        answer = self.answers[min(number, len(self.answers) - 1)]
        seconds, error = answer if isinstance(answer, tuple) else (answer, None)
        self.running += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            await asyncio.sleep(self.goodbye)
            raise
        finally:
            self.running -= 1
        if error is not None:
            raise error
        return number

    @property
    def delays(self) -> list[float]:
        """When calls were made, after the first one."""
        return [at - self.started[0] for at in self.started]


# What is called, and when


def test_a_call_that_answers_in_time_is_made_once() -> None:
    async def main() -> None:
        server = Server(0.9)
        call = hedge(server, delay=1)
        assert await call() == 0
        assert server.delays == [0]
        assert call.stats() == HedgeStats(calls=1, delay=1.0)

    run(main())


def test_a_slow_call_is_made_again_and_the_first_answer_wins() -> None:
    async def main() -> None:
        server = Server(10, 1)
        call = hedge(server, delay=timedelta(seconds=2))
        start = now()
        assert await call() == 1
        assert now() - start == 3
        assert server.delays == [0, 2]
        assert server.cancelled == [0]
        assert call.stats() == HedgeStats(calls=1, extra=1, won=1, delay=2.0)

    run(main())


def test_the_first_call_may_still_win() -> None:
    async def main() -> None:
        server = Server(3, 5)
        call = hedge(server, delay=2)
        start = now()
        assert await call() == 0
        assert now() - start == 3
        assert server.cancelled == [1]
        assert call.stats() == HedgeStats(calls=1, extra=1, won=0, delay=2.0)

    run(main())


def test_the_answer_is_given_when_the_losers_have_ended() -> None:
    async def main() -> None:
        server = Server(10, 1, goodbye=4)
        start = now()
        assert await hedge(server, delay=2)() == 1
        assert now() - start == 7
        assert server.running == tasks_left() == 0

    run(main())


def test_no_more_calls_are_made_than_allowed() -> None:
    async def main() -> None:
        server = Server(10)
        assert await hedge(server, delay=1)() == 0
        assert server.delays == [0, 1]
        server = Server(10)
        call = hedge(server, delay=1, extra=3)
        assert await call() == 0
        assert server.delays == [0, 1, 2, 3]
        assert server.cancelled == [1, 2, 3]
        assert call.stats().extra == 3

    run(main())


def test_calls_share_nothing() -> None:
    async def main() -> None:
        server = Server(10, 1, 10, 1)
        call = hedge(server, delay=1)
        assert await call() == 1
        assert await call() == 3
        assert sorted(await asyncio.gather(call(), call())) == [4, 5]

    run(main())


def test_arguments_and_context_are_those_of_the_caller() -> None:
    async def main() -> None:
        seen: list[object] = []

        @hedge(delay=1)
        async def call(*args: int, key: str) -> float | None:
            seen.append((args, key))
            await asyncio.sleep(3 if len(seen) == 1 else 1)
            return remaining()

        with deadline(10):
            assert await call(1, 2, key="k") == 8.0
        assert seen == [((1, 2), "k")] * 2

    run(main())


def test_methods_can_be_hedged() -> None:
    class Client:
        @hedge(delay=1)
        async def get(self, key: str) -> str:
            """Get it."""
            await asyncio.sleep(0)
            return f"{self.name} {key}"

        name = "client"

    async def main() -> None:
        client = Client()
        assert await client.get("k") == "client k"
        assert await Client.get(client, "k") == "client k"
        assert Client.get.stats().calls == 2

    run(main())
    assert Client.get.__name__ == "get"
    assert Client.get.__doc__ == "Get it."
    assert inspect.iscoroutinefunction(Client.get)
    assert inspect.iscoroutinefunction(Client.get.__wrapped__)


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


# The delay that is observed


async def observe(call: Callable[[], Any], server: Server, *seconds: float) -> None:
    for one in seconds:
        server.answers = (one,)
        await call()


def test_without_a_delay_no_second_call_is_made_until_there_were_twenty() -> None:
    async def main() -> None:
        server = Server(1)
        call = hedge(server)
        await observe(call, server, *range(1, 20))
        assert call.stats() == HedgeStats(calls=19)
        await observe(call, server, 1000)
        assert call.stats() == HedgeStats(calls=20, delay=19.0)
        await observe(call, server, 18.5)
        assert call.stats().extra == 0
        await observe(call, server, 19.5)
        assert call.stats().extra == 1

    run(main())


def test_the_delay_is_the_95th_percentile_of_the_last_hundred_calls() -> None:
    async def main() -> None:
        server = Server(1)
        call = hedge(server)
        await observe(call, server, *[5.0] * 200)
        assert call.stats().delay == 5.0
        await observe(call, server, *[1.0] * 94)
        assert call.stats().delay == 5.0
        await observe(call, server, *[1.0] * 6)
        assert call.stats().delay == 1.0

    run(main())


def test_the_delay_is_never_below_a_millisecond() -> None:
    async def main() -> None:
        server = Server(0)
        call = hedge(server)
        await observe(call, server, *[0.0] * 30)
        assert call.stats().delay == 0.001

    run(main())


def test_one_in_twenty_is_made_again_for_good() -> None:
    """Not more and more of them, as would be if calls that lost were left out."""

    async def main() -> None:
        rng = Random(4)

        @hedge
        async def call() -> None:
            await asyncio.sleep(rng.expovariate(1))

        for _ in range(4000):
            await call()
        assert 0.03 < call.stats().extra / 4000 < 0.08
        assert call.stats().won > 0

    run(main())


def test_failed_and_cancelled_calls_do_not_count_for_the_delay() -> None:
    async def main() -> None:
        server = Server((0.1, Oops))
        call = hedge(server)
        again = hedge(server, on=Oops)
        for _ in range(50):
            with pytest.raises(Oops):
                await call()
            server.answers = (0.1, Oops), 1.0
            server.started.clear()
            assert await again() == 1
            server.answers = ((0.1, Oops),)
            with deadline(0.05), pytest.raises(DeadlineExceeded):
                await call()
        assert call.stats().delay is again.stats().delay is None

    run(main())


def test_functions_decorated_by_one_decorator_have_delays_of_their_own() -> None:
    async def main() -> None:
        decorate = hedge()
        server = Server(1)
        first, second = decorate(server), decorate(server)
        await observe(first, server, *[1.0] * 20)
        assert first.stats().delay == 1.0
        assert second.stats().delay is None

    run(main())


# What is refused


def plain() -> int:
    return 1


async def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "kind", "message"),
    [
        (plain, {}, TypeError, "hedge needs a coroutine function, got plain"),
        (5, {}, TypeError, "hedge needs a function, got int"),
        (generator, {}, TypeError, "hedge cannot wrap the generator function generator"),
        (Server, {}, TypeError, "hedge needs a function, got the class Server"),
        (None, {"delay": 0}, ValueError, "delay must be .*"),
        (None, {"delay": "1"}, TypeError, "delay must be .*"),
        (None, {"extra": 0}, ValueError, "extra must be >= 1, got 0"),
        (None, {"extra": 1.0}, TypeError, "extra must be an int, got float"),
        (None, {"budget": 5}, TypeError, "budget must be a RetryBudget, got int"),
        (None, {"on": 5}, TypeError, "on must be types of exceptions or a predicate, got int"),
        (None, {"name": 5}, TypeError, "name must be a str or None, got int"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    function: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=f"^{message}$"):
        hedge(function, **options)


def test_a_hedged_function_with_a_name_is_tracked() -> None:
    call = hedge(Server(1), delay=1, name="answers")
    names = [entry.name for entry in _components.entries()]
    assert "answers" in names
    del call
    assert "answers" not in [entry.name for entry in _components.entries()]
