"""`retry`: what is called again, how often, who is told, and what comes out in the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from tests.retrying import AT_ONCE, Flaky, Kind, Oops, Steady

from penstock.bench._virtual_loop import run
from penstock.flow._budget import RetryBudget
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryInfo, RetryStats


@pytest.fixture(params=["function", "coroutine function"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


def test_a_call_that_succeeds_is_made_once(kind: Kind) -> None:
    flaky = Flaky()
    call = retry(kind.of(flaky))
    assert kind.outcome(call) == 1
    assert flaky.calls == 1
    assert call.stats() == RetryStats(calls=1, successes=1)


def test_a_call_that_fails_is_made_again(kind: Kind) -> None:
    flaky = Flaky(Oops, Oops)
    call = retry(**AT_ONCE)(kind.of(flaky))
    assert kind.outcome(call) == 3
    assert flaky.calls == 3
    assert call.stats() == RetryStats(calls=1, successes=1, retries=2)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_there_are_as_many_attempts_as_allowed(kind: Kind, attempts: int) -> None:
    errors = [Oops(number) for number in range(9)]
    flaky = Flaky(*errors)
    call = retry(attempts, **AT_ONCE)(kind.of(flaky))
    with pytest.raises(Oops) as caught:
        kind.outcome(call)
    assert caught.value is errors[attempts - 1]
    assert flaky.calls == attempts
    assert call.stats() == RetryStats(calls=1, failures=1, exhausted=1, retries=attempts - 1)


def test_without_a_limit_there_are_as_many_as_it_takes(kind: Kind) -> None:
    flaky = Flaky(*[Oops] * 500)
    call = retry(None, **AT_ONCE)(kind.of(flaky))
    assert kind.outcome(call) == 501


def test_alone_it_makes_three_attempts(kind: Kind) -> None:
    flaky = Flaky(*[Oops] * 9)
    call = retry(kind.of(flaky), **AT_ONCE)
    with pytest.raises(Oops):
        kind.outcome(call)
    assert flaky.calls == 3


@pytest.mark.parametrize(
    "on", [Oops, (KeyError, Oops), Exception, BaseException, lambda error: error.args == ("x",)]
)
def test_what_it_is_for_is_retried(kind: Kind, on: Any) -> None:
    flaky = Flaky(Oops("x"))
    assert kind.outcome(retry(on=on, **AT_ONCE)(kind.of(flaky))) == 2


@pytest.mark.parametrize("on", [KeyError, (KeyError, OSError), (), lambda error: None])
def test_other_errors_pass_at_once(kind: Kind, on: Any) -> None:
    error = Oops("y")
    flaky = Flaky(error)
    call = retry(on=on, **AT_ONCE)(kind.of(flaky))
    with pytest.raises(Oops) as caught:
        kind.outcome(call)
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert call.stats() == RetryStats(calls=1, failures=1)


def test_another_error_ends_it_after_some_attempts(kind: Kind) -> None:
    flaky = Flaky(Oops, Oops, KeyError, Oops)
    call = retry(9, on=Oops, **AT_ONCE)(kind.of(flaky))
    with pytest.raises(KeyError):
        kind.outcome(call)
    assert call.stats() == RetryStats(calls=1, failures=1, retries=2)


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
@pytest.mark.parametrize("before", [0, 1])
def test_what_is_no_exception_is_never_retried(
    kind: Kind, error: type[BaseException], before: int
) -> None:
    for on in (BaseException, (Oops, error), lambda error: True):
        flaky = Flaky(*[Oops] * before, error("stop"))
        call = retry(on=on, **AT_ONCE)(kind.of(flaky))
        with pytest.raises(error, match="stop"):
            kind.outcome_by_hand(call)
        assert flaky.calls == before + 1
        assert call.stats() == RetryStats(calls=1, cancelled=1, retries=before)


def test_a_predicate_sees_exceptions_only(kind: Kind) -> None:
    seen: list[Exception] = []
    errors = [Oops(), KeyError(), asyncio.CancelledError()]
    call = retry(9, on=lambda error: not seen.append(error), **AT_ONCE)(kind.of(Flaky(*errors)))
    with pytest.raises(asyncio.CancelledError):
        kind.outcome_by_hand(call)
    assert seen == errors[:2]


def test_a_predicate_that_raises_ends_the_call(kind: Kind) -> None:
    def on(error: Exception) -> bool:
        raise KeyError("from the predicate")

    error = Oops()
    flaky = Flaky(error, error)
    call = retry(on=on, **AT_ONCE)(kind.of(flaky))
    with pytest.raises(KeyError, match="from the predicate") as caught:
        kind.outcome(call)
    assert caught.value.__context__ is error
    assert flaky.calls == 1
    assert call.stats() == RetryStats(calls=1, failures=1)


def test_arguments_are_the_same_in_each_attempt() -> None:
    seen = []

    @retry(**AT_ONCE)
    def call(*args: object, **kwargs: object) -> None:
        seen.append((args, kwargs))
        raise Oops

    with pytest.raises(Oops):
        call(1, "b", key=[3])
    assert seen == [((1, "b"), {"key": [3]})] * 3


def test_delays_are_slept_on_the_loop() -> None:
    flaky = Flaky(*[Oops] * 4)
    call = retry(5, base=0.5, cap=3, rng=Steady())(flaky.call_later)
    assert run(call()) == 5
    starts = [time - flaky.times[0] for time in flaky.times]
    assert starts == [0.0, 0.5, 1.5, 3.5, 6.5]
    assert call.stats().delay_seconds == 6.5


def test_delays_of_functions_are_slept_in_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    call = retry(5, base=0.5, cap=3, rng=Steady())(Flaky(*[Oops] * 4).call)
    assert call() == 5
    assert slept == [0.5, 1.0, 2.0, 3.0]
    assert call.stats().delay_seconds == 6.5


def test_a_sleep_of_ones_own_is_awaited_if_it_can_be() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        slept.append(seconds)

    flaky = Flaky(Oops, Oops)
    assert run(retry(base=1, sleep=sleep, rng=Steady())(flaky.call_later)()) == 3
    assert slept == [1.0, 2.0]
    assert flaky.times[2] - flaky.times[0] == 3.0


def test_a_coroutine_function_cannot_sleep_for_a_function() -> None:
    call = retry(sleep=asyncio.sleep)(Flaky(Oops).call)
    with pytest.raises(TypeError, match=r"^sleep must be a plain function where nothing awaits"):
        call()
    assert call.stats() == RetryStats(calls=1, failures=1)


class TestHooks:
    def test_a_hook_is_told_before_each_delay(self, kind: Kind) -> None:
        told: list[RetryInfo | float] = []
        errors = [Oops(1), Oops(2), Oops(3)]
        flaky = Flaky(*errors)
        call = retry(
            base=0.5, rng=Steady(), on_retry=told.append, sleep=told.append, name="the call"
        )(kind.of(flaky))
        with pytest.raises(Oops):
            kind.outcome(call)
        first, one, second, two = told
        assert (one, two) == (0.5, 1.0)
        assert isinstance(first, RetryInfo)
        assert isinstance(second, RetryInfo)
        assert (first.name, first.attempt, first.delay) == ("the call", 1, 0.5)
        assert (second.name, second.attempt, second.delay) == ("the call", 2, 1.0)
        assert first.error is errors[0]
        assert second.error is errors[1]
        assert first.elapsed >= 0.0
        with pytest.raises(AttributeError):
            first.delay = 0.0  # type: ignore[misc]

    def test_elapsed_is_the_time_since_the_first_failure(self) -> None:
        told: list[RetryInfo] = []

        async def fail() -> None:
            await asyncio.sleep(10)
            raise Oops

        with pytest.raises(Oops):
            run(retry(base=1, rng=Steady(), on_retry=told.append)(fail)())
        assert [info.elapsed for info in told] == [0.0, 11.0]

    def test_without_a_name_it_is_that_of_the_function(self, kind: Kind) -> None:
        told: list[RetryInfo] = []
        kind.outcome(retry(on_retry=told.append, **AT_ONCE)(kind.of(Flaky(Oops))))
        assert told[0].name == kind.of(Flaky()).__qualname__

    def test_there_may_be_several(self, kind: Kind) -> None:
        told: list[str] = []
        hooks = [lambda _, name=name: told.append(name) for name in "ab"]
        kind.outcome(retry(on_retry=hooks, **AT_ONCE)(kind.of(Flaky(Oops, Oops))))
        assert told == ["a", "b", "a", "b"]

    def test_a_mock_is_one_hook(self, kind: Kind) -> None:
        hook = MagicMock()
        kind.outcome(retry(on_retry=hook, **AT_ONCE)(kind.of(Flaky(Oops, Oops))))
        assert [call.args[0].attempt for call in hook.call_args_list] == [1, 2]

    @pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
    def test_the_end_of_something_else_is_not_that_of_the_attempts(
        self, kind: Kind, error: type[Exception]
    ) -> None:
        def stop(_: object) -> None:
            raise error

        for options in ({"sleep": stop}, {"sleep": lambda _: None, "on_retry": stop}):
            call = retry(base=0, **options)(kind.of(Flaky(Oops, Oops)))  # type: ignore[arg-type]
            with pytest.raises((RuntimeError, error)):
                kind.outcome(call)
            assert call.stats() == RetryStats(calls=1, failures=1)

    def test_nobody_is_told_of_the_last_failure(self, kind: Kind) -> None:
        told: list[RetryInfo] = []
        with pytest.raises(Oops):
            kind.outcome(retry(1, on_retry=told.append, **AT_ONCE)(kind.of(Flaky(Oops))))
        assert told == []

    def test_a_hook_that_raises_ends_the_call(self, kind: Kind) -> None:
        def hook(info: RetryInfo) -> None:
            raise KeyError("from the hook")

        error = Oops()
        flaky = Flaky(error)
        call = retry(on_retry=hook, **AT_ONCE)(kind.of(flaky))
        with pytest.raises(KeyError, match="from the hook") as caught:
            kind.outcome(call)
        assert caught.value.__context__ is error
        assert flaky.calls == 1
        assert call.stats() == RetryStats(calls=1, failures=1)

    def test_a_coroutine_function_is_awaited(self) -> None:
        told: list[int] = []

        async def hook(info: RetryInfo) -> None:
            await asyncio.sleep(1)
            told.append(info.attempt)

        flaky = Flaky(Oops, Oops)
        run(retry(on_retry=[hook, hook], base=0)(flaky.call_later)())
        assert told == [1, 1, 2, 2]
        assert flaky.times[2] - flaky.times[0] == 4.0

    def test_a_coroutine_function_is_refused_where_nothing_awaits_it(self) -> None:
        async def hook(info: RetryInfo) -> None:
            pass

        with pytest.raises(TypeError, match=r"^on_retry must be a plain function: nothing in "):
            retry(on_retry=hook)(Flaky().call)
        # One that does not look like it shows when it is called.
        hidden: Any = lambda info: hook(info)  # noqa: E731, PLW0108
        call = retry(on_retry=hidden, **AT_ONCE)(Flaky(Oops).call)
        with pytest.raises(TypeError, match=r"^on_retry must be a plain function where nothing"):
            call()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attempts": 0}, ValueError, "attempts must be >= 1, got 0"),
        ({"attempts": -3}, ValueError, "attempts must be >= 1, got -3"),
        ({"attempts": "3"}, TypeError, "attempts must be an int or None, got str"),
        ({"attempts": True}, TypeError, "attempts must be an int or None, got bool"),
        ({"attempts": 2.0}, TypeError, "attempts must be an int or None, got float"),
        ({"on": 5}, TypeError, "on must be types of exceptions or a predicate, got int"),
        ({"on": int}, TypeError, "on must be types of exceptions or a predicate, got int"),
        ({"on": [Oops]}, TypeError, "on must be types of exceptions or a predicate, got list"),
        ({"on": (Oops, str)}, TypeError, "on must be types of exceptions or a predicate, got str"),
        ({"on": (Oops, len)}, TypeError, "on must be types .*, got builtin_function_or_method"),
        ({"on": asyncio.sleep}, TypeError, "on must be a plain function, got a coroutine function"),
        ({"base": -1}, ValueError, "base must be >= 0, got -1"),
        ({"base": "1"}, TypeError, "base must be a number of seconds or a timedelta, got str"),
        ({"base": False}, TypeError, "base must be a number of seconds or a timedelta, got bool"),
        ({"cap": 0}, ValueError, "cap must be > 0, got 0"),
        ({"cap": float("inf")}, ValueError, "cap must be finite, got inf"),
        ({"timeout": 0}, ValueError, "timeout must be > 0, got 0"),
        ({"deadline": -2}, ValueError, "deadline must be > 0, got -2"),
        ({"budget": 5}, TypeError, "budget must be a RetryBudget, got int"),
        ({"budget": RetryBudget}, TypeError, "budget must be a RetryBudget, got type"),
        ({"retry_after": -1}, ValueError, "retry_after must be > 0, got -1"),
        ({"retry_after": "1"}, TypeError, "retry_after must be a number of seconds .*, got str"),
        ({"on_retry": 5}, TypeError, "on_retry must be callable, got int"),
        ({"on_retry": [len, None]}, TypeError, "on_retry must be callable, got NoneType"),
        ({"name": 5}, TypeError, "name must be a str or None, got int"),
        ({"sleep": 5}, TypeError, "sleep must be callable, got int"),
        ({"rng": len}, TypeError, "rng must have a method random, got builtin_function_or_method"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        retry(**options)


def test_timedeltas_will_do() -> None:
    second = timedelta(seconds=1)
    flaky = Flaky(Oops)
    again = retry(
        base=second, cap=second, timeout=second, deadline=5 * second, retry_after=second,
        rng=Steady(),
    )  # fmt: skip
    assert run(again(flaky.call_later)()) == 2
    assert flaky.times[1] - flaky.times[0] == 1.0
