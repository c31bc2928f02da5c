"""Errors that come out of retries: as they were, with a note, and with nothing else attached."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import traceback
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from tests.retrying import Flaky, Oops, Steady

from penstock.bench._virtual_loop import run
from penstock.flow._deadline import deadline
from penstock.flow._retry import retry
from penstock.flow._retry_stats import RetryInfo

#: Delays of nothing, for what is not about them.
AT_ONCE: Any = {"base": 0, "sleep": lambda _: None}


def outcome(call: Callable[[], object] | Callable[[], Coroutine[Any, Any, object]]) -> object:
    """What a function returns, or a coroutine function on a loop."""
    return run(call()) if inspect.iscoroutinefunction(call) else call()  # type: ignore[arg-type]


def raised_by(call: Callable[[], object]) -> BaseException:
    """What it raises."""
    with pytest.raises(BaseException) as caught:
        outcome(call)
    return caught.value


def notes_of(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def depth(error: BaseException) -> int:
    """How many lines its traceback has."""
    return len(traceback.extract_tb(error.__traceback__))


class TestNotes:
    def test_it_says_how_many_attempts_there_were(self) -> None:
        async def fail() -> None:
            await asyncio.sleep(2)
            raise Oops

        error = raised_by(retry(3, base=1, rng=Steady())(fail))
        [note] = notes_of(error)
        assert note.startswith("retry of TestNotes.test_it_says_how_many_attempts_there_were.")
        assert note.endswith(".fail: gave up after 3 attempts, 7 s after the first one failed")

    def test_one_attempt_is_one(self) -> None:
        error = raised_by(retry(1, name="it")(Flaky(Oops).call))
        assert notes_of(error) == ["retry of it: gave up after 1 attempt"]

    def test_it_says_that_there_was_no_time_left(self) -> None:
        async def main() -> None:
            with deadline(4):
                await retry(9, base=1, rng=Steady(), name="it")(Flaky(*[Oops] * 9).call_later)()

        assert notes_of(raised_by(main)) == [
            "retry of it: gave up after 3 attempts, 3 s after the first one failed: "
            "the next one would come after the deadline"
        ]

    def test_notes_of_others_stay(self) -> None:
        error = Oops()
        error.add_note("mine")
        assert raised_by(retry(1, name="it")(Flaky(error).call)) is error
        assert notes_of(error) == ["mine", "retry of it: gave up after 1 attempt"]

    def test_an_error_that_is_raised_for_ever_does_not_collect_them(self) -> None:
        error = Oops()
        error.add_note("mine")
        call = retry(2, name="it", **AT_ONCE)(Flaky(*[error] * 100).call)
        other = retry(1, name="other", **AT_ONCE)(call)
        for _ in range(20):
            assert raised_by(other) is error
        mine, one, two = notes_of(error)
        assert mine == "mine"
        assert one.startswith("retry of it: gave up after 2 attempts")
        assert two == "retry of other: gave up after 1 attempt"

    def test_an_error_that_is_not_retried_gets_none(self) -> None:
        assert notes_of(raised_by(retry(on=KeyError)(Flaky(Oops).call))) == []


class TestTracebacks:
    @pytest.mark.parametrize("attempts", [1, 2, 3, 30])
    @pytest.mark.parametrize("same", [False, True], ids=["another error", "the same error"])
    @pytest.mark.parametrize("is_async", [False, True])
    def test_they_do_not_grow(self, attempts: int, same: bool, is_async: bool) -> None:
        error = Oops()
        flaky = Flaky(*[error] * 99) if same else Flaky(*[Oops] * 99)
        function = flaky.call_later if is_async else flaky.call
        result = raised_by(retry(attempts, **AT_ONCE)(function))
        names = [frame.name for frame in traceback.extract_tb(result.__traceback__)]
        ours = names[names.index("call") :]
        assert ours == ["call", "call_later", "call"] if is_async else ["call", "call"]
        if same:
            assert result is error
        assert flaky.calls == attempts

    def test_the_error_of_one_attempt_is_not_that_of_the_next(self) -> None:
        errors = [Oops(1), Oops(2), Oops(3)]
        for function in (Flaky(*errors).call, Flaky(*errors).call_later):
            error = raised_by(retry(3, **AT_ONCE)(function))
            assert error is errors[2]
            assert all(one.__context__ is None and one.__cause__ is None for one in errors)

    def test_cause_and_context_stay(self) -> None:
        def fail() -> None:
            try:
                {}["below"]
            except KeyError as error:
                raise Oops from error

        error = raised_by(retry(3, **AT_ONCE)(fail))
        assert isinstance(error.__cause__, KeyError)

    def test_what_a_hook_keeps_has_its_own_traceback(self) -> None:
        infos: list[RetryInfo] = []
        raised_by(retry(3, on_retry=infos.append, **AT_ONCE)(Flaky(Oops(1), Oops(2), Oops(3)).call))
        assert [depth(info.error) for info in infos] == [2, 2]

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize("failures", [0, 2, 3, 9])
    def test_nothing_is_left_for_the_collector(self, is_async: bool, failures: int) -> None:
        class Held(Oops):
            pass

        alive: weakref.WeakSet[Held] = weakref.WeakSet()

        def fail() -> None:
            error = Held(len(alive))
            alive.add(error)
            try:
                if flaky.call() <= failures:
                    raise error
            finally:
                del error  # a frame that its own traceback leads to

        async def fail_later() -> None:
            await asyncio.sleep(0)
            fail()

        flaky = Flaky()
        call: Callable[[], object] = retry(3, **AT_ONCE)(fail_later if is_async else fail)
        gc.collect()
        gc.disable()
        try:
            if failures > 2:
                with pytest.raises(Held):
                    outcome(call)
            else:
                outcome(call)
            gc.collect(0) if is_async else None  # of asyncio's own
            left = [error.args for error in alive]
        finally:
            gc.enable()
        assert left == []

    @pytest.mark.parametrize("way", ["cut off", "overslept"])
    def test_nothing_is_left_by_a_deadline_either(self, way: str) -> None:
        class Thing:
            pass

        alive: weakref.WeakSet[Thing] = weakref.WeakSet()

        async def fail() -> None:
            thing = Thing()
            alive.add(thing)
            if way == "cut off":
                await asyncio.sleep(100)
            raise Oops

        async def oversleep(_: float) -> None:
            await asyncio.sleep(100)

        async def main() -> None:
            with pytest.raises(TimeoutError if way == "cut off" else Oops) as caught:
                await retry(base=1, sleep=oversleep, deadline=50)(fail)()
            assert len(alive) == 1  # in a frame of the traceback
            del caught

        gc.collect()
        gc.disable()
        try:
            run(main())
            assert not alive
        finally:
            gc.enable()

    def test_an_earlier_error_that_cannot_be_shown_is_not_noted(self) -> None:
        async def hang() -> None:
            if flaky.calls:
                await asyncio.sleep(100)
            flaky.call()

        flaky = Flaky(Odd())
        error = raised_by(retry(base=0, deadline=5, name="it")(hang))
        assert isinstance(error, TimeoutError)
        assert len(notes_of(error)) == 1


class Odd(Oops):
    """Equal to nothing, and false."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __hash__(self) -> int:
        raise AssertionError("hashed")

    def __bool__(self) -> bool:
        raise AssertionError("asked whether it is true")

    def __repr__(self) -> str:
        raise AssertionError("shown")

    def __str__(self) -> str:
        raise AssertionError("shown")

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"asked for {name}")


@dataclass(frozen=True)
class Frozen(Exception):
    """Cannot be changed."""

    code: int


class NoNotes(Oops):
    """Has no room for notes."""

    def add_note(self, note: str) -> None:
        raise KeyError("no notes")


class OddNotes(Oops):
    """Says that its notes are something else."""

    __notes__ = 5  # type: ignore[assignment]


@pytest.mark.parametrize(
    "error",
    [Odd(), Frozen(5), NoNotes(), OddNotes(), ExceptionGroup("some", [Oops()]), StopAsyncIteration],
    ids=lambda error: type(error).__name__,
)
def test_odd_errors_are_errors_like_others(error: Any) -> None:
    for attempts in (1, 2, 3):
        flaky = Flaky(*[error] * attempts)
        call = retry(attempts, **AT_ONCE)(flaky.call)
        with pytest.raises(Exception) as caught:
            call()
        assert isinstance(error, type) or caught.value is error
        assert flaky.calls == attempts
    flaky = Flaky(error, error)
    told: list[RetryInfo] = []
    assert retry(3, on_retry=told.append, **AT_ONCE)(flaky.call)() == 3
    assert all(info != told[0] for info in told[1:])


class TestLog:
    def test_it_tells_of_retries(self, caplog: pytest.LogCaptureFixture) -> None:
        call = retry(3, base=0.25, rng=Steady(), sleep=lambda _: None, name="it")
        with caplog.at_level(logging.INFO, "penstock.retry"):
            raised_by(call(Flaky(Oops("secret"), Oops, Oops).call))
        first, second = caplog.records
        assert first.levelno == logging.INFO
        assert first.getMessage() == "attempt 1 of it failed with Oops, the next one is in 0.25 s"
        assert second.getMessage() == "attempt 2 of it failed with Oops, the next one is in 0.5 s"
        found = {name: getattr(second, name) for name in ("retried", "attempt", "delay")}
        assert found == {"retried": "it", "attempt": 2, "delay": 0.5}

    def test_nobody_sees_it_by_default(self, capfd: pytest.CaptureFixture[str]) -> None:
        retry(3, **AT_ONCE)(Flaky(Oops).call)()
        assert capfd.readouterr() == ("", "")
