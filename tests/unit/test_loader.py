"""`Loader`: what is loaded together, in which order, how often, and what it is told to be."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.keyed import HeldSource, Source
from tests.loading import settle
from tests.steps import now, run

import penstock
from penstock import Loader
from penstock.metrics import generate_latest

# what is loaded together


def test_a_key_is_loaded() -> None:
    async def main() -> None:
        source = Source()
        assert await Loader(source).load(1) == "value of 1"
        assert source.calls == [[1]]

    run(main())


def test_load_is_a_plain_function_that_returns_a_future() -> None:
    async def main() -> None:
        loader = Loader(Source())
        future = loader.load(1)
        assert type(future) is type(asyncio.get_running_loop().create_future())
        assert not future.done()
        assert await asyncio.wait_for(future, 1) == "value of 1"

    run(main())


def test_loads_of_one_tick_are_one_call_in_the_order_asked() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        found = await asyncio.gather(loader.load("b"), loader.load("c"), loader.load("a"))
        assert found == ["value of b", "value of c", "value of a"]
        assert source.calls == [["b", "c", "a"]]

    run(main())


def test_loads_by_tasks_that_were_made_in_the_same_tick_go_along() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)

        async def indirect(key: int) -> object:
            return await deeper(key)

        async def deeper(key: int) -> object:
            return await loader.load(key)

        found = await asyncio.gather(loader.load(1), indirect(2), loader.load_many([3, 1]))
        assert found == ["value of 1", "value of 2", ["value of 3", "value of 1"]]
        assert source.calls == [[1, 2, 3]]

    run(main())


def test_loads_of_different_ticks_are_different_calls() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        assert await loader.load(1) == "value of 1"
        assert await loader.load(2) == "value of 2"
        assert source.calls == [[1], [2]]

    run(main())


def test_a_key_that_is_asked_for_twice_is_loaded_once() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        first, second = loader.load(1), loader.load(1)
        assert first is not second
        assert await first == await second == "value of 1"
        assert source.calls == [[1]]

    run(main())


def test_a_key_that_is_being_loaded_is_joined() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        first = loader.load(1)
        await settle()
        second = loader.load(1)
        other = loader.load(2)
        await settle()
        assert source.calls == [[1], [2]]  # the second does not wait for the first
        source.release(2)
        assert await other == "2 2"
        source.release(1)
        assert (await first, await second) == ("1 1", "1 1")

    run(main())


def test_a_loader_may_load_from_another_and_its_loads_are_gathered_too() -> None:
    async def main() -> None:
        deep_source = Source()
        deep: Loader[object, object] = Loader(deep_source)
        calls: list[list[object]] = []

        async def load_many(keys: list[object]) -> list[object]:
            calls.append(keys)
            return await deep.load_many(keys)

        a, b = Loader(load_many), Loader(load_many)
        found = await asyncio.gather(a.load("a1"), b.load("b1"), a.load("a2"), b.load("b2"))
        assert found == [f"value of {key}" for key in ("a1", "b1", "a2", "b2")]
        assert calls == [["a1", "a2"], ["b1", "b2"]]
        assert deep_source.calls == [["a1", "a2", "b1", "b2"]]

    run(main())


def test_more_keys_than_a_call_may_have_are_split_in_their_order() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, max_items=2)
        assert await loader.load_many(range(5)) == [f"value of {n}" for n in range(5)]
        assert source.calls == [[0, 1], [2, 3], [4]]

    run(main())


def test_one_key_at_a_time_is_possible() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, max_items=1)
        assert await loader.load_many([1, 2, 1]) == ["value of 1", "value of 2", "value of 1"]
        assert source.calls == [[1], [2]]

    run(main())


def test_calls_run_at_once_unless_their_number_is_bounded() -> None:
    async def main() -> None:
        for bound, expected in ((None, [[1], [2], [3]]), (1, [[1]]), (2, [[1], [2]])):
            source = HeldSource()
            loader = Loader(source, max_items=1, max_concurrency=bound)
            task = asyncio.ensure_future(loader.load_many([1, 2, 3]))
            await settle()
            assert source.calls == expected
            assert loader.stats().in_flight == len(expected)
            for number in (1, 2, 3):
                source.release(number)
                await settle()
            assert await task == ["1 1", "2 2", "3 3"]

    run(main())


def test_keys_gather_while_all_calls_run() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source, max_concurrency=1)
        futures = []
        for key in range(4):
            futures.append(loader.load(key))
            await settle()
        assert source.calls == [[0]]
        source.release(1)
        await settle()
        assert source.calls == [[0], [1, 2, 3]]
        source.release(2)
        assert await asyncio.gather(*futures) == ["0 1", "1 2", "2 2", "3 2"]

    run(main())


@pytest.mark.parametrize("linger", [0.5, timedelta(seconds=0.5)])
def test_the_first_key_may_wait_for_others(linger: float | timedelta) -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, linger=linger, max_items=3)
        begin = now()
        futures = [loader.load(1)]
        await asyncio.sleep(0.3)
        futures.append(loader.load(2))
        assert await asyncio.gather(*futures) == ["value of 1", "value of 2"]
        assert now() - begin == pytest.approx(0.5, abs=0.01)
        await loader.load_many([3, 4, 5])  # as many as a call may have: nothing to wait for
        assert now() - begin == pytest.approx(0.5, abs=0.01)
        assert source.calls == [[1, 2], [3, 4, 5]]

    run(main())


def test_thousands_of_keys_are_one_call() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        keys = [n % 5_000 for n in range(6_000)]
        assert await loader.load_many(keys) == [f"value of {n}" for n in keys]
        assert source.calls == [list(range(5_000))]

    run(main())


# load_many


def test_load_many_keeps_the_order_and_the_duplicates() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        assert await loader.load_many(iter("abca")) == [f"value of {key}" for key in "abca"]
        assert source.calls == [["a", "b", "c"]]
        assert await loader.load_many([]) == []
        assert len(source.calls) == 1

    run(main())


def test_load_many_needs_something_to_iterate_over() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="'int' object is not iterable"):
            await Loader(Source()).load_many(1)  # type: ignore[call-overload]

    run(main())


# what load_many of a loader may be


@pytest.mark.parametrize(
    "found",
    [
        ("A", "B"),
        OrderedDict(b="B", a="A"),
        defaultdict(lambda: "B", a="A"),  # its default is a value like any other
    ],
)
def test_what_is_returned_may_be_any_sequence_or_a_mapping(found: Any) -> None:
    async def main() -> None:
        async def load_many(keys: list[str]) -> Any:
            return found

        assert await Loader(load_many).load_many(["a", "b"]) == ["A", "B"]

    run(main())


def test_a_function_may_return_values_or_something_to_await() -> None:
    async def main() -> None:
        assert await Loader(lambda keys: keys).load_many([1, 2]) == [1, 2]
        source = Source()
        assert await Loader(lambda keys: asyncio.ensure_future(source(keys))).load(1)

    run(main())


def test_what_is_done_to_the_list_of_keys_does_not_matter() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            found = [key * 2 for key in keys]
            keys.clear()
            return found

        assert await Loader(load_many).load_many([1, 2]) == [2, 4]

        async def by_key(keys: list[int]) -> dict[int, int]:
            return {keys.pop(): 1, keys.pop(): 2}

        assert await Loader(by_key).load_many([1, 2]) == [2, 1]

    run(main())


def test_false_none_and_empty_values_are_values() -> None:
    async def main() -> None:
        source = Source({1: None, 2: False, 3: 0, 4: ""})
        loader = Loader(source)
        for _ in range(2):
            assert await loader.load_many([1, 2, 3, 4]) == [None, False, 0, ""]
        assert len(source.calls) == 1

    run(main())


# what a key may be


def test_none_is_no_key() -> None:
    async def main() -> None:
        loader = Loader(Source())
        for use in (
            loader.load,
            loader.clear,
            lambda key: loader.prime(key, 1),
        ):
            with pytest.raises(TypeError, match="key must not be None"):
                use(None)
        with pytest.raises(TypeError, match="key must not be None"):
            await loader.load_many([1, None])
        await settle()
        assert loader.stats().abandoned == 1  # what came before it was not waited for

    run(main())


def test_keys_that_are_false_are_keys() -> None:
    async def main() -> None:
        source = Source()
        assert await Loader(source).load_many([0, "", ()]) == [
            "value of 0",
            "value of ",
            "value of ()",
        ]
        assert source.calls == [[0, "", ()]]

    run(main())


def test_a_key_without_a_hash_is_refused() -> None:
    async def main() -> None:
        loader = Loader(Source())
        with pytest.raises(TypeError, match="unhashable"):
            loader.load([1])
        assert await loader.load(1) == "value of 1"

    run(main())


def test_key_says_what_keys_have_in_common() -> None:
    async def main() -> None:
        calls: list[list[SimpleNamespace]] = []

        async def load_many(keys: list[SimpleNamespace]) -> list[str]:
            calls.append(keys)
            return [key.text.upper() for key in keys]

        loader = Loader(load_many, key=lambda key: key.id)
        first, same = SimpleNamespace(id=1, text="a"), SimpleNamespace(id=1, text="b")
        assert await loader.load_many([first, same]) == ["A", "A"]
        assert calls == [[first]]
        assert await loader.load(same) == "A"
        loader.clear(first).prime(same, "primed")
        assert await loader.load(first) == "primed"
        assert len(calls) == 1

    run(main())


def test_what_key_raises_is_passed_on_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        loader = Loader(Source(), key=lambda key: 1 // key)
        with pytest.raises(ZeroDivisionError):
            loader.load(0)
        with pytest.raises(ZeroDivisionError):
            await loader.load_many([1, 0])
        assert await loader.load(1) == "value of 1"

    run(main())


# options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"load_many": 5}, TypeError, "Loader needs a function, got int"),
        ({"load_many": None}, TypeError, "Loader needs a function, got NoneType"),
        ({"key": "id"}, TypeError, "key must be callable, got str"),
        ({"cache": 1}, TypeError, "cache must be a bool or a mutable mapping, got int"),
        ({"cache": None}, TypeError, "cache must be a bool or a mutable mapping, got NoneType"),
        ({"max_items": 0}, ValueError, "max_items must be >= 1, got 0"),
        ({"max_items": "3"}, TypeError, "max_items must be an int, got str"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency must be >= 1, got 0"),
        ({"max_concurrency": True}, TypeError, "max_concurrency must be an int, got bool"),
        ({"linger": -1}, ValueError, "linger must be"),
        ({"linger": "1"}, TypeError, "linger must be"),
        ({"name": 5}, TypeError, "name must be a str, got int"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Loader(**{"load_many": Source(), **options})


def test_a_generator_function_is_refused() -> None:
    def load_many(keys: list[int]) -> Any:
        yield from keys

    with pytest.raises(TypeError, match="generator function"):
        Loader(load_many)


# what it tells


def test_it_tells_what_it_has_done() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        begin = now()
        futures = [loader.load(1), loader.load(1), loader.load(2)]
        assert loader.stats().pending == 2
        await settle()
        stats = loader.stats()
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 2, 1)
        await asyncio.sleep(0.5)
        source.release(1)
        await asyncio.gather(*futures)
        await loader.load(1)
        stats = loader.stats()
        assert (stats.hits, stats.shared, stats.misses) == (1, 1, 2)
        assert (stats.loaded, stats.failed, stats.abandoned, stats.calls) == (2, 0, 0, 1)
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 0, 0)
        assert now() - begin == pytest.approx(0.5, abs=0.01)

    run(main())


def test_a_name_shows_it_among_the_metrics() -> None:
    async def main() -> None:
        loader = Loader(Source(), name="users of a test")
        assert loader.name == "users of a test"
        await loader.load_many([1, 2, 1])
        page = generate_latest(penstock.metrics.REGISTRY).decode()
        assert 'penstock_loader_misses_total{name="users of a test"} 2.0' in page
        assert 'penstock_loader_shared_total{name="users of a test"} 1.0' in page
        assert 'penstock_batcher_submitted_total{name="users of a test"}' not in page

    run(main())


def test_its_representation_says_what_it_loads() -> None:
    async def users(keys: list[int]) -> list[int]:
        return keys

    assert repr(Loader(users)).endswith("users>")
    assert repr(Loader(users, name="u")).endswith("users, name='u'>")
