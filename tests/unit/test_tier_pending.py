"""Tier: the changes that a store has missed, in bounded memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.model_tiers import (
    end_of_outage,
    outage,
    record,
    tier_of,
    values,
)
from tests.steps import run

from penstock.caching._tier_pending import Pending
from penstock.stores import Record

if TYPE_CHECKING:
    pass


def test_beyond_its_bounds_the_store_forgets_everything(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tier, store = tier_of(failures=10**6, min_calls=10**6, max_pending=10)
        await outage(store, "a", "z")
        for number in range(10):
            await tier.set([(f"k{number}", record())])
        assert not tier.pending("z")
        await asyncio.sleep(0.001)
        await tier.set([("last straw", record())])
        assert tier.pending("z")
        assert tier.stats().pending == 1
        await asyncio.sleep(0.001)
        await tier.set([("b", record("after"))])
        stats = tier.stats()
        assert (stats.pending, stats.overflows) == (2, 1)
        await end_of_outage(tier, store)
        assert values(await tier.read(["a", "z", "k0", "last straw", "b"])) == [
            None,
            None,
            None,
            None,
            "after",
        ]

    run(main())
    assert "more than 10 changes missed: all will be forgotten" in caplog.messages


def test_changes_come_from_the_oldest_to_the_newest() -> None:
    pending = Pending(10)
    for at, key in ((3.0, "c"), (1.0, "a"), (2.0, "b")):
        pending.note("delete", key, None, at)
    pending.note("tags", "a", None, 2.5)
    assert [change.at for change in pending.changes()] == [1.0, 2.0, 2.5, 3.0]
    assert (len(pending), pending.queued) == (4, 4)


def test_an_older_change_does_not_replace_a_newer_one() -> None:
    pending = Pending(10)
    pending.note("delete", "a", None, 2.0)
    pending.note("set", "a", Record(1, 0.0, None), 1.0)
    assert [change.kind for change in pending.changes()] == ["delete"]
    pending.note("set", "a", Record(1, 0.0, None), 2.0)  # the same moment, and later
    assert [change.kind for change in pending.changes()] == ["set"]


def test_only_what_was_replayed_is_forgotten() -> None:
    pending = Pending(10)
    pending.note("delete", "a", None, 1.0)
    pending.note("patterns", "x*", None, 1.0)
    pending.note("patterns", "y*", None, 1.0)
    replayed = pending.changes()
    pending.note("delete", "a", None, 2.0)
    assert pending.discard([replayed[0], replayed[1]]) == 1
    assert [pending.hides(key) for key in ("a", "x1", "y1", "z")] == [True, False, True, False]
    pending.settle("patterns", ["y*"], 0.5)
    assert pending.hides("y1")
    pending.settle("patterns", ["y*"], 1.0)
    assert not pending.hides("y1")
    pending.replace(replayed[0], replayed[0]._replace(kind="set"))
    assert [change.kind for change in pending.changes()] == ["delete"]


def test_everything_is_to_be_forgotten_up_to_the_newest_of_what_was_missed() -> None:
    pending = Pending(2)
    pending.note("delete", "a", None, 5.0)
    pending.note("delete", "b", None, 6.0)
    pending.note("delete", "c", None, 1.0)  # it took long to fail
    assert [(c.kind, c.names, c.at) for c in pending.changes()] == [("patterns", ("*",), 6.0)]
