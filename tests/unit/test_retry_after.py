"""`Retry-After`: what errors ask for, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.retrying import Flaky, Oops, Steady

from penstock.bench._virtual_loop import run
from penstock.errors import CircuitOpen
from penstock.flow._deadline import deadline
from penstock.flow._retry import retry
from penstock.flow._retry_after import retry_after_of
from penstock.flow._retry_stats import RetryStats


def error_with(**attributes: Any) -> Oops:
    error = Oops()
    vars(error).update(attributes)
    return error


def with_headers(headers: object) -> list[Oops]:
    """Errors that have them in each of the ways that clients know."""
    return [error_with(headers=headers), error_with(response=SimpleNamespace(headers=headers))]


class FalseResponse:
    """As those of requests are when the status is an error."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def __bool__(self) -> bool:
        return False


class TestWhatAnErrorAsksFor:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0.0),
            ("120", 120.0),
            (" 7 ", 7.0),
            ("1.5", 1.5),
            ("-1", -1.0),
            (b"5", 5.0),
            ("9" * 5000, math.inf),
        ],
    )
    def test_seconds(self, value: str, seconds: float) -> None:
        for error in with_headers({"Retry-After": value}):
            assert retry_after_of(error) == seconds

    @pytest.mark.parametrize(
        "value", ["", "soon", "nan", "1,5", "12 s", "Wed, 99 Oct 2015", "\xff"]
    )
    def test_what_cannot_be_understood_is_nothing(self, value: str) -> None:
        for error in with_headers({"Retry-After": value}):
            assert retry_after_of(error) is None

    def test_a_date_is_taken_from_the_date_of_the_response(self) -> None:
        headers = {
            "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT",
            "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
        }
        for error in with_headers(headers):
            assert retry_after_of(error) == 30.0

    @pytest.mark.parametrize("date", [{}, {"Date": "today"}])
    def test_a_date_without_another_is_taken_from_now(self, date: dict[str, str]) -> None:
        when = datetime.now(UTC) + timedelta(hours=1)
        headers = {"Retry-After": format_datetime(when, usegmt=True)}
        for error in with_headers(headers | date):
            assert retry_after_of(error) == pytest.approx(3600, abs=120)

    def test_a_date_in_the_past_is_now(self) -> None:
        for zone in ("GMT", "-0000", "+0200"):
            for error in with_headers({"Retry-After": f"Wed, 21 Oct 2015 07:28:00 {zone}"}):
                assert retry_after_of(error) == 0.0

    def test_headers_of_any_client_will_do(self) -> None:
        message = Message()
        message["retry-after"] = "5"
        for headers in (message, {"Retry-After": "5"}, {"retry-after": "5"}):
            for error in with_headers(headers):
                assert retry_after_of(error) == 5.0
        assert retry_after_of(HTTPError("http://x", 503, "busy", message, None)) == 5.0
        assert retry_after_of(error_with(response=FalseResponse({"Retry-After": "5"}))) == 5.0

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (3, 3.0),
            (2.5, 2.5),
            (timedelta(minutes=1), 60.0),
            ("4", 4.0),
            (-1, -1.0),
            (math.inf, math.inf),
            (None, None),
            (True, None),
            (math.nan, None),
            ([5], None),
            (len, None),
            (10**400, None),
        ],
    )
    def test_an_attribute_is_asked_first(self, value: object, seconds: float | None) -> None:
        assert retry_after_of(error_with(retry_after=value)) == seconds
        both = error_with(retry_after=value, headers={"Retry-After": "77"})
        assert retry_after_of(both) == (77.0 if seconds is None else seconds)

    def test_most_errors_ask_for_nothing(self) -> None:
        nothing = [{}, {"response": None}, {"headers": None}, {"response": {"headers": 5}}]
        for attributes in nothing:
            assert retry_after_of(error_with(**attributes)) is None
        assert retry_after_of(error_with(headers={}, response=FalseResponse({}))) is None

    def test_errors_in_asking_are_nothing(self) -> None:
        class Hostile(Oops):
            @property
            def retry_after(self) -> float:
                raise KeyError("retry_after")

            @property
            def headers(self) -> object:
                raise KeyError("headers")

            response = SimpleNamespace(headers={"Retry-After": "6"})

        assert retry_after_of(Hostile()) == 6.0

        class Worse(Hostile):
            @property
            def response(self) -> object:  # type: ignore[override]
                raise KeyError("response")

        assert retry_after_of(Worse()) is None

    @given(st.text())
    def test_no_text_is_an_error(self, value: str) -> None:
        seconds = retry_after_of(error_with(headers={"Retry-After": value, "Date": value}))
        assert seconds is None or not math.isnan(seconds)


class TestWhatIsMadeOfIt:
    """With a base of 1 s and no chance, so that the delays are 1, 2, 4, 5 s without."""

    def delays(self, *errors: Exception, **options: Any) -> list[float]:
        flaky = Flaky(*errors)
        call = retry(9, base=1, rng=Steady(), **options)(flaky.call_later)
        with suppress(Oops):
            run(call())
        self.stats: RetryStats = call.stats()
        return [two - one for one, two in zip(flaky.times, flaky.times[1:], strict=False)]

    def test_the_drawn_delay_comes_on_top(self) -> None:
        errors = [error_with(retry_after=seconds) for seconds in (3, 0, 3)]
        assert self.delays(*errors) == [4.0, 2.0, 7.0]

    def test_the_cap_is_not_for_it(self) -> None:
        assert self.delays(error_with(headers={"Retry-After": "60"})) == [61.0]

    def test_a_breaker_is_waited_for(self) -> None:
        assert self.delays(CircuitOpen("open", retry_after=12.5)) == [13.5]

    def test_it_may_be_ignored(self) -> None:
        for seconds in (60, -1, 10**6):
            assert self.delays(error_with(retry_after=seconds), retry_after=False) == [1.0]

    @pytest.mark.parametrize("seconds", [-1, -0.001, -math.inf])
    def test_less_than_nothing_means_no_retry(self, seconds: float) -> None:
        error = error_with(retry_after=seconds)
        assert self.delays(error) == []
        assert self.stats == RetryStats(calls=1, failures=1, pushed_back=1)
        assert error.__notes__[0].endswith("gave up after 1 attempt: the error asks not to retry")

    @pytest.mark.parametrize(
        ("option", "seconds", "delays"),
        [
            (True, 300, [301.0]),
            (True, 300.1, []),
            (True, math.inf, []),
            (20, 20, [21.0]),
            (20, 21, []),
            (timedelta(hours=2), 7200, [7201.0]),
        ],
    )
    def test_too_long_means_no_retry(
        self, option: Any, seconds: float, delays: list[float]
    ) -> None:
        error = error_with(retry_after=seconds)
        assert self.delays(error, retry_after=option) == delays
        if not delays:
            assert self.stats.pushed_back == 1
            assert error.__notes__[0].endswith(f": the error asks to wait for {seconds:g} s")

    def test_longer_than_the_deadline_means_no_retry(self) -> None:
        assert self.delays(error_with(retry_after=20), deadline=21) == []
        assert self.stats == RetryStats(calls=1, failures=1, out_of_time=1)
        assert self.delays(error_with(retry_after=20), deadline=22) == [21.0]

        async def main() -> int:
            with deadline(20):
                return await retry(Flaky(error_with(retry_after=30)).call_later)()

        with pytest.raises(Oops):
            run(main())

    def test_the_last_attempt_is_the_last(self) -> None:
        flaky = Flaky(*[error_with(retry_after=1) for _ in range(9)])
        with pytest.raises(Oops):
            run(retry(2)(flaky.call_later)())
        assert flaky.calls == 2
