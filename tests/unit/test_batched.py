"""`batched`: functions and methods of many that are called with one."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from tests.batches import assert_balanced
from tests.loading import settle
from tests.steps import run

from penstock import Batcher, ClosedError, batched


def test_calls_are_gathered() -> None:
    calls: list[list[int]] = []

    @batched(max_items=10, linger=0.01)
    async def double(numbers: list[int]) -> list[int]:
        """Double them."""
        calls.append(numbers)
        return [2 * number for number in numbers]

    async def main() -> None:
        assert await double(1) == 2
        assert await asyncio.gather(*map(double, range(5))) == [0, 2, 4, 6, 8]
        assert calls == [[1], [0, 1, 2, 3, 4]]
        assert isinstance(double.batcher, Batcher)
        assert double.stats().completed == 6
        assert (await double.aclose()) == (0, 0, 0)
        with pytest.raises(ClosedError):
            double(1)
        assert_balanced(double.batcher)

    run(main())
    assert double.__wrapped__([1]).close() is None
    assert (double.__name__, double.__doc__) == ("double", "Double them.")
    assert "batched" in repr(double)


def test_function_works_in_one_loop_after_the_other_even_if_closed() -> None:
    @batched(linger=0)
    async def same(numbers: list[int]) -> list[int]:
        return numbers

    async def main(close: bool) -> Batcher[int, int]:
        assert await same(3) == 3
        if close:
            await same.aclose()
        return same.batcher

    first, second = run(main(False)), run(main(True))
    assert first is second
    assert run(main(False)) is not second


def test_each_instance_has_a_batcher_of_its_own() -> None:
    class Service:
        def __init__(self, factor: int) -> None:
            self.factor = factor
            self.calls: list[list[int]] = []

        @batched(linger=0, name="services")
        async def times(self, numbers: list[int]) -> list[int]:
            """Multiply them."""
            self.calls.append(numbers)
            return [self.factor * number for number in numbers]

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    async def main() -> None:
        one, two = Service(1), Service(2)
        results = await asyncio.gather(one.times(1), two.times(1), one.times(2), two.times(2))
        assert results == [1, 2, 2, 4]
        assert (one.calls, two.calls) == ([[1, 2]], [[1, 2]])
        assert one.times.batcher is one.times.batcher
        assert one.times.batcher is not two.times.batcher
        assert await Service.times(two, 4) == 8
        assert two.times.stats().completed == 3
        await one.times.aclose()
        with pytest.raises(ClosedError):
            one.times(1)
        assert await two.times(1) == 2
        assert (two.times.__self__, two.times.__func__) == (two, Service.times)
        assert two.times.__wrapped__ is Service.times.__wrapped__
        assert "of <" in repr(two.times)
        await two.times.aclose()

    run(main())
    with pytest.raises(TypeError, match="times is a method: each instance has a batcher"):
        Service.times.batcher
    with pytest.raises(TypeError, match="takes one item, got 1"):
        Service.times(1)


class Node:
    """Somebody who has a batched method."""

    @batched(linger=1.0)
    async def same(self, numbers: list[int]) -> list[int]:
        return numbers


def test_instance_lives_while_its_calls_wait_and_no_longer() -> None:
    async def main() -> None:
        node = Node()
        gone = weakref.ref(node)
        future = node.same(1)
        cancelled = node.same(2)
        del node
        gc.collect()
        assert gone() is not None
        cancelled.cancel()
        assert await future == 1
        await settle()
        gc.collect()
        assert gone() is None
        assert await Node().same(3) == 3
        # One whose only call is cancelled, too.
        node = Node()
        gone = weakref.ref(node)
        node.same(4).cancel()
        del node
        await asyncio.sleep(2)
        gc.collect()
        assert gone() is None
        assert Node.same._owned == {}

    run(main())


def test_item_put_for_an_instance_that_is_gone_is_told_to_the_loop() -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reports.append(each))
        batcher = Node().same.batcher
        gc.collect()
        batcher.put_nowait(1)
        await batcher.aclose()
        assert [type(report["exception"]) for report in reports] == [ReferenceError]

    run(main())


def test_instance_that_cannot_be_weakly_referenced_is_refused() -> None:
    class Slotted:
        __slots__ = ()

        @batched()
        async def same(self, numbers: list[int]) -> list[int]:
            return numbers

    with pytest.raises(TypeError, match="needs instances that can be weakly referenced"):
        Slotted().same(1)


def test_class_and_static_methods() -> None:
    class Service:
        @classmethod
        @batched(linger=0)
        async def name(cls, numbers: list[int]) -> list[str]:
            return [f"{cls.__name__} {number}" for number in numbers]

        @staticmethod
        @batched(linger=0)
        async def same(numbers: list[int]) -> list[int]:
            return numbers

    class Other(Service):
        pass

    async def main() -> None:
        call: Any = Other.name
        assert await asyncio.gather(Service.name(1), call(2)) == ["Service 1", "Other 2"]
        assert await Service.same(3) == await Service().same(3) == 3

    run(main())


def test_wrong_use_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="max_items"):
        batched(max_items=0)(lambda items: items)
    with pytest.raises(TypeError, match="batched needs a function"):
        batched()(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword"):
        batched(nonsense=1)(lambda items: items)  # type: ignore[call-arg]

    @batched()
    async def same(numbers: list[int]) -> list[int]:
        return numbers

    with pytest.raises(TypeError, match="takes one item, got 0"):
        same()  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="takes one item, got 2"):
        same(1, 2)
    with pytest.raises(RuntimeError, match="submit_threadsafe"):
        same(1)


@batched(linger=0)
async def triple(numbers: list[int]) -> list[int]:
    return [3 * number for number in numbers]


def test_function_that_is_put_into_a_class_remains_a_function() -> None:
    class Holder:
        call = triple
        other = batched(linger=0)(lambda self, numbers: numbers)

    async def main() -> None:
        assert await triple(1) == 3
        assert await Holder.call(2) == 6
        assert await Holder().other(3) == 3
        await triple.aclose()

    run(main())
