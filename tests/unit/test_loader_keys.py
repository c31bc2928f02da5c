"""`Loader`: what its keys may be, and what the function that loads them may return."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from tests.keyed import Source
from tests.loading import settle
from tests.steps import run

from penstock import Loader

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
