"""What a `Loader` is told to forget, and the values it is primed with."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest
from tests.keyed import HeldSource, Oops, Source
from tests.loading import settle
from tests.steps import run

from penstock import Loader

# cleared


def test_a_key_that_was_cleared_is_loaded_again() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        await loader.load_many([1, 2])
        assert loader.clear(1) is loader
        assert await loader.load_many([1, 2]) == ["value of 1", "value of 2"]
        assert source.calls == [[1, 2], [1]]

    run(main())


def test_all_keys_are_cleared() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        await loader.load_many([1, 2])
        assert loader.clear_all() is loader
        await loader.load_many([1, 2])
        assert source.calls == [[1, 2], [1, 2]]

    run(main())


def test_a_key_that_nobody_loaded_may_be_cleared() -> None:
    Loader(Source()).clear(1).clear_all().clear(2)


@pytest.mark.parametrize("clears_all", [False, True])
def test_a_key_that_is_cleared_while_its_call_runs_is_neither_kept_nor_joined(
    clears_all: bool,
) -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        before = loader.load(1)
        await settle()
        if clears_all:
            loader.clear_all()
        else:
            loader.clear(1)
        after = loader.load(1)
        await settle()
        assert source.calls == [[1], [1]]
        source.release(2)
        assert await after == "1 2"
        source.release(1)
        assert await before == "1 1"
        assert await loader.load(1) == "1 2"  # the older one did not replace it

    run(main())


def test_the_value_of_a_key_that_was_cleared_does_not_take_the_place_of_the_new_one() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        before = loader.load(1)
        await settle()
        loader.clear(1)
        after = loader.load(1)
        await settle()
        source.release(1)
        assert await before == "1 1"
        late = loader.load(1)
        await settle()
        source.release(2)
        assert await asyncio.gather(after, late, loader.load(1)) == ["1 2"] * 3
        assert await loader.load(1) == "1 2"
        assert source.calls == [[1], [1]]

    run(main())


@pytest.mark.parametrize("clears_all", [False, True])
def test_a_key_that_is_cleared_before_its_call_is_still_one_key_of_it(clears_all: bool) -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        before = loader.load(1)
        if clears_all:
            loader.clear_all()
        else:
            loader.clear(1)
        after = loader.load(1)
        assert await asyncio.gather(before, after) == ["value of 1", "value of 1"]
        assert source.calls == [[1]]
        assert loader.load(1).done()  # it was read after it was cleared

    run(main())


def test_a_key_that_is_cleared_before_its_call_is_not_kept() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        before = loader.load(1)
        loader.clear(1)
        await settle()
        after = loader.load(1)
        await settle()
        assert source.calls == [[1], [1]]
        source.release(1)
        source.release(2)
        assert await asyncio.gather(before, after) == ["1 1", "1 2"]
        assert await loader.load(1) == "1 2"

    run(main())


# primed


def test_a_primed_value_is_not_loaded() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        assert loader.prime(1, "primed") is loader
        assert await loader.load_many([1, 2]) == ["primed", "value of 2"]
        assert source.calls == [[2]]

    run(main())


def test_priming_needs_no_loop() -> None:
    loader = Loader(Source()).prime(1, "primed")

    async def main() -> None:
        assert await loader.load(1) == "primed"

    run(main())


def test_a_value_that_is_there_is_not_primed() -> None:
    async def main() -> None:
        loader = Loader(Source())
        await loader.load(1)
        loader.prime(1, "primed").prime(2, "first").prime(2, "second")
        assert await loader.load_many([1, 2]) == ["value of 1", "first"]

    run(main())


def test_a_value_that_is_coming_is_not_primed() -> None:
    async def main() -> None:
        source = HeldSource()
        kept: dict[Hashable, object] = {}
        loader = Loader(source, cache=kept)
        loading = loader.load(1)
        loader.prime(1, "before")
        await settle()
        loader.prime(1, "meanwhile")
        assert kept == {}
        source.release(1)
        assert await loading == "1 1"
        assert await loader.load(1) == "1 1"

    run(main())


@pytest.mark.parametrize("steps", [None, 0, 10])
def test_clear_and_prime_replace_a_value_whatever_it_does(steps: int | None) -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        loading = loader.load(1)
        await settle(10 if steps is None else steps)
        if steps is None:  # it has come
            source.release(1)
            assert await loading == "1 1"
        loader.clear(1).prime(1, "forced")
        assert await loader.load(1) == "forced"
        await settle()
        if steps is not None:  # it comes later
            source.release(1)
            assert await loading == "1 1"
        assert await loader.load(1) == "forced"
        assert source.calls == [[1]]

    run(main())


def test_a_primed_error_is_raised_by_every_load_on_its_own() -> None:
    async def main() -> None:
        error = Oops("primed")
        loader = Loader(Source()).prime(1, error)
        seen = []
        for _ in range(3):
            with pytest.raises(Oops, match="primed") as caught:
                await loader.load(1)
            seen.append(caught.value)
        assert len({id(each) for each in [error, *seen]}) == 4
        assert error.__traceback__ is None

    run(main())
