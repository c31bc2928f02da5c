"""What a handler may return, and what each item gets from that."""

from __future__ import annotations

import asyncio
from array import array
from collections import UserList, deque
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from tests.batches import outcomes
from tests.steps import run

from penstock import Batcher, BatchSizeMismatch, ItemError


@pytest.mark.parametrize(
    "make", [list, tuple, deque, UserList, lambda items: array("i", items), range]
)
def test_any_sequence_of_results_will_do(make: Callable[[list[int]], Any]) -> None:
    async def handler(items: list[int]) -> Any:
        return range(3) if make is range else make(items)

    assert run(outcomes(handler)) == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_wrong_number_of_results_fails_all(count: int) -> None:
    async def many(items: list[int]) -> list[int]:
        return [7] * count

    errors = run(outcomes(many))
    assert all(type(error) is BatchSizeMismatch for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert (errors[0].expected, errors[0].got) == (3, count)
    assert "many must return 3 results, got " + str(count) in str(errors[0])
    assert errors[0].__cause__ is None


def generator(items: list[int]) -> Any:
    return (item for item in items)


async def async_generator(items: list[int]) -> Any:
    async def inner() -> Any:
        yield 1

    return inner()


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (None, "NoneType"),
        ({0: 0, 1: 1, 2: 2}, "dict"),
        ({0, 1, 2}, "set"),
        ("abc", "str"),
        (b"abc", "bytes"),
        (bytearray(b"abc"), "bytearray"),
        (3, "int"),
        ({0: 0, 1: 1, 2: 2}.values(), "dict_values"),
        (iter([1, 2, 3]), "list_iterator"),
        (Mock(), "Mock"),
    ],
)
def test_what_is_no_sequence_fails_all(result: object, kind: str) -> None:
    async def handler(items: list[int]) -> Any:
        return result

    errors = run(outcomes(handler))
    assert [type(error) for error in errors] == [TypeError] * 3
    assert f"handler must return a sequence of 3 results, got {kind}" in str(errors[0])


@pytest.mark.parametrize("handler", [generator, async_generator])
def test_generator_fails_all(handler: Any) -> None:
    errors = run(outcomes(handler))
    assert f"got {handler.__name__}" in str(errors[0])


def test_generator_function_is_refused_at_once() -> None:
    def handler(items: list[int]) -> Any:
        yield from items

    async def other(items: list[int]) -> Any:
        yield items

    for function in (handler, other):
        with pytest.raises(TypeError, match="generator function"):
            Batcher(function)


def test_sequence_that_raises_fails_all() -> None:
    class Broken(UserList[int]):
        def __iter__(self) -> Any:
            raise OSError("broken")

    async def handler(items: list[int]) -> Any:
        return Broken(items)

    assert [type(error) for error in run(outcomes(handler))] == [OSError] * 3


def test_item_error_fails_its_item_alone() -> None:
    error = KeyError(1)

    async def handler(items: list[int]) -> list[Any]:
        return [0, ItemError(error), 2]

    results = run(outcomes(handler))
    assert results == [0, error, 2]
    assert results[1] is error


def test_same_item_error_for_several_is_copied() -> None:
    error = KeyError(1)

    async def handler(items: list[int]) -> list[Any]:
        return [ItemError(error) for _ in items]

    errors = run(outcomes(handler))
    assert errors[0] is error
    assert len({id(each) for each in errors}) == 3
    assert [each.args for each in errors] == [(1,)] * 3


def test_exception_as_a_result_is_a_result() -> None:
    async def handler(items: list[int]) -> list[Any]:
        return [ValueError(item) for item in items]

    async def main() -> None:
        async with Batcher(handler, linger=0) as batcher:
            assert isinstance(await batcher.submit(1), ValueError)
        assert batcher.stats().completed == 1

    run(main())


def test_item_error_is_checked_and_final() -> None:
    for wrong in (ValueError, "text", None, SystemExit(), asyncio.CancelledError()):
        with pytest.raises(TypeError, match="error must be an exception, got"):
            ItemError(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot be subclassed"):
        type("Own", (ItemError,), {})
    assert repr(ItemError(ValueError(1))) == "ItemError(ValueError(1))"


def test_none_is_enough_where_nobody_waits() -> None:
    async def main() -> None:
        async def handler(items: list[int]) -> None:
            pass

        batcher = Batcher(handler, linger=0)
        batcher.put_nowait(1)
        await batcher.flush()
        batcher.put_nowait(2)
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reports.append(each))
        with pytest.raises(TypeError, match="got NoneType"):
            await batcher.submit(3)
        assert len(reports) == 1
        await batcher.aclose()
        assert (batcher.stats().completed, batcher.stats().failed) == (1, 2)

    run(main())


def test_handler_may_do_with_its_list_what_it_likes() -> None:
    async def handler(items: list[int]) -> list[int]:
        results = [item + 1 for item in items]
        items.clear()
        return results

    assert run(outcomes(handler)) == [1, 2, 3]


class Short(list[int]):
    """Says that it is longer than it is."""

    def __iter__(self) -> Any:
        return iter([1])


class Angry(tuple[int, ...]):
    """Cannot be looked through."""

    __slots__ = ()

    def __iter__(self) -> Any:
        raise ValueError("not me")


@pytest.mark.parametrize(("kind", "error"), [(Short, BatchSizeMismatch), (Angry, ValueError)])
def test_sequence_that_is_not_what_it_seems_fails_all(kind: Any, error: type[Exception]) -> None:
    async def handler(items: list[int]) -> Any:
        return kind(items)

    assert [type(each) for each in run(outcomes(handler))] == [error] * 3


def test_callback_of_a_thread_may_have_the_list_of_results() -> None:
    async def main() -> None:
        kept: list[int] = []

        async def handler(items: list[int]) -> list[int]:
            kept.extend(items)
            return kept

        async with Batcher(handler, linger=0) as batcher:
            futures = [batcher.submit_threadsafe(number) for number in range(3)]
            futures[0].add_done_callback(lambda _: kept.clear())
            await asyncio.gather(*map(asyncio.wrap_future, futures))
            assert [future.result() for future in futures] == [0, 1, 2]

    run(main())
