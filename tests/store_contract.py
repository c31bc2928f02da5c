"""What every store of a cache has to do, as tests that a module runs on its own store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from fnmatch import fnmatchcase
from itertools import count
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store_model import HOUR, OPERATIONS, Model, record

from penstock.stores import Change

__all__ = ["HOSTILE", "StoreContract"]

#: Any text is a key.
HOSTILE = [
    "", " ", "\0", "a\0b", "a\0", "a\nb", "\r\n", "k" * 10_000, "ключ", "😀", "e\u0301", "*", "[a]",
    "%s %(x)s", "{0}", "'; DROP TABLE x --", '"', "\\", "a:b", "\x7f", "\u2028", "..", "/",
]  # fmt: skip

_spaces = count()

Program = Callable[[Any], Awaitable[None]]


class StoreContract:
    """
    The tests; a class of tests inherits them, and says how a store is made.
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

    # --- values -----------------------------------------------------------------------------------

    def test_what_is_set_is_read(self) -> None:
        async def main(store: Any) -> None:
            ours = record({"n": 1}, ttl=60.0, stale_for=5.0, tags=("a", "b"))
            assert await store.set_many([("k", ours)]) == [True]
            reading = await store.get_many(["k", "other", "k"])
            first, second, third = reading.records
            assert first is not None
            assert first == third
            assert second is None
            assert first._replace(version=0) == ours
            assert 0 < first.version <= reading.base

        self.go(main)

    def test_what_was_encoded_already_is_stored(self) -> None:
        async def main(store: Any) -> None:
            if not getattr(store, "takes_encoded", False):
                return
            items = [("a", record(1, tags=("t",))), ("b", record(2))]
            encoded = [store.encode(*item) for item in items]
            base = (await store.get_many([])).base
            assert await store.set_many(items, base=base, encoded=encoded) == [True, True]
            await store.delete_many(["a"])
            assert await store.set_many(items, base=base, encoded=encoded) == [False, True]
            assert await store.set_many(items, encoded=encoded) == [True, True]
            found = (await store.get_many(["a", "b"])).records
            assert [each and each.value for each in found] == [1, 2]
            assert found[0].tags == ("t",)

        self.go(main, secret=b"sixteen bytes or more")

    def test_nothing_is_asked_for(self) -> None:
        async def main(store: Any) -> None:
            reading = await store.get_many([])
            assert reading.records == []
            assert (await store.get_many([])).base >= reading.base
            assert await store.set_many([]) == []
            await store.delete_many([])
            await store.invalidate()
            await store.replay([])
            await store.ping()

        self.go(main)

    @pytest.mark.parametrize(
        "value", [None, "", "text\0\n😀", b"", b"\xff\0", 0, -1.5, True, [], {}, [1, {"a": None}]]
    )
    def test_a_value_comes_back(self, value: object) -> None:
        async def main(store: Any) -> None:
            await store.set_many([("k", record(value))])
            found = (await store.get_many(["k"])).records[0]
            assert found is not None
            assert found.value == value
            assert type(found.value) is type(value)

        self.go(main)

    def test_what_cannot_be_encoded_is_refused_before_anything_is_written(self) -> None:
        async def main(store: Any) -> None:
            with pytest.raises(TypeError, match="set"):
                await store.set_many([("good", record(1)), ("bad", record({1, 2}))])
            with pytest.raises(ValueError, match="too large"):
                await store.set_many([("good", record(1)), ("bad", record("x" * 5000))])
            with pytest.raises(TypeError):
                store.encode("bad", record(object()))
            assert (await store.get_many(["good", "bad"])).records == [None, None]

        if self.keeps_bytes:
            self.go(main, max_value=4096)

    def test_hostile_keys(self) -> None:
        async def main(store: Any) -> None:
            items = [(key, record(number)) for number, key in enumerate(HOSTILE)]
            assert all(await store.set_many(items))
            found = (await store.get_many(HOSTILE)).records
            assert [each and each.value for each in found] == list(range(len(HOSTILE)))
            await store.delete_many(HOSTILE[::2])
            found = (await store.get_many(HOSTILE)).records
            assert [each is None for each in found] == [n % 2 == 0 for n in range(len(HOSTILE))]

        self.go(main)

    def test_hostile_tags(self) -> None:
        async def main(store: Any) -> None:
            await store.set_many(
                [(f"k{n}", record(n, tags=(tag,))) for n, tag in enumerate(HOSTILE)]
            )
            keys = [f"k{n}" for n in range(len(HOSTILE))]
            assert None not in (await store.get_many(keys)).records
            await store.invalidate(tags=HOSTILE[::2])
            found = (await store.get_many(keys)).records
            assert [each is None for each in found] == [n % 2 == 0 for n in range(len(keys))]

        self.go(main)

    def test_surrogates_are_refused(self) -> None:
        async def main(store: Any) -> None:
            bad = "\ud800"
            with pytest.raises(ValueError):
                await store.get_many(["k", bad])
            with pytest.raises(ValueError):
                await store.set_many([(bad, record(1))])
            with pytest.raises(ValueError):
                await store.set_many([("k", record(1, tags=(bad,)))])
            with pytest.raises(ValueError):
                await store.set_many([("k", record(bad))])
            with pytest.raises(ValueError):
                await store.delete_many([bad])
            with pytest.raises(ValueError):
                await store.invalidate(tags=[bad])
            with pytest.raises(ValueError):
                await store.invalidate(patterns=[bad])
            assert (await store.get_many(["k"])).records == [None]

        if self.keeps_bytes:
            self.go(main)

    def test_many_at_once(self) -> None:
        async def main(store: Any) -> None:
            keys = [f"key {n}" for n in range(1201)]
            items = [(key, record(key, tags=(f"t{n}",))) for n, key in enumerate(keys)]
            assert await store.set_many(items) == [True] * 1201
            found = (await store.get_many(keys)).records
            assert [each and each.value for each in found] == keys
            await store.invalidate(tags=[f"t{n}" for n in range(700)])
            await store.delete_many(keys[1000:])
            found = (await store.get_many(keys)).records
            assert [each is not None for each in found] == [700 <= n < 1000 for n in range(1201)]

        self.go(main)

    def test_namespaces_have_nothing_in_common(self) -> None:
        async def main(store: Any) -> None:
            async with self.open(namespace="other") as other:
                await store.set_many([("k", record(1, tags=("t",)))])
                assert (await other.get_many(["k"])).records == [None]
                await other.set_many([("k", record(2))])
                await other.invalidate(tags=["t"])
                await other.invalidate(patterns=["*"])
                await other.delete_many(["k"])
                assert (await store.get_many(["k"])).records[0].value == 1

        self.go(main)

    # --- lives ------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("age", "ttl", "stale_for", "is_there"),
        [
            (5, 10, 0, True),
            (11, 10, 0, False),
            (11, 10, 30, True),
            (41, 10, 30, False),
            (HOUR, None, 0, True),
            (-5, 10, 0, True),  # the clock of another host is ahead
            (-HOUR, 10, 0, False),  # the clock was set back
            (-HOUR, None, 0, False),
        ],
    )
    def test_a_record_is_there_as_long_as_it_may_be_of_use(
        self, age: float, ttl: float | None, stale_for: float, is_there: bool
    ) -> None:
        async def main(store: Any) -> None:
            ours = record(1, age=age, ttl=ttl, stale_for=stale_for)
            await store.set_many([("k", ours)])
            found = (await store.get_many(["k"])).records[0]
            assert (found is not None) is is_there
            if found is not None:
                assert found._replace(version=0) == ours

        self.go(main)

    @pytest.mark.parametrize("what", [{"ttl": -1.0}, {"ttl": inf}, {"stale_for": -1.0}])
    def test_a_life_that_is_none_is_refused(self, what: dict[str, float]) -> None:
        async def main(store: Any) -> None:
            with pytest.raises(ValueError):
                await store.set_many([("k", record(1, **what))])

        if self.keeps_bytes:
            self.go(main)

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

    # --- what others have stored ------------------------------------------------------------------

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda data: b"",
            lambda data: b"garbage",
            lambda data: data[:10],
            lambda data: b"P\x02" + data[2:],
            lambda data: data[:2] + b"\x80" + data[3:],
            lambda data: data[:3] + b"\x09" + data[4:],
            lambda data: data[:3] + b"\x04" + data[4:],
            lambda data: data[:12] + b"\xff" * 24 + data[36:],
            lambda data: data[:-1],
            lambda data: data[:2] + bytes([data[2] | 2]) + data[3:],
        ],
    )
    def test_what_cannot_be_decoded_is_a_miss(self, spoil: Callable[[bytes], bytes]) -> None:
        async def main(store: Any) -> None:
            await store.set_many([("k", record({"n": 1})), ("good", record(2))])
            await self.plant(store, "k", spoil(await self.stored(store, "k")))
            found = (await store.get_many(["k", "good"])).records
            assert [each and each.value for each in found] == [None, 2]
            assert store.stats().undecodable == 1
            await store.set_many([("k", record(3))])
            assert (await store.get_many(["k"])).records[0].value == 3

        if self.keeps_bytes:
            self.go(main)

    def test_a_value_of_another_key_or_secret_is_a_miss(self) -> None:
        secret = b"sixteen bytes or more"

        async def main(store: Any) -> None:
            await store.set_many([("a", record({1, 2})), ("b", record({3}))])
            assert (await store.get_many(["a"])).records[0].value == {1, 2}
            await self.plant(store, "b", await self.stored(store, "a"))
            assert (await store.get_many(["b"])).records == [None]
            async with self.open(codec="pickle", secret=secret[::-1]) as stranger:
                assert (await stranger.get_many(["a"])).records == [None]
            async with self.open() as plain:
                assert (await plain.get_many(["a"])).records == [None]
                await plain.set_many([("plain", record(1))])
            assert (await store.get_many(["plain"])).records == [None]

        if self.keeps_bytes:
            self.go(main, codec="pickle", secret=secret)

    def test_what_is_compressed_comes_back(self) -> None:
        async def main(store: Any) -> None:
            large = "x" * 100_000
            await store.set_many([("large", record(large)), ("small", record("x"))])
            assert len(await self.stored(store, "large")) < 10_000
            async with self.open() as plain:  # whatever it writes itself
                found = (await plain.get_many(["large", "small"])).records
                assert [each and each.value for each in found] == [large, "x"]
            async with self.open(max_value=99_999) as small:
                found = (await small.get_many(["large", "small"])).records
                assert [each and each.value for each in found] == [None, "x"]

        if self.keeps_bytes:
            self.go(main, compress="zlib")

    # --- key by key -------------------------------------------------------------------------------

    def test_single_keys(self) -> None:
        async def main(store: Any) -> None:
            assert await store.get("k") is None
            assert await store.get("k", 7) == 7
            await store.set("k", None)
            assert await store.get("k", 7) is None
            await store.set("k", [1], ttl=60, tags=["t"])
            assert await store.get("k") == [1]
            found = (await store.get_many(["k"])).records[0]
            assert (found.ttl, found.tags) == (60.0, ("t",))
            await store.delete("k")
            assert await store.get("k", 7) == 7

        if self.has_direct:
            self.go(main)

    def test_single_keys_are_gathered(self) -> None:
        async def main(store: Any) -> None:
            await store.ping()
            await asyncio.gather(*(store.set(f"k{n}", n) for n in range(50)))
            found = await asyncio.gather(*(store.get(f"k{n}") for n in range(60)))
            assert found == [*range(50), *[None] * 10]
            await asyncio.gather(*(store.delete(f"k{n}") for n in range(50)))
            assert (await store.get_many([f"k{n}" for n in range(50)])).records == [None] * 50

        if self.has_direct:
            self.go(main)

    def test_the_last_write_of_a_tick_counts(self) -> None:
        async def main(store: Any) -> None:
            await asyncio.gather(store.set("k", 1), store.delete("k"), store.set("k", 2))
            assert await store.get("k") == 2
            await asyncio.gather(store.set("k", 1), store.set("k", 2), store.delete("k"))
            assert await store.get("k") is None

        if self.has_direct:
            self.go(main)

    def test_a_single_key_that_is_refused_fails_nobody_else(self) -> None:
        async def main(store: Any) -> None:
            bad: Sequence[Awaitable[object]] = [
                store.set("bad", object()), store.set("\ud800", 1), store.get("\ud800"),
                store.delete("\ud800"), store.set("k", 1, ttl=0), store.set("k", 1, tags="tag"),
            ]  # fmt: skip
            done = await asyncio.gather(store.set("k", 1), *bad, return_exceptions=True)
            assert done[0] is None
            assert all(isinstance(each, TypeError | ValueError) for each in done[1:])
            assert await store.get("k") == 1

        if self.has_direct:
            self.go(main)

    def test_whoever_is_cancelled_leaves_the_others_alone(self) -> None:
        async def main(store: Any) -> None:
            await store.set("k", 1)
            tasks = [asyncio.ensure_future(store.get("k")) for _ in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            assert await asyncio.gather(*tasks[1:]) == [1, 1]

        if self.has_direct:
            self.go(main)

    # --- as a whole -------------------------------------------------------------------------------

    def test_programs_do_what_the_model_does(self) -> None:
        @settings(
            max_examples=self.examples,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(OPERATIONS, max_size=12))
        def compare(program: list[tuple[Any, ...]]) -> None:
            async def main(store: Any, other: Any) -> None:
                model = Model(self.uncertain)
                for operation, *arguments in program:
                    await getattr(model, operation)(store, *arguments)
                    store, other = other, store
                    await model.compare(store)
                await model.compare(other)

            self.go(main, 2, namespace=f"model {next(_spaces)}")

        compare()
