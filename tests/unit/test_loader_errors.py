"""What a `Loader` makes of errors: of a key, of a call, and of answers that fit nothing."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from tests.keyed import HeldSource, Oops, Source
from tests.loading import settle
from tests.steps import run

from penstock import BatchCancelled, BatchSizeMismatch, ItemError, Loader, RecursiveLoad

# of a key


@pytest.mark.parametrize("wrap", [lambda error: error, ItemError])
def test_an_error_in_the_place_of_a_value_is_that_of_its_key(
    wrap: Callable[[Exception], object],
) -> None:
    async def main() -> None:
        error = Oops("one")
        loader = Loader(Source({1: wrap(error)}))
        one, two = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
        assert one is error  # one waits for it: it is his
        assert two == "value of 2"
        stats = loader.stats()
        assert (stats.loaded, stats.failed) == (1, 1)

    run(main())


def test_each_who_waits_has_an_error_of_his_own() -> None:
    async def main() -> None:
        error = Oops("one")
        error.add_note("a note")
        loader = Loader(Source({1: error}))
        found = await asyncio.gather(*[loader.load(1) for _ in range(3)], return_exceptions=True)
        assert len({id(each) for each in found}) == 3
        for each in found:
            assert isinstance(each, Oops)
            assert each.args == ("one",)
            assert each.__cause__ is error
            assert each.__notes__ == ["a note"]

    run(main())


def test_one_error_for_several_keys_is_not_shared_either() -> None:
    async def main() -> None:
        error = Oops("both")
        loader = Loader(Source({1: error, 2: error}))
        one, two = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
        assert one is not two
        assert repr(one) == repr(two) == "Oops('both')"

    run(main())


def test_an_error_is_not_kept() -> None:
    async def main() -> None:
        source = Source({1: Oops()})
        loader = Loader(source)
        with pytest.raises(Oops):
            await loader.load(1)
        source.answers.clear()
        assert await loader.load(1) == "value of 1"
        assert source.calls == [[1], [1]]

    run(main())


def test_whoever_hears_of_an_error_can_load_again_at_once() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        again: list[asyncio.Future[object]] = []
        first = loader.load(1)
        first.add_done_callback(lambda _: again.append(loader.load(1)))
        await settle()
        source.fail(1, Oops("first"))
        with pytest.raises(Oops):
            await first
        await settle()
        source.release(2)
        assert await again[0] == "1 2"

    run(main())


def test_an_error_that_ends_programs_is_a_value_where_a_value_is_expected() -> None:
    async def main() -> None:
        stop = KeyboardInterrupt()
        assert await Loader(Source({1: stop})).load(1) is stop

    run(main())


def test_an_error_that_no_future_takes_becomes_another() -> None:
    async def main() -> None:
        loader = Loader(Source({1: StopIteration(5)}))
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            await loader.load(1)
        assert isinstance(caught.value.__cause__, StopIteration)

    run(main())


def test_what_a_mapping_does_not_have_is_a_key_error() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> dict[int, str | Exception]:
            return {2: "two", 3: Oops("three"), 4: "nobody asked"}

        loader = Loader(load_many)
        one, two, three = await loader.load_many([1, 2, 3], return_exceptions=True)
        assert repr(one) == "KeyError(1)"
        assert two == "two"
        assert repr(three) == "Oops('three')"

    run(main())


def test_a_mapping_of_keys_that_have_no_hash_is_an_error_of_each() -> None:
    async def main() -> None:
        loader: Loader[list[int], str] = Loader(lambda keys: {"1": "one"}, key=str)
        with pytest.raises(TypeError, match="unhashable"):
            await loader.load([1])

    run(main())


# of load_many


def test_load_many_raises_the_error_of_the_first_key_that_has_one() -> None:
    async def main() -> None:
        source = Source({2: Oops("two"), 3: Oops("three")})
        loader = Loader(source)
        with pytest.raises(Oops, match="two"):
            await loader.load_many([1, 2, 3, 4])
        assert await loader.load(4) == "value of 4"
        assert source.calls == [[1, 2, 3, 4]]

    run(main())


def test_load_many_that_has_failed_waits_for_nothing_any_more() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source, max_items=1)
        task = asyncio.ensure_future(loader.load_many([1, 2]))
        await settle()
        source.fail(1, Oops())
        with pytest.raises(Oops):
            await task
        await settle()
        assert source.cancelled == [2]

    run(main())


def test_load_many_may_return_the_errors() -> None:
    async def main() -> None:
        loader = Loader(Source({2: Oops("two")}))
        one, two, three = await loader.load_many([1, 2, 3], return_exceptions=True)
        assert (one, repr(two), three) == ("value of 1", "Oops('two')", "value of 3")

    run(main())


# of a call


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_an_error_of_a_call_is_that_of_all_its_keys(plain: bool, later: bool) -> None:
    async def main() -> None:
        error = Oops("all")
        calls = []

        def load_many(keys: list[int]) -> Any:
            calls.append(keys)
            if plain:
                raise error
            return fail()

        async def fail() -> list[int]:
            if later:
                await asyncio.sleep(1)
            raise error

        loader = Loader(load_many)
        for number in (1, 2):
            found = await loader.load_many([1, 2], return_exceptions=True)
            assert [repr(each) for each in found] == ["Oops('all')"] * 2
            assert found[0] is not found[1]
            assert len(calls) == number  # not kept
        with pytest.raises(Oops) as caught:
            await loader.load(1)
        assert caught.value is error
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert frames[-1] == ("load_many" if plain else "fail")
        assert loader.stats().failed == 5

    run(main())


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (None, "NoneType"),
        (5, "int"),
        ("ab", "str"),
        (b"ab", "bytes"),
        ({"a", "b"}, "set"),
        (iter("ab"), "str_ascii_iterator"),
        ((key for key in "ab"), "generator"),
    ],
)
def test_what_is_neither_sequence_nor_mapping_is_refused(found: object, kind: str) -> None:
    async def main() -> None:
        async def load_many(keys: list[str]) -> Any:
            return found

        loader = Loader(load_many)
        match = f"load_many must return a sequence of 2 results, got {kind}"
        for each in await loader.load_many("ab", return_exceptions=True):
            assert isinstance(each, TypeError)
            assert match in str(each)

    run(main())


@pytest.mark.parametrize("number", [0, 1, 3])
def test_another_number_of_values_is_refused(number: int) -> None:
    async def main() -> None:
        async def load_many(keys: list[str]) -> list[int]:
            return [0] * number

        for each in await Loader(load_many).load_many("ab", return_exceptions=True):
            assert isinstance(each, BatchSizeMismatch)
            assert (each.expected, each.got) == (2, number)

    run(main())


def test_an_async_generator_is_refused() -> None:
    async def load_many(keys: list[str]) -> Any:
        for key in keys:
            yield key

    with pytest.raises(TypeError, match="generator function"):
        Loader(load_many)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_it_and_nobody_waits_for_ever(kind: type[BaseException]) -> None:
    found: list[object] = []

    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            raise kind

        loader = Loader(load_many)
        futures = [loader.load(1), loader.load(2)]
        found.extend(await asyncio.gather(*futures, return_exceptions=True))

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    with pytest.raises(kind):
        loop.run_until_complete(task)
    loop.run_until_complete(task)
    loop.close()
    assert len(found) == 2
    for error in found:
        assert isinstance(error, BatchCancelled)
        assert isinstance(error.__cause__, BatchCancelled | kind)


def test_a_call_that_cancels_itself_fails_its_keys() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            raise asyncio.CancelledError

        loader = Loader(load_many)
        with pytest.raises(BatchCancelled, match="load_many was cancelled before it had values"):
            await loader.load(1)
        assert loader.stats().failed == 1

    run(main())


def test_a_future_that_is_cancelled_under_a_call_fails_its_keys() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        loading = loader.load(1)
        await settle()
        source.fail(1, asyncio.CancelledError())
        with pytest.raises(BatchCancelled):
            await loading
        loading = loader.load(1)
        await settle()
        source.release(2)
        assert await loading == "1 2"

    run(main())


def test_a_call_that_asks_for_its_own_key_is_told_so() -> None:
    async def main() -> None:
        async def load_many(keys: list[int]) -> list[int]:
            return [await loader.load(key + 1) if key < 5 else key for key in keys]

        loader: Loader[int, int] = Loader(load_many)
        assert await loader.load(1) == 5  # others it may ask for
        with pytest.raises(RecursiveLoad, match="asks for the key 8 that it is loading"):
            await Loader.load(itself := Loader(lambda keys: again(itself, keys)), 8)

    async def again(loader: Loader[int, int], keys: list[int]) -> list[int]:
        return await loader.load_many(keys)

    run(main())
