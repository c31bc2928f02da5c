"""Tier: a store that can be asked without a task, and all that holds for it as for others."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import settle
from tests.model_store import ModelStore, PromptStore
from tests.model_tiers import end_of_outage, outage, record, tier_of, values
from tests.steps import run, tasks_left

from penstock.stores import Reading


class Answers(list[Reading | None]):
    """What was answered."""

    def last(self) -> list[object]:
        return values(self[-1])


def test_an_answer_is_passed_on_when_it_comes() -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        await tier.set([("a", record(1))])
        answers = Answers()
        assert tier.ask(["a", "b"], answers.append)
        assert answers == []
        assert tasks_left() == 0
        store.answer()
        assert answers.last() == [1, None]
        assert answers[0] == await tier.read(["a", "b"])
        stats = tier.stats()
        assert (stats.reads, stats.hits, stats.misses, stats.errors) == (2, 2, 2, 0)

    run(main())


def test_other_stores_are_read() -> None:
    async def main() -> None:
        slow = PromptStore()
        slow.timeout = 0.26
        for store in (ModelStore(), slow):
            tier, _ = tier_of(store, timeout=0.25)
            assert not tier.ask(["a"], Answers().append)
            assert store.calls == []

    run(main())


@pytest.mark.parametrize("mode", ["busy", "broken"])
def test_a_store_that_cannot_be_asked_now_is_read(mode: str) -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        store.mode = mode
        answers = Answers()
        for _ in range(20):
            assert not tier.ask(["a"], answers.append) or tier.stats().state == "open"
        await settle()
        store.answer()
        opened = int(mode == "broken")
        assert tier.stats().opened == opened
        assert len(answers) == (15 if opened else 0)

    run(main())


def test_failures_open_the_circuit_breaker_and_answers_close_it() -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        answers = Answers()
        store.mode = "down"
        for _ in range(5):
            assert tier.ask(["a"], answers.append)
        store.answer()
        assert answers == [None] * 5
        stats = tier.stats()
        assert (stats.state, stats.errors) == ("open", 5)
        assert tier.ask(["a"], answers.append)
        assert store.asked == []
        assert len(answers) == 5
        await settle()
        assert answers == [None] * 6
        assert tier.stats().refused == 1
        store.mode = "ok"
        await asyncio.sleep(2.5)
        assert tier.ask(["a"], answers.append)
        assert tier.ask(["a"], answers.append)  # there is one trial at a time
        assert len(store.asked) == 1
        store.answer()
        await settle()
        assert answers[6:] == [Reading([None], 0), None]
        assert tier.stats().state == "closed"

    run(main())


def test_a_trial_that_cannot_be_asked_now_makes_room_for_another_one() -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        store.mode = "down"
        for _ in range(5):
            await tier.read(["a"])
        await asyncio.sleep(2.5)
        store.mode = "busy"
        assert not tier.ask(["a"], Answers().append)
        store.mode = "ok"
        assert await tier.read(["a"]) is not None

    run(main())


def test_what_was_missed_is_not_served() -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        await outage(store, "a", "b")
        await tier.delete(["a"])
        store.mode = "ok"
        answers = Answers()
        tier.ask(["a", "b"], answers.append)
        store.answer()
        assert answers.last() == [None, "old b"]
        tier.ask(["a", "b"], answers.append)
        await end_of_outage(tier, store)
        store.answer()  # from before the replay
        assert answers.last() == [None, None]
        tier.ask(["a", "b"], answers.append)
        store.answer()
        assert answers.last() == [None, "old b"]

    run(main())


def test_a_closed_tier_answers_with_nothing() -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        await tier.aclose()
        answers = Answers()
        assert tier.ask(["a"], answers.append)
        await settle()
        assert answers == [None]
        assert store.asked == []

    run(main())


def test_what_was_encoded_is_not_encoded_again() -> None:
    async def main() -> None:
        tier, store = tier_of(PromptStore())
        assert await tier.set([("a", record())], [b"bytes"]) == [True]
        assert await tier.set([("b", record())]) == [True]
        assert store.encoded == [b"bytes"]
        tier, store = tier_of()
        assert await tier.set([("a", record())], [b"bytes"]) == [True]

    run(main())
