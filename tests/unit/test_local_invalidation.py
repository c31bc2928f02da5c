"""Local: what was invalidated is not served, and what was begun before that not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.model_tiers import (
    Tier1,
)

from penstock import Cache
from penstock.caching._local import Local

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def l1() -> Tier1:
    return Tier1()


CONCERNED: list[Any] = [
    pytest.param(lambda local: local.drop(["other", "key"]), id="drop"),
    pytest.param(lambda local: local.invalidate_tags(["other", "tag"]), id="tag"),
    pytest.param(lambda local: local.invalidate_patterns(["other*", "k*"]), id="prefix"),
    pytest.param(lambda local: local.invalidate_patterns(["?[ae]y"]), id="glob"),
    pytest.param(lambda local: local.clear(), id="clear"),
]
OTHERS: list[Any] = [
    pytest.param(lambda local: local.drop(["other"]), id="drop"),
    pytest.param(lambda local: local.invalidate_tags(["other"]), id="tag"),
    pytest.param(lambda local: local.invalidate_patterns(["other*"]), id="prefix"),
    pytest.param(lambda local: local.invalidate_patterns(["?[bc]y"]), id="glob"),
]
MORE: list[Any] = [pytest.param(lambda local: local.revoke(["key"]), id="revoke")]


@pytest.mark.parametrize("act", CONCERNED)
def test_what_was_invalidated_is_not_even_a_fallback(
    l1: Tier1, act: Callable[[Local], object]
) -> None:
    entry = l1.fill(record=l1.record(tags=("tag",), stale_for=1000.0))
    assert entry is not None
    act(l1.local)
    assert not l1.served()
    assert l1.state() in {"absent", "invalid"}
    l1.fill()
    assert l1.served()


@pytest.mark.parametrize("act", [*CONCERNED, *MORE])
def test_what_was_begun_before_an_invalidation_is_not_stored(
    l1: Tier1, act: Callable[[Local], object]
) -> None:
    token = l1.local.token()
    act(l1.local)
    record = l1.record(tags=("tag",), stale_for=1000.0)
    assert not l1.local.valid("key", ("tag",), token)
    assert not l1.local.permits("key", ("tag",), token)
    assert l1.fill(record=record, token=token) is None
    assert l1.state() == "absent"
    assert l1.local.valid("key", ("tag",), l1.local.token())
    l1.fill(record=record)
    assert l1.served()


@pytest.mark.parametrize("act", OTHERS)
def test_invalidations_leave_everything_else_alone(
    l1: Tier1, act: Callable[[Local], object]
) -> None:
    token = l1.local.token()
    l1.fill(record=l1.record("old", tags=("tag",)))
    act(l1.local)
    assert l1.state() == "fresh"
    assert l1.served()
    l1.fill(record=l1.record("new", tags=("tag",)), token=token)
    assert l1.state() == "fresh"
    assert l1.served()
    assert l1.local.valid("key", ("tag",), token)


def test_dropping_a_key_does_not_slow_down_the_others(l1: Tier1) -> None:
    """Each set drops a key: if all hits had to be looked at after it, few would be at once."""
    l1.fill("a")
    l1.fill("b")
    l1.local.drop(["a"])
    assert not l1.served("a")
    assert l1.served("b")


def test_what_is_there_stays_when_its_key_is_revoked(l1: Tier1) -> None:
    l1.fill()
    l1.local.revoke(["key"])
    assert l1.served()


def test_an_entry_is_looked_at_once_after_an_invalidation(l1: Tier1) -> None:
    l1.fill()
    l1.local.invalidate_tags(["x"])
    assert not l1.served()
    assert l1.state() == "fresh"
    assert l1.served()


def test_what_was_flushed_is_a_fallback_and_nothing_else(l1: Tier1) -> None:
    l1.fill("a", l1.record(stale_for=5.0))
    l1.fill("b", l1.record())
    l1.local.flush()
    assert not l1.served("a")
    assert not l1.served("b")
    assert (l1.state("a"), l1.state("b")) == ("stale", "invalid")
    assert not l1.served("a")
    l1.advance(65.0)
    assert (l1.state("a"), l1.state("b")) == ("absent", "absent")


def test_what_was_begun_before_a_flush_is_stored_as_a_fallback(l1: Tier1) -> None:
    token = l1.local.token()
    l1.local.flush()
    assert not l1.local.valid("key", (), token)
    assert l1.local.permits("key", (), token)
    assert l1.fill(token=token) is None
    for ttl in (60.0, None):
        l1.fill(record=l1.record(ttl=ttl, stale_for=5.0), token=token)
        assert not l1.served()
        assert l1.state() == "stale"


def test_what_was_begun_before_a_flush_does_not_replace_what_is_newer(l1: Tier1) -> None:
    token = l1.local.token()
    l1.local.flush()
    l1.fill(record=l1.record("new"))
    assert l1.fill(record=l1.record("old", stale_for=5.0), token=token) is None
    assert l1.served()


def test_what_was_flushed_can_be_invalidated_too(l1: Tier1) -> None:
    l1.fill(record=l1.record(stale_for=5.0, tags=("tag",)))
    l1.local.flush()
    l1.local.invalidate_tags(["tag"])
    assert l1.state() == "invalid"


def test_tags_that_were_forgotten_make_more_invalid_and_not_less() -> None:
    l1 = Tier1(max_tags=2)
    l1.fill("early", l1.record(tags=("x",)))
    l1.fill("plain")
    l1.local.invalidate_tags(["a"])
    l1.fill("late", l1.record(tags=("x",)))
    l1.local.invalidate_tags(["b"])
    assert l1.state("early") == "fresh"
    l1.local.invalidate_tags(["c"])
    assert (l1.state("early"), l1.state("plain")) == ("invalid", "fresh")
    assert l1.state("late") == "fresh"  # begun after what was forgotten


def test_keys_that_were_forgotten_keep_more_from_being_stored_and_not_less() -> None:
    l1 = Tier1(max_keys=2)
    early = l1.local.token()
    l1.local.drop(["a"])
    late = l1.local.token()
    l1.local.drop(["b", "c"])
    assert l1.fill("x", token=early) is None
    assert l1.fill("x", token=late) is not None
    assert l1.fill("a", token=early) is None
    assert l1.fill("c", token=late) is None


def test_an_invalidation_that_is_repeated_is_remembered_as_the_newest() -> None:
    l1 = Tier1(max_tags=2)
    l1.local.invalidate_tags(["a"])
    l1.local.invalidate_tags(["b"])
    l1.local.invalidate_tags(["a"])
    token = l1.local.token()
    l1.local.invalidate_tags(["c"])  # b is forgotten, not a
    assert l1.local.valid("key", ("a",), token)
    assert not l1.local.valid("key", ("c",), token)


def test_a_cache_that_refuses_an_entry_keeps_no_older_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    l1 = Tier1()
    weights = [1, 1000]
    l1.cache = Cache(100, weigher=lambda key, entry: weights.pop(0), timer=l1.timer)
    l1.local = Local(l1.cache, l1.front, timer=l1.timer, clock=l1.wall)
    assert l1.fill() is not None
    assert l1.fill() is None
    assert l1.state() == "absent"
    assert "weight 1000 exceeds maxsize 100" in caplog.text


def test_entries_come_in_the_order_of_their_use(l1: Tier1) -> None:
    for key in "abc":
        l1.fill(key)
    l1.front.get("a")
    assert [key for key, _ in l1.local.entries()] == ["b", "c", "a"]
