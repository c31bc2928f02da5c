"""`CircuitBreaker` around ordinary calls: when it opens, for how long, and what counts as what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.clock import Clock

from penstock.errors import CircuitOpen
from penstock.flow._breaker import CircuitBreaker

#: Opens after two failures among up to four calls, for ten seconds.
SMALL: dict[str, Any] = {
    "window": 4, "min_calls": 2, "open_for": 10, "max_open_for": 40, "jitter": 0.0,
}  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    """A clock that starts anywhere."""
    return Clock(100.0)


def small(clock: Clock, **options: Any) -> CircuitBreaker:
    return CircuitBreaker(timer=clock, **(SMALL | options))


def succeed() -> str:
    return "done"


def fail(error: BaseException | None = None) -> None:
    raise error or OSError("down")


def call_badly(breaker: CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    """Let calls fail; what they raise comes through."""
    for _ in range(times):
        one = error or OSError("down")
        with pytest.raises(type(one)) as raised:
            breaker.call(fail, one)
        assert raised.value is one


def open_up(breaker: CircuitBreaker) -> None:
    call_badly(breaker, 2)
    assert breaker.state == "open"


class TestOpening:
    """From closed to open."""

    def test_it_is_closed_at_first(self, clock: Clock) -> None:
        breaker = small(clock)
        assert (breaker.state, breaker.retry_after) == ("closed", 0.0)
        assert breaker.call(succeed) == "done"

    def test_enough_failures_open_it(self, clock: Clock) -> None:
        breaker = small(clock)
        call_badly(breaker)
        assert breaker.state == "closed"
        call_badly(breaker)
        assert (breaker.state, breaker.retry_after) == ("open", 10.0)

    def test_a_few_failures_among_successes_do_not(self, clock: Clock) -> None:
        breaker = small(clock)
        for number in range(100):
            if number % 4 == 3:
                call_badly(breaker)
            else:
                breaker.call(succeed)
        assert breaker.state == "closed"

    def test_open_it_does_not_call(self, clock: Clock) -> None:
        breaker = small(clock, name="db")
        open_up(breaker)
        clock.advance(4)
        calls: list[int] = []
        with pytest.raises(CircuitOpen, match=r"^circuit breaker 'db' is open; retry in 6 s$") as e:
            breaker.call(calls.append, 1)
        assert (e.value.name, e.value.retry_after) == ("db", 6.0)
        assert calls == []

    def test_without_a_name_it_is_called_what_it_is(self, clock: Clock) -> None:
        breaker = small(clock)
        open_up(breaker)
        with pytest.raises(
            CircuitOpen, match=r"^circuit breaker is open; retry in 10 s$"
        ) as raised:
            breaker.call(succeed)
        assert raised.value.name is None

    def test_slow_calls_open_it_too(self, clock: Clock) -> None:
        breaker = small(clock, slow_after=timedelta(seconds=1), slow_rate=0.5)
        breaker.call(clock.advance, 1.0)
        breaker.call(clock.advance, 1.0)
        assert breaker.state == "closed"
        breaker.call(clock.advance, 1.1)
        assert breaker.state == "closed"
        breaker.call(clock.advance, 1.1)
        assert breaker.state == "open"
        assert breaker.stats().slow == 2

    def test_a_window_of_time_forgets_what_is_old(self, clock: Clock) -> None:
        breaker = CircuitBreaker(window_seconds=10, min_calls=2, jitter=0.0, timer=clock)
        call_badly(breaker)
        clock.advance(11)
        call_badly(breaker)
        assert breaker.state == "closed"
        clock.advance(5)
        call_badly(breaker)
        assert breaker.state == "open"

    def test_by_default_it_takes_ten_of_twenty(self, clock: Clock) -> None:
        breaker = CircuitBreaker(timer=clock)
        for _ in range(10):
            breaker.call(succeed)
        call_badly(breaker, 9)
        assert breaker.state == "closed"
        call_badly(breaker)
        assert breaker.state == "open"
        assert 4.5 <= breaker.retry_after <= 5.5

    def test_breakers_do_not_all_wait_for_the_same_time(self, clock: Clock) -> None:
        breakers = [CircuitBreaker(timer=clock) for _ in range(5)]
        for breaker in breakers:
            breaker.trip()
        assert len({breaker.retry_after for breaker in breakers}) > 1


class TestTrial:
    """Half open."""

    def test_when_its_time_is_over_some_calls_go_through(self, clock: Clock) -> None:
        breaker = small(clock, trial_calls=2)
        open_up(breaker)
        clock.advance(10)
        assert (breaker.state, breaker.retry_after) == ("half_open", 0.0)
        assert breaker.call(succeed) == "done"
        assert breaker.state == "half_open"
        assert breaker.call(succeed) == "done"
        assert breaker.state == "closed"
        assert breaker.stats().window_calls == 0

    def test_a_failure_opens_it_for_longer_and_longer(self, clock: Clock) -> None:
        breaker = small(clock)
        open_up(breaker)
        times = []
        for _ in range(4):
            clock.advance(breaker.retry_after)
            call_badly(breaker)
            times.append(breaker.retry_after)
        assert times == [20.0, 40.0, 40.0, 40.0]

    def test_closing_brings_the_first_time_back(self, clock: Clock) -> None:
        breaker = small(clock, trial_calls=1)
        open_up(breaker)
        clock.advance(10)
        call_badly(breaker)
        clock.advance(20)
        breaker.call(succeed)
        open_up(breaker)
        assert breaker.retry_after == 10.0

    def test_a_slow_call_on_trial_is_a_failure(self, clock: Clock) -> None:
        breaker = small(clock, slow_after=1)
        breaker.trip()
        clock.advance(10)
        breaker.call(clock.advance, 2)
        assert breaker.state == "open"

    def test_more_calls_than_allowed_are_refused(self, clock: Clock) -> None:
        breaker = small(clock, open_for=10, trial_calls=1, trial_timeout=30)
        breaker.trip()
        clock.advance(10)

        def ask_again() -> None:
            # When the trial call is given up, but not later than after another pause.
            for seconds, retry_after in ((5, 10.0), (17, 8.0)):
                clock.advance(seconds)
                with pytest.raises(CircuitOpen, match="half open, with all trial calls") as raised:
                    breaker.call(succeed)
                assert raised.value.retry_after == retry_after

        breaker.call(ask_again)
        assert breaker.state == "closed"

    def test_a_call_on_trial_that_counts_as_nothing_frees_its_place(self, clock: Clock) -> None:
        breaker = small(clock, trial_calls=1)
        breaker.trip()
        clock.advance(10)
        for _ in range(3):
            call_badly(breaker, error=KeyboardInterrupt())
            assert breaker.state == "half_open"
        breaker.call(succeed)
        assert breaker.state == "closed"


class TestWhatCounts:
    """Failures, successes, and what is neither."""

    def judged(self, breaker: CircuitBreaker, error: BaseException) -> str:
        before = breaker.stats()
        call_badly(breaker, error=error)
        after = breaker.stats()
        if after.calls == before.calls:
            return "nothing"
        return "failure" if after.failures > before.failures else "success"

    @pytest.mark.parametrize(
        ("error", "what"),
        [
            (OSError(), "failure"),
            (TimeoutError(), "failure"),
            (LookupError(), "failure"),
            (KeyboardInterrupt(), "nothing"),
            (SystemExit(), "nothing"),
            (GeneratorExit(), "nothing"),
        ],
    )
    def test_by_default_any_exception_is_a_failure(self, error: BaseException, what: str) -> None:
        assert self.judged(CircuitBreaker(), error) == what

    @pytest.mark.parametrize("on", [OSError, (ValueError, OSError)])
    def test_what_is_not_meant_is_an_answer(self, on: Any) -> None:
        breaker = CircuitBreaker(on=on)
        assert self.judged(breaker, ConnectionError()) == "failure"
        assert self.judged(breaker, LookupError()) == "success"
        assert self.judged(breaker, KeyboardInterrupt()) == "nothing"

    def test_a_predicate_may_decide(self) -> None:
        breaker = CircuitBreaker(on=lambda error: error.args == (500,))
        assert self.judged(breaker, OSError(500)) == "failure"
        assert self.judged(breaker, OSError(404)) == "success"

    def test_a_predicate_is_not_asked_about_what_is_no_exception(self) -> None:
        asked: list[object] = []
        breaker = CircuitBreaker(on=asked.append)
        assert self.judged(breaker, KeyboardInterrupt()) == "nothing"
        assert asked == []

    def test_a_predicate_that_fails_is_reported_and_taken_for_yes(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(error: Exception) -> bool:
            raise ZeroDivisionError

        assert self.judged(CircuitBreaker(on=broken), OSError()) == "failure"
        (record,) = caplog.records
        assert record.name == "penstock.flow"
        assert "broken failed; taken for a failure" in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[0] is ZeroDivisionError

    def test_answers_on_trial_close_it(self, clock: Clock) -> None:
        breaker = small(clock, on=OSError, trial_calls=1)
        breaker.trip()
        clock.advance(10)
        call_badly(breaker, error=LookupError())
        assert breaker.state == "closed"


class TestDecorator:
    """``@breaker`` on functions."""

    def test_the_function_is_what_it_was(self) -> None:
        breaker = CircuitBreaker()

        @breaker
        def add(a: int, *rest: int, b: int = 2, **more: int) -> tuple[int, ...]:
            """Sum up."""
            return (a, *rest, b, *more.values())

        assert add(1) == (1, 2)
        assert add(1, 5, b=3, c=4) == (1, 5, 3, 4)
        assert (add.__name__, add.__doc__) == ("add", "Sum up.")
        assert breaker.stats().calls == 2
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            add()  # type: ignore[call-arg]
        assert breaker.stats().failures == 1

    def test_methods_and_several_functions_may_share_one(self, clock: Clock) -> None:
        breaker = small(clock)

        class Client:
            @breaker
            def get(self) -> None:
                raise OSError

            @staticmethod
            @breaker
            def put() -> None:
                raise OSError

        for function in (Client().get, Client.put):
            with pytest.raises(OSError):
                function()
        with pytest.raises(CircuitOpen):
            Client().get()

    @pytest.mark.parametrize("thing", [5, None, int, staticmethod(succeed), (1 for _ in ())])
    def test_what_is_no_function_is_refused(self, thing: Any) -> None:
        with pytest.raises(TypeError, match="a circuit breaker"):
            CircuitBreaker()(thing)

    def test_generator_functions_are_refused(self) -> None:
        def generate() -> Any:
            yield

        with pytest.raises(TypeError, match="cannot wrap the generator function"):
            CircuitBreaker()(generate)

    def test_a_function_that_returns_a_coroutine_is_refused(self) -> None:
        async def get() -> None: ...

        breaker = CircuitBreaker()
        guarded = breaker(lambda: get())  # noqa: PLW0108  # it hides that it is a coroutine function
        with pytest.raises(TypeError, match="returned a coroutine: a circuit breaker needs"):
            guarded()
        assert breaker.stats().calls == 0


class TestBlock:
    """``with breaker:``."""

    def test_blocks_are_calls(self, clock: Clock) -> None:
        breaker = small(clock)
        for _ in range(3):
            with breaker:
                pass
        for _ in range(2):
            with pytest.raises(OSError), breaker:
                raise OSError
        with pytest.raises(CircuitOpen), breaker:
            raise AssertionError("not reached")
        assert breaker.stats().calls == 5

    def test_blocks_nest(self, clock: Clock) -> None:
        breaker = small(clock, trial_calls=2)
        breaker.trip()
        clock.advance(10)
        with breaker, breaker:
            assert breaker.state == "half_open"
        assert breaker.state == "closed"

    def test_an_outcome_that_counts_as_nothing(self, clock: Clock) -> None:
        breaker = small(clock)
        with pytest.raises(KeyboardInterrupt), breaker:
            raise KeyboardInterrupt
        assert breaker.stats().calls == 0


class TestByHand:
    """``trip`` and ``reset``."""

    def test_trip_opens_it(self, clock: Clock) -> None:
        breaker = small(clock)
        breaker.trip()
        assert (breaker.state, breaker.retry_after) == ("open", 10.0)
        breaker.trip(timedelta(hours=1))
        assert breaker.retry_after == 3600.0
        assert breaker.stats().opened == 1

    @pytest.mark.parametrize(("seconds", "error"), [(0, ValueError), ("1", TypeError)])
    def test_trip_checks_its_time(self, clock: Clock, seconds: Any, error: Any) -> None:
        breaker = small(clock)
        with pytest.raises(error, match="seconds must be"):
            breaker.trip(seconds)
        assert breaker.state == "closed"

    def test_reset_closes_it_and_forgets(self, clock: Clock) -> None:
        breaker = small(clock)
        open_up(breaker)
        breaker.reset()
        assert (breaker.state, breaker.retry_after) == ("closed", 0.0)
        call_badly(breaker)
        assert breaker.state == "closed"
