"""Local: what the first tier holds, and until when it is fresh."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import pytest
from tests.model_tiers import (
    Tier1,
)

from penstock.caching import _local
from penstock.caching._local import Note

if TYPE_CHECKING:
    pass


@pytest.fixture
def l1() -> Tier1:
    return Tier1()


def test_what_was_filled_is_served_by_the_front_at_once(l1: Tier1) -> None:
    entry = l1.fill()
    assert entry is not None
    assert entry is l1.cache.peek("key")
    assert l1.served()
    assert l1.state() == "fresh"
    assert isinstance(entry.note, Note)
    assert entry.note == (l1.record(), 0, 1060.0, 1060.0, "key")


def test_an_entry_is_fresh_until_its_record_is_too_old(l1: Tier1) -> None:
    record = l1.record(ttl=60.0)
    l1.wall.advance(20.0)  # it was loaded elsewhere, a while ago
    l1.fill(record=record)
    l1.advance(39.9)
    assert l1.served()
    l1.advance(0.1)
    assert l1.state() == "absent"


def test_a_clock_that_was_set_back_makes_nothing_live_longer(l1: Tier1) -> None:
    record = l1.record(ttl=60.0)
    l1.wall.advance(-3600.0)
    l1.fill(record=record, refresh_after=10.0)
    l1.timer.advance(9.9)
    assert l1.state() == "fresh"
    l1.timer.advance(0.1)
    assert l1.state() == "refresh"
    l1.timer.advance(50.0)
    assert l1.state() == "absent"


def test_what_is_of_no_use_any_more_is_not_stored(l1: Tier1) -> None:
    record = l1.record(ttl=60.0, stale_for=10.0)
    l1.wall.advance(70.0)
    assert l1.fill(record=record) is None
    assert l1.state() == "absent"


def test_the_next_tier_is_asked_again_after_the_ttl_of_this_one(l1: Tier1) -> None:
    l1.fill(l1_ttl=5.0)
    l1.advance(4.9)
    assert l1.served()
    l1.advance(0.1)
    assert l1.state() == "absent"


def test_past_its_time_an_entry_is_a_fallback_and_not_served(l1: Tier1) -> None:
    l1.fill(record=l1.record(ttl=60.0, stale_for=30.0))
    l1.advance(59.9)
    assert l1.served()
    l1.advance(0.1)
    assert not l1.served()
    assert l1.state() == "stale"
    l1.advance(29.9)
    assert l1.state() == "stale"
    l1.advance(0.1)
    assert l1.state() == "absent"


def test_a_fallback_is_one_for_no_longer_than_its_record_says(l1: Tier1) -> None:
    record = l1.record(ttl=60.0, stale_for=30.0)
    l1.wall.advance(85.0)
    entry = l1.fill(record=record)
    assert entry is not None
    assert not l1.served()
    assert l1.state() == "stale"
    l1.timer.advance(4.9)
    assert l1.state() == "stale"
    l1.timer.advance(0.2)
    assert l1.state() == "absent"
    assert l1.local.state(entry, l1.timer.now) == "invalid"


@pytest.mark.parametrize("ttl", [60.0, None])
def test_after_its_soft_point_it_is_looked_at_and_served(l1: Tier1, ttl: float | None) -> None:
    l1.fill(record=l1.record(ttl=ttl), refresh_after=10.0)
    assert l1.state() == "fresh"
    l1.advance(9.9)
    assert l1.served()
    l1.advance(0.2)
    assert not l1.served()
    assert l1.state() == "refresh"
    assert not l1.served()
    l1.advance(40.0)
    assert l1.state() == "refresh"


def test_the_soft_point_is_counted_from_when_the_record_was_born(l1: Tier1) -> None:
    record = l1.record()
    l1.wall.advance(11.0)
    l1.fill(record=record, refresh_after=10.0)
    assert not l1.served()
    assert l1.state() == "refresh"


def test_what_is_to_be_refreshed_at_once_is_never_served_by_the_front(l1: Tier1) -> None:
    for ttl in (0.1, 60.0, 1e8, None):
        l1.fill(record=l1.record(ttl=ttl), refresh_after=0.0)
        assert not l1.served()
        assert l1.state() == "refresh"


def test_without_a_ttl_it_is_served_for_ever(l1: Tier1) -> None:
    entry = l1.fill(record=l1.record(ttl=None))
    assert entry is not None
    assert (entry.grace, l1.cache.ttl_of("key")) == (0.0, None)
    l1.advance(1e8)
    assert l1.served()


@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999])
def test_the_early_refresh_is_drawn_once_for_each_entry(
    l1: Tier1, monkeypatch: pytest.MonkeyPatch, drawn: float
) -> None:
    monkeypatch.setattr(_local.random, "random", lambda: drawn)
    entry = l1.fill(early=2.0, l1_ttl=1000.0)
    assert entry is not None
    assert isinstance(entry.note, Note)
    refresh_at = entry.note.refresh_at
    assert exp((refresh_at - 1060.0) / 2.0) == pytest.approx(1.0 - drawn)


def test_the_early_refresh_does_not_come_before_the_end_of_the_first_tier(l1: Tier1) -> None:
    """It is about loading anew; there the next tier has a value that is fresh."""
    for _ in range(100):
        entry = l1.fill(early=0.1, l1_ttl=5.0)
        assert entry is not None
        assert isinstance(entry.note, Note)
        assert entry.note.refresh_at == 1005.0


def test_jitter_shortens_the_time_in_the_first_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    l1 = Tier1()
    monkeypatch.setattr(_local.random, "random", lambda: 0.5)
    l1.fill(l1_ttl=10.0, jitter=0.2)
    assert l1.cache.ttl_of("key") == pytest.approx(9.0)
    l1.fill(jitter=0.2)
    assert l1.cache.ttl_of("key") == 60.0


def test_a_throttled_fallback_is_served_for_a_while(l1: Tier1) -> None:
    record = l1.record(ttl=60.0, stale_for=100.0)
    l1.advance(70.0)
    l1.fill(record=record, throttle=30.0)
    l1.advance(29.9)
    assert l1.served()
    l1.advance(0.1)
    assert not l1.served()
    assert l1.state() == "stale"
    l1.fill(record=record, throttle=1000.0)
    l1.advance(59.9)
    assert l1.served()
    l1.advance(0.2)
    assert l1.state() == "absent"  # past the end of its record, however long the throttle


def test_a_throttle_makes_nothing_shorter(l1: Tier1) -> None:
    l1.fill(throttle=1.0)
    l1.advance(59.0)
    assert l1.served()


def test_what_somebody_knows_to_be_revoked_is_not_stored(l1: Tier1) -> None:
    assert l1.fill(revoked=True) is None
    assert l1.state() == "absent"
