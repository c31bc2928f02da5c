"""`hedge`: when a second call is made, and which answer counts."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import Any

import pytest
from tests.hedging import Server
from tests.steps import now, run, tasks_left

from penstock import _components
from penstock.flow._deadline import deadline, remaining
from penstock.flow._hedge import HedgeStats, hedge

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
