"""Options and results of the demo."""

from __future__ import annotations

import pytest

from penstock.demo._model import (
    DemoOptions,
    Load,
    Round,
    RoundResult,
    ServiceStats,
    default_rounds,
    event_rounds,
    restart_rounds,
)


def _stats(hits: int = 0, misses: int = 0) -> ServiceStats:
    return {
        "backend": "pure",
        "server": "none",
        "reads": 1,
        "read_cpu_seconds": 0.001,
        "hits": hits,
        "misses": misses,
        "evictions": 0,
        "l2_hits": 0,
        "rows": 0,
        "commits": 0,
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("requests", 0, "requests must be >= 1, got 0"),
        ("requests", 1_000_001, "requests must be <= 1000000, got 1000001"),
        ("documents", -1, "documents must be >= 1, got -1"),
        ("documents", 200_001, "documents must be <= 200000, got 200001"),
        ("concurrency", 0, "concurrency must be >= 1, got 0"),
        ("concurrency", 257, "concurrency must be <= 256, got 257"),
        ("cache_size", 0, "cache_size must be >= 1, got 0"),
    ],
)
def test_option_out_of_bounds_is_refused(name: str, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        DemoOptions(**{name: value})  # type: ignore[arg-type]


def test_cache_holds_a_quarter_of_the_documents_by_default() -> None:
    as_is, cached = default_rounds(20_000, None)
    assert as_is.service_args == ()
    assert cached.service_args == ("--cache-size", "5000")


def test_cache_size_can_be_chosen() -> None:
    assert default_rounds(20_000, 12)[1].service_args == ("--cache-size", "12")


def test_rounds_with_events_differ_in_how_these_are_recorded() -> None:
    before, after = event_rounds(20_000, None)
    assert before.service_args == ("--cache-size", "5000", "--events", "commit")
    assert after.service_args == ("--cache-size", "5000", "--events", "recorder")
    assert before.cached
    assert after.cached


def test_rounds_of_restarted_services_differ_in_their_store() -> None:
    without, first, again = restart_rounds(20_000, 7, ("--store", "x"))
    assert without.service_args == ("--cache-size", "7", "--tiers")
    assert first.service_args == again.service_args == (*without.service_args, "--store", "x")
    assert len({without.name, first.name, again.name}) == 3


def test_what_is_no_redis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^redis must begin with redis://, rediss://, unix://$"):
        DemoOptions(redis="http://localhost")


def test_cache_of_the_smallest_database_holds_one_document() -> None:
    assert default_rounds(1, None)[1].service_args == ("--cache-size", "1")


def test_percentiles_are_nearest_rank() -> None:
    load = Load(seconds=2.0, latencies=[n / 1_000 for n in range(100, 0, -1)])
    result = RoundResult(Round("as is"), load, _stats())
    assert result.percentile_ms(50) == pytest.approx(50)
    assert result.percentile_ms(95) == pytest.approx(95)
    assert result.percentile_ms(99) == pytest.approx(99)
    assert result.percentile_ms(100) == pytest.approx(100)
    assert result.requests_per_second == 50


def test_round_without_answers_has_no_figures() -> None:
    result = RoundResult(Round("as is"), Load(), _stats())
    assert result.percentile_ms(99) == 0
    assert result.requests_per_second == 0


def test_hit_ratio_is_that_of_the_service() -> None:
    assert RoundResult(Round("x", cached=True), Load(), _stats(3, 1)).hit_ratio == 0.75


def test_round_without_a_cache_has_no_hit_ratio() -> None:
    assert RoundResult(Round("x"), Load(), _stats()).hit_ratio is None
