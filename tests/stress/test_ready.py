"""`Ready` under stress: it lives in recycled memory, and may be dropped in any state."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import weakref
from typing import TYPE_CHECKING

from tests.stress.harness import in_child, rounds
from tests.stress.hostile import Oops, Value

from penstock import _backend, cached

if TYPE_CHECKING:
    from collections.abc import Callable

Ready = _backend.Ready

#: More than are kept for reuse.
MANY = 5000


def finish(ready: object) -> object:
    try:
        ready.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it did not finish")


@in_child
def test_thousands_of_pending_awaitables_keep_their_values_through_collections() -> None:
    pending = [Ready([number]) for number in range(MANY)]
    gc.collect()
    more = [Ready([number]) for number in range(MANY)]
    gc.collect()
    assert [finish(ready) for ready in reversed(pending)] == [[n] for n in reversed(range(MANY))]
    del pending
    gc.collect()
    again = [Ready([-number]) for number in range(MANY)]
    gc.collect()
    assert [finish(ready) for ready in more] == [[number] for number in range(MANY)]
    assert [finish(ready) for ready in again] == [[-number] for number in range(MANY)]


@in_child
def test_awaitables_dropped_in_every_state_in_any_order() -> None:
    random.seed(1)
    alive: list[object] = []

    def throw(ready: object) -> None:
        with contextlib.suppress(Oops, RuntimeError):
            ready.throw(Oops)

    def use(ready: object) -> None:
        with contextlib.suppress(StopIteration, RuntimeError):
            ready.send(None)

    states: list[Callable[[object], object]] = [
        use,
        throw,
        lambda ready: ready.close(),
        lambda ready: ready.__await__(),
        lambda ready: gc.collect(0),
        lambda ready: None,
    ]
    for number in range(rounds(20_000)):
        alive.append(Ready((number, Ready(number))))
        random.choice(states)(random.choice(alive))
        if random.random() < 0.5:
            alive.pop(random.randrange(len(alive)))
        if len(alive) > 200:
            alive.clear()
    gc.collect()


@in_child
def test_value_is_freed_once_it_is_given_up() -> None:
    gc.disable()
    for give_up in (
        lambda ready: None,
        lambda ready: ready.close(),
        finish,
        lambda ready: contextlib.suppress(Oops).__exit__(*error_of(lambda: ready.throw(Oops))),
    ):
        value = Value()
        died = weakref.ref(value)
        ready = Ready(value)
        del value
        assert died() is not None
        give_up(ready)
        del ready
        assert died() is None


def error_of(call: Callable[[], object]) -> tuple[object, object, None]:
    try:
        call()
    except Exception as error:
        return type(error), error.with_traceback(None), None
    raise AssertionError("nothing was raised")


@in_child
def test_value_that_makes_awaitables_when_it_dies() -> None:
    made = []

    def make() -> None:
        made.append(finish(Ready("made while another one dies")))
        Ready(Value())

    for number in range(rounds(2000)):
        ready = Ready(Value(make))
        if number % 3 == 0:
            finish(ready)
        elif number % 3 == 1:
            ready.close()
        del ready
    assert len(made) == rounds(2000)


@in_child
def test_long_chain_of_awaitables_is_freed_without_a_crash() -> None:
    chain = None
    for _ in range(200_000):
        chain = Ready(chain)
    del chain
    chain = []
    for _ in range(200_000):
        chain = [Ready(chain)]
    del chain


@in_child
def test_cycles_of_awaitables_are_collected() -> None:
    deaths = []
    for _ in range(100):
        knot: list[object] = [Value(lambda: deaths.append(1))]
        knot.append(Ready(knot))
    del knot
    gc.collect()
    assert len(deaths) == 100


@in_child
def test_awaitables_of_one_loop_awaited_in_another() -> None:
    @cached
    async def load(key: str) -> str:
        return key

    async def make() -> list[object]:
        await load("a")
        return [load("a") for _ in range(100)]

    async def wait(awaitables: list[object]) -> list[object]:
        return [await awaitable for awaitable in awaitables]

    assert asyncio.run(wait(asyncio.run(make()))) == ["a"] * 100


@in_child
def test_tasks_over_awaitables_by_the_thousand() -> None:
    @cached
    async def load(number: int) -> int:
        return number

    async def main() -> None:
        await asyncio.gather(*[load(number) for number in range(100)])
        for _ in range(rounds(5)):
            tasks = [asyncio.create_task(load(number % 100)) for number in range(2000)]
            for task in tasks[::3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for number, result in enumerate(results):
                if number % 3 == 0:
                    assert isinstance(result, asyncio.CancelledError)
                else:
                    assert result == number % 100

    asyncio.run(main())
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it finds that this takes long
    asyncio.run(main(), debug=True)


@in_child
def test_awaitable_may_be_finished_from_within_its_own_value() -> None:
    holder = []
    value = Value(lambda: holder[0].close())  # noqa: PLW0108  # not there yet
    holder.append(Ready(value))
    del value
    assert holder[0].close() is None
    assert holder[0].close() is None
