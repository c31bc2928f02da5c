"""Ready: a coroutine that is already done."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest

USED = "^cannot reuse already awaited coroutine$"


def test_awaiting_gives_the_value(backend: ModuleType) -> None:
    value = object()

    async def main() -> None:
        assert await backend.Ready(value) is value

    asyncio.run(main())


@pytest.mark.parametrize("value", [None, (), (1, 2), StopIteration(3), ValueError("x"), ValueError])
def test_any_value_comes_out_as_it_went_in(backend: ModuleType, value: object) -> None:
    async def main() -> object:
        return await backend.Ready(value)

    assert asyncio.run(main()) is value
    with pytest.raises(StopIteration) as caught:
        backend.Ready(value).send(None)
    assert caught.value.value is value
    with pytest.raises(StopIteration) as caught:
        next(backend.Ready(value).__await__())
    assert caught.value.value is value


def test_it_does_not_touch_the_event_loop(backend: ModuleType) -> None:
    order: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(order.append, "loop")
        for _ in range(10):
            await backend.Ready(1)
        order.append("awaited")
        await asyncio.sleep(0)

    asyncio.run(main())
    assert order == ["awaited", "loop"]


def test_asyncio_takes_it_for_a_coroutine(backend: ModuleType) -> None:
    async def main() -> None:
        assert await asyncio.create_task(backend.Ready(1)) == 1
        both: list[int] = list(await asyncio.gather(backend.Ready(1), backend.Ready(2)))
        assert both == [1, 2]
        assert await asyncio.wait_for(backend.Ready(1), 5) == 1
        assert await asyncio.shield(backend.Ready(1)) == 1
        assert await asyncio.ensure_future(backend.Ready(1)) == 1
        async with asyncio.TaskGroup() as group:
            task = group.create_task(backend.Ready(3))
        assert task.result() == 3

    asyncio.run(main())
    assert asyncio.iscoroutine(backend.Ready(1))


def test_it_can_be_run_from_another_thread(backend: ModuleType) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        call = lambda: asyncio.run_coroutine_threadsafe(backend.Ready(5), loop).result(10)  # noqa: E731
        return await asyncio.to_thread(call)

    assert asyncio.run(main()) == 5


def test_it_is_awaitable_and_a_coroutine_but_no_generator(backend: ModuleType) -> None:
    ready: Any = backend.Ready(1)
    assert ready.__await__() is ready
    assert isinstance(ready, Awaitable)
    assert isinstance(ready, Coroutine)
    assert inspect.isawaitable(ready)
    assert not isinstance(ready, Generator)
    assert not isinstance(ready, Iterable)
    assert not hasattr(ready, "__iter__")


FIRST: dict[str, Callable[..., object]] = {
    "send None": lambda ready: ready.send(None),
    "send a value": lambda ready: ready.send(5),
    "next": next,
    "throw": lambda ready: ready.throw(StopIteration),
    "close": lambda ready: ready.close(),
}


@pytest.mark.parametrize("first", FIRST)
def test_it_can_be_used_once(backend: ModuleType, first: str) -> None:
    ready = backend.Ready(1)
    with suppress(StopIteration):
        FIRST[first](ready)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=USED):
            ready.send(None)
        with pytest.raises(RuntimeError, match=USED):
            next(ready)
        with pytest.raises(RuntimeError, match=USED):
            ready.throw(ValueError)
        assert ready.close() is None


def test_awaiting_twice_is_an_error(backend: ModuleType) -> None:
    async def main() -> None:
        ready = backend.Ready(1)
        await ready
        with pytest.raises(RuntimeError, match=USED):
            await ready

    asyncio.run(main())


def test_throw_raises_what_it_is_given(backend: ModuleType) -> None:
    error = ValueError("x")
    with pytest.raises(ValueError) as caught:
        backend.Ready(1).throw(error)
    assert caught.value is error
    with pytest.raises(ValueError, match=r"^$"):
        backend.Ready(1).throw(ValueError)
    with pytest.raises(ValueError, match=r"^text$"):
        backend.Ready(1).throw(ValueError, "text")
    with pytest.raises(ValueError) as caught:
        backend.Ready(1).throw(ValueError, error)
    assert caught.value is error
    with pytest.raises(OSError) as os_error:
        backend.Ready(1).throw(OSError, (2, "no file"))
    assert os_error.value.errno == 2


def test_throw_keeps_the_traceback_it_is_given(backend: ModuleType) -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError) as raised:
        fail()
    with pytest.raises(ValueError) as caught:
        backend.Ready(1).throw(ValueError, None, raised.tb)
    names = []
    walked = caught.value.__traceback__
    while walked is not None:
        names.append(walked.tb_frame.f_code.co_name)
        walked = walked.tb_next
    assert "fail" in names


def test_throw_refuses_what_is_no_exception(backend: ModuleType) -> None:
    ready = backend.Ready(1)
    for arguments in ((5,), (int,), ("text",), (ValueError("x"), "value"), (ValueError, None, 5)):
        with pytest.raises(TypeError):
            ready.throw(*arguments)
    with pytest.raises(TypeError):
        ready.throw()
    with pytest.raises(StopIteration):
        ready.send(None)


def test_a_cancelled_task_does_not_get_the_value(backend: ModuleType) -> None:
    async def main() -> None:
        task = asyncio.create_task(backend.Ready(1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_never_awaiting_it_warns_of_nothing(backend: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.Ready(1)
        gc.collect()


@pytest.mark.parametrize("first", FIRST)
def test_it_lets_go_of_its_value(backend: ModuleType, first: str) -> None:
    class Value:
        pass

    value = Value()
    reference = weakref.ref(value)
    ready = backend.Ready(value)
    del value
    assert reference() is not None
    with suppress(StopIteration):
        FIRST[first](ready)
    assert reference() is None


def test_a_cycle_through_it_is_collected(backend: ModuleType) -> None:
    class Value:
        pass

    value = Value()
    value.ready = backend.Ready(value)  # type: ignore[attr-defined]  # the cycle
    reference = weakref.ref(value)
    del value
    gc.collect()
    assert reference() is None


def test_references_are_balanced(backend: ModuleType) -> None:
    value = object()

    async def main() -> None:
        for _ in range(100):
            await backend.Ready(value)
            backend.Ready(value).close()
            backend.Ready(value)
            with pytest.raises(StopIteration):
                backend.Ready(value).send(None)
            with pytest.raises(KeyError):
                backend.Ready(value).throw(KeyError)

    before = sys.getrefcount(value)
    asyncio.run(main())
    gc.collect()
    assert sys.getrefcount(value) == before


def test_it_takes_exactly_one_value(backend: ModuleType) -> None:
    for arguments in ((), (1, 2)):
        with pytest.raises(TypeError):
            backend.Ready(*arguments)
