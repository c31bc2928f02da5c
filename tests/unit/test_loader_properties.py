"""`Loader` in programs made by chance: whoever asks is told once, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.keyed import Oops
from tests.loading import settle
from tests.steps import run

from penstock import Cache, Loader
from penstock.errors import BatchCancelled, ClosedError

KEYS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("load"), KEYS),
        st.tuples(st.just("load_many"), st.lists(KEYS, max_size=4)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("clear"), KEYS),
        st.tuples(st.just("clear_all"), st.none()),
        st.tuples(st.just("prime"), KEYS),
        st.tuples(st.just("wait"), st.integers(0, 6)),
        st.tuples(st.just("sleep"), st.sampled_from([0.5, 1.0, 3.0])),
    ),
    max_size=30,
)
#: What becomes of a call.
FATES = st.sampled_from(
    ["values", "mapping", "at once", "error", "one error", "short", "cancelled"]
)
OPTIONS = st.fixed_dictionaries(
    {
        "max_items": st.sampled_from([None, 1, 2]),
        "max_concurrency": st.sampled_from([None, 1, 2]),
        "linger": st.sampled_from([0, 0, 2.0]),
    }
)


class Program:
    """A loader, whoever waits for it, and what it may tell them."""

    def __init__(self, options: dict[str, Any], cache: object, fates: list[str]) -> None:
        self.fates = fates
        self.max_items = options["max_items"]
        self.asked: set[asyncio.Future[Any]] = set()
        self.futures: list[asyncio.Future[Any]] = []
        self.keys: dict[asyncio.Future[Any], list[int]] = {}
        self.calls = self.primed = 0
        self.running = self.most = 0
        self.loader: Loader[int, Any] = Loader(
            self.load_many,
            cache=cache,  # type: ignore[arg-type]
            **options,
        )

    async def load_many(self, keys: list[int]) -> Any:
        assert keys
        assert len(set(keys)) == len(keys)
        assert self.max_items is None or len(keys) <= self.max_items
        fate = self.fates[self.calls % len(self.fates)]
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if fate != "at once":
                await asyncio.sleep(1)
            if fate == "error":
                raise Oops
            if fate == "cancelled":
                raise asyncio.CancelledError
            found: dict[int, Any] = {key: ("value", key) for key in keys}
            if fate == "one error":
                found[keys[0]] = Oops()
            return found if fate == "mapping" else list(found.values())[fate == "short" :]
        finally:
            self.running -= 1

    def do(self, what: str, with_: Any) -> None:
        loader = self.loader
        if what == "load":
            self.wait_for(loader.load(with_), [with_])
        elif what == "load_many":
            self.wait_for(asyncio.ensure_future(loader.load_many(with_)), with_)
        elif what == "cancel" and self.futures:
            self.futures[with_ % len(self.futures)].cancel()
        elif what == "clear":
            loader.clear(with_)
        elif what == "clear_all":
            loader.clear_all()
        elif what == "prime":
            loader.prime(with_, ("primed", with_))

    def wait_for(self, future: asyncio.Future[Any], keys: list[int]) -> None:
        assert future not in self.asked
        self.asked.add(future)
        self.futures.append(future)
        self.keys[future] = keys

    def check(self, future: asyncio.Future[Any]) -> None:
        assert future.done()
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            assert isinstance(error, Oops | BatchCancelled | RuntimeError | ClosedError)
            return
        found = future.result() if isinstance(future, asyncio.Task) else [future.result()]
        assert [key for _, key in found] == self.keys[future]


@given(
    STEPS,
    OPTIONS,
    st.sampled_from([True, False, "cache"]),
    st.lists(FATES, min_size=1),
    st.booleans(),
)
def test_whoever_asks_is_told_once(
    steps: list[tuple[str, Any]],
    options: dict[str, Any],
    cache: object,
    fates: list[str],
    drains: bool,
) -> None:
    async def main() -> None:
        kept: Cache[Hashable, Any] = Cache(3)
        program = Program(options, kept if cache == "cache" else cache, fates)
        loader = program.loader
        for what, with_ in steps:
            if what == "wait":
                await settle(with_)
            elif what == "sleep":
                await asyncio.sleep(with_)
            else:
                program.do(what, with_)
            stats = loader.stats()
            assert stats.pending >= 0
            assert stats.misses == (
                stats.loaded + stats.failed + stats.abandoned + stats.pending + stats.loading
            )
        await loader.aclose(drain=drains, timeout=None)
        await settle()
        for future in program.futures:
            program.check(future)
        stats = loader.stats()
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 0, 0)
        assert stats.misses == stats.loaded + stats.failed + stats.abandoned
        assert program.running == 0
        if options["max_concurrency"] is not None:
            assert program.most <= options["max_concurrency"]
        calls = loader._calls
        assert not any((calls.flights, calls.cleared, calls._joined, calls._dead, calls._running))

    run(main(), collect=False)
