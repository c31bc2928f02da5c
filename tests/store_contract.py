"""What every store of a cache has to do, as tests that a module runs on its own store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store_model import HOUR, OPERATIONS, Model, record
from tests.store_versions import VersionContract

__all__ = ["HOSTILE", "StoreContract"]

#: Any text is a key.
HOSTILE = [
    "", " ", "\0", "a\0b", "a\0", "a\nb", "\r\n", "k" * 10_000, "ключ", "😀", "e\u0301", "*", "[a]",
    "%s %(x)s", "{0}", "'; DROP TABLE x --", '"', "\\", "a:b", "\x7f", "\u2028", "..", "/",
]  # fmt: skip

_spaces = count()

Program = Callable[[Any], Awaitable[None]]


class StoreContract(VersionContract):
    """
    All the tests; a class of tests inherits them, and says how a store is made.
    """

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

    def test_a_str_is_not_taken_for_its_letters(self) -> None:
        async def main(store: Any) -> None:
            items = [(key, record(key, tags=("t",))) for key in ["a", "b", "ab"]]
            await store.set_many(items)
            for call in [
                lambda: store.get_many("ab"),
                lambda: store.delete_many("ab"),
                lambda: store.invalidate(tags="t"),
                lambda: store.invalidate(patterns="a*"),
            ]:
                with pytest.raises(TypeError, match=r"s must be several str, got the str '"):
                    await call()
            found = (await store.get_many(["a", "b", "ab"])).records
            assert [each and each.value for each in found] == ["a", "b", "ab"]

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
