"""How a store tells what is newer, as tests: sets, fills, deletes, invalidations, replays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from fnmatch import fnmatchcase
from typing import Any

import pytest
from tests.store_model import HOUR, record

from penstock.stores import Change

__all__ = ["VersionContract"]


class VersionContract:
    """
    The tests of versions; a class of tests inherits them, and says how a store is made.
    """

    #: Whether it has get, set and delete for single keys.
    has_direct = True
    #: Whether it keeps bytes, which may be of any other origin.
    keeps_bytes = True
    #: Seconds by which it may be uncertain when something was missed.
    uncertain = 0.0
    #: How many programs the model is compared with.
    examples = 40

    def open(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        """
        Open a store; those of a test and of one ``namespace=`` have the same data.

        Args:
            options: ``namespace``, ``codec``, ``secret``, ``compress``, ``max_value``.
        """
        raise NotImplementedError

    async def plant(self, store: Any, key: str, data: bytes) -> None:
        """Put *data* where *store* has the value of *key*, past it."""
        raise NotImplementedError

    async def stored(self, store: Any, key: str) -> bytes:
        """Return what *store* has for *key*."""
        raise NotImplementedError

    def go(self, program: Callable[..., Awaitable[None]], stores: int = 1, **options: Any) -> None:
        """Run a program with stores of the same data."""

        async def main() -> None:
            async with AsyncExitStack() as stack:
                made = [
                    await stack.enter_async_context(self.open(**options)) for _ in range(stores)
                ]
                await program(*made)

        asyncio.run(main())

    # --- versions ---------------------------------------------------------------------------------

    def test_the_clock_grows_with_each_write(self) -> None:
        async def main(store: Any, other: Any) -> None:
            seen = [(await store.get_many([])).base]
            for write in (
                lambda: store.set_many([("k", record(1))]),
                lambda: other.set_many([("k", record(1))]),
                lambda: store.delete_many(["k"]),
                lambda: other.invalidate(tags=["t"]),
                lambda: store.invalidate(patterns=["x*"]),
            ):
                await write()
                ours, theirs = await store.get_many([]), await other.get_many(["k"])
                assert ours.base == theirs.base
                seen.append(ours.base)
            assert seen == sorted(set(seen))

        self.go(main, 2)

    def test_a_set_wins_over_whatever_is_there(self) -> None:
        async def main(store: Any, other: Any) -> None:
            for turn in range(20):
                await store.set_many([("k", record(turn))])
                assert (await other.get_many(["k"])).records[0].value == turn
                await other.set_many([("k", record(-turn))])
                assert (await store.get_many(["k"])).records[0].value == -turn

        self.go(main, 2)

    def test_a_fill_is_stored_where_nothing_was_written_since(self) -> None:
        async def main(store: Any) -> None:
            base = (await store.get_many(["k"])).base
            assert await store.set_many([("k", record(1))], base=base) == [True]
            found = (await store.get_many(["k"])).records[0]
            assert (found.value, found.version) == (1, base)
            # Another one of the same time, and one over what is older.
            assert await store.set_many([("k", record(2))], base=base) == [True]
            base = (await store.get_many(["k"])).base
            assert await store.set_many([("k", record(3))], base=base) == [True]
            assert (await store.get_many(["k"])).records[0].value == 3

        self.go(main)

    @pytest.mark.parametrize("write", ["set", "delete", "tags", "prefix", "clear"])
    def test_a_fill_does_not_undo_what_was_written_since(self, write: str) -> None:
        async def main(store: Any, other: Any) -> None:
            base = (await store.get_many(["k"])).base
            if write == "set":
                await other.set_many([("k", record("new"))])
            elif write == "delete":
                await other.delete_many(["k"])
            elif write == "tags":
                await other.invalidate(tags=["t"])
            else:
                await other.invalidate(patterns=["k*" if write == "prefix" else "*"])
            filled = [("k", record("old", tags=("t",))), ("l", record("too"))]
            stored = await store.set_many(filled, base=base)
            if write in ("set", "delete"):
                assert stored == [False, True]
            for each in (store, other):
                found = (await each.get_many(["k"])).records[0]
                assert (found and found.value) == ("new" if write == "set" else None)
            # Who asks from now on may store what he loads.
            base = (await store.get_many(["k"])).base
            assert await store.set_many([("k", record("now", tags=("t",)))], base=base) == [True]
            assert (await other.get_many(["k"])).records[0].value == "now"

        self.go(main, 2)

    def test_a_set_after_a_delete_is_there(self) -> None:
        async def main(store: Any) -> None:
            await store.delete_many(["k", "l"])
            await store.set_many([("k", record(1))])
            assert (await store.get_many(["k"])).records[0].value == 1
            await store.delete_many(["k"])
            assert (await store.get_many(["k"])).records == [None]

        self.go(main)

    def test_a_key_twice_in_a_call(self) -> None:
        async def main(store: Any) -> None:
            await store.set_many([("k", record(1)), ("k", record(2))])
            assert (await store.get_many(["k"])).records[0].value == 2
            await store.delete_many(["k", "k"])
            assert (await store.get_many(["k", "k"])).records == [None, None]

        self.go(main)

    # --- invalidation -----------------------------------------------------------------------------

    def test_a_tag_invalidates_what_has_it(self) -> None:
        async def main(store: Any, other: Any) -> None:
            items = [("a", record(1, tags=("x", "y"))), ("b", record(2, tags=("y",)))]
            await store.set_many([*items, ("c", record(3))])
            await other.invalidate(tags=["x", "nobody has it"])
            found = (await store.get_many(["a", "b", "c"])).records
            assert [each and each.value for each in found] == [None, 2, 3]
            await store.set_many(items[:1])
            assert (await other.get_many(["a"])).records[0].value == 1

        self.go(main, 2)

    @pytest.mark.parametrize(
        "pattern",
        ["*", "user:*", "user:?", "user:[12]", "user:[!1]", "*:1", "user:1", "u[*]*"],
    )
    def test_a_pattern_invalidates_what_it_matches(self, pattern: str) -> None:
        keys = ["user:1", "user:2", "user:10", "team:1", "user:\n", "u*x", "", "User:1"]

        async def main(store: Any, other: Any) -> None:
            await store.set_many([(key, record(key)) for key in keys])
            await store.get_many(keys)
            await other.invalidate(patterns=[pattern])
            expected = [None if fnmatchcase(key, pattern) else key for key in keys]
            for each in (store, other):
                found = (await each.get_many(keys)).records
                assert [one and one.value for one in found] == expected
            await store.set_many([(key, record(key)) for key in keys])
            assert None not in (await other.get_many(keys)).records

        self.go(main, 2)

    def test_any_number_of_patterns(self) -> None:
        async def main(store: Any) -> None:
            await store.set_many([("k7", record(1)), ("free", record(2))])
            await store.invalidate(patterns=[f"k{n}" for n in range(990)])
            found = (await store.get_many(["k7", "free"])).records
            assert [each and each.value for each in found] == [None, 2]
            # Beyond a thousand all are one: more may be forgotten, never less.
            await store.set_many([("k7", record(1))])
            await store.invalidate(patterns=[f"l{n}*" for n in range(990)])
            await store.set_many([("l7", record(3))])
            await store.invalidate(patterns=["l7*"])
            assert (await store.get_many(["l7"])).records == [None]
            await store.set_many([("l7", record(4))])
            assert (await store.get_many(["l7"])).records[0].value == 4

        self.go(main)

    # --- after an outage --------------------------------------------------------------------------

    def test_what_was_missed_is_made_up_for(self) -> None:
        async def main(store: Any) -> None:
            names = ["a", "b", "tagged", "prefix:1", "kept"]
            items = [
                (name, record("old", tags=("t",) if name == "tagged" else ())) for name in names
            ]
            await store.set_many(items)
            await asyncio.sleep(self.uncertain)
            now = time.monotonic()
            await store.replay([
                Change("set", ("a", "fresh"), record("new"), now),
                Change("delete", ("b", "absent"), None, now),
                Change("tags", ("t",), None, now),
                Change("patterns", ("prefix:*",), None, now),
            ])  # fmt: skip
            found = (await store.get_many([*names, "fresh"])).records
            expected = ["new", None, None, None, "old", "new"]
            assert [each and each.value for each in found] == expected

        self.go(main)

    def test_what_was_missed_is_older_than_what_is_there(self) -> None:
        async def main(store: Any) -> None:
            names = ["a", "b", "tagged", "prefix:1"]
            items = [
                (name, record("new", tags=("t",) if name == "tagged" else ())) for name in names
            ]
            await store.set_many(items)
            await store.delete_many(["gone"])
            then = time.monotonic() - HOUR
            await store.replay([
                Change("set", ("a", "gone"), record("old"), then),
                Change("delete", ("b",), None, then),
                Change("tags", ("t",), None, then),
                Change("patterns", ("prefix:*",), None, then),
            ])  # fmt: skip
            found = (await store.get_many([*names, "gone"])).records
            assert [each and each.value for each in found] == ["new"] * 4 + [None]

        self.go(main)

    def test_a_load_from_before_the_outage_does_not_undo_what_is_made_up_for(self) -> None:
        async def main(store: Any, other: Any) -> None:
            base = (await store.get_many(["a", "b"])).base
            await asyncio.sleep(self.uncertain)
            now = time.monotonic()
            await other.replay([
                Change("set", ("a",), record("new"), now), Change("delete", ("b",), None, now)
            ])  # fmt: skip
            old = [("a", record("old")), ("b", record("old"))]
            assert await store.set_many(old, base=base) == [False, False]
            found = (await store.get_many(["a", "b"])).records
            assert [each and each.value for each in found] == ["new", None]

        self.go(main, 2)

    def test_the_newest_change_wins_in_whatever_order(self) -> None:
        async def main(store: Any) -> None:
            await asyncio.sleep(self.uncertain)
            now = time.monotonic()
            changes = [Change("set", ("k",), record(n), now - 60 + n) for n in (3, 1, 2)]
            await store.replay(changes)
            assert (await store.get_many(["k"])).records[0].value == 3
            await store.replay([Change("delete", ("k",), None, now - 58.5)])
            assert (await store.get_many(["k"])).records[0].value == 3
            await store.replay([Change("delete", ("k",), None, now - 30)])
            assert (await store.get_many(["k"])).records == [None]

        self.go(main)
