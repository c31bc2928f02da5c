"""`RedisStore.ask_many`: what comes back calls who has asked, once, and without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import again, run, until
from tests.store_model import record

from penstock.errors import StoreError, StoreTimeout, StoreUnavailable
from penstock.stores import Prompt, Reading, RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.cli("FLUSHALL")
    return shared


class Asked:
    """Collects the answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[Reading | None, BaseException | None]] = []
        self.tasks = 0
        self._before = len(asyncio.all_tasks())

    def __call__(self, reading: Reading | None, error: BaseException | None) -> None:
        self.tasks = len(asyncio.all_tasks()) - self._before
        self.answers.append((reading, error))

    @property
    def values(self) -> list[object]:
        reading = self.answers[-1][0]
        assert reading is not None
        return [each and each.value for each in reading.records]


async def ask(store: RedisStore, *keys: str) -> Asked:
    asked = Asked()
    assert store.ask_many(keys, asked)
    assert not asked.answers
    await until(lambda: asked.answers)
    await asyncio.sleep(0)
    assert len(asked.answers) == 1
    return asked


def test_what_is_there_and_what_is_not(server: RedisServer) -> None:
    async def main() -> None:
        async with RedisStore(server.url, timeout=2.5) as store, RedisStore(server.url) as other:
            assert isinstance(store, Prompt)
            assert store.timeout == 2.5
            assert not store.ask_many(["k"], Asked())  # not connected
            base = (await store.get_many(["k"])).base
            asked = await ask(store, "k", "l")
            assert asked.answers[0] == (Reading([None, None], base), None)
            assert asked.tasks == 0
            # Somebody else ticks the clock.
            await other.set_many([("k", record(1)), ("tagged", record(2, tags=("t",)))])
            asked = await ask(store, "k", "l")
            assert asked.values == [1, None]
            assert asked.tasks == 0
            assert (await ask(store, "k", "tagged")).values == [1, 2]
            await other.invalidate(tags=["t"])
            assert (await ask(store, "k", "tagged")).values == [1, None]
            await other.invalidate(patterns=["k*"])
            assert (await ask(store, "k", "tagged")).values == [None, None]
            server.cli("FLUSHALL")
            asked = await ask(store, "k")
            assert asked.answers == [(Reading([None], (await store.get_many([])).base), None)]
            assert not store.ask_many(["k"] * 501, Asked())
            assert not store.ask_many(["\ud800"], Asked())
            nobody = Asked()
            assert not await asyncio.to_thread(store.ask_many, ["k"], nobody)
        assert not store.ask_many(["k"], Asked())

    run(main())


def test_errors_are_answers(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url_at(proxy.port), timeout=0.05) as store,
        ):
            await store.get_many([])
            proxy.freeze()
            (answer,) = (await ask(store, "k")).answers
            assert isinstance(answer[1], StoreTimeout)
            asked = Asked()
            assert store.ask_many(["k"], asked)
            proxy.drop()
            await until(lambda: asked.answers)
            assert isinstance(asked.answers[0][1], StoreUnavailable)
            assert not store.ask_many(["k"], Asked())
            await proxy.heal()
            await again(store)
            await store.get_many([])
            server.cli("ACL", "SETUSER", "default", "-mget")
            (answer,) = (await ask(store, "k")).answers
            server.cli("ACL", "SETUSER", "default", "+@all")
            assert isinstance(answer[1], StoreError)
            assert "must be allowed" in str(answer[1])
            proxy.garble(b"!nonsense\r\n")
            (answer,) = (await ask(store, "k")).answers
            assert isinstance(answer[1], StoreUnavailable)

    run(main())


def test_who_fails_when_he_is_answered_hurts_nobody(server: RedisServer) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: reports.append(told))

        def fail(*_: object) -> None:
            raise RuntimeError("mine")

        async with RedisStore(server.url) as store:
            await store.get_many([])
            assert store.ask_many(["k"], fail)
            assert (await ask(store, "k")).values == [None]
            assert [str(each["exception"]) for each in reports] == ["mine"]
            assert store.stats().connects == 1

    run(main())


def test_whoever_is_left_when_the_store_is_closed_is_answered(server: RedisServer) -> None:
    async def main() -> None:
        store = RedisStore(server.url)
        await store.set_many([("k", record(1, tags=("t",)))])
        await store.get_many([])
        asked = Asked()
        assert store.ask_many(["k"], asked)
        await until(lambda: store._join().reads._tasks or asked.answers)
        await store.aclose()
        await until(lambda: asked.answers)
        await asyncio.sleep(0)
        assert len(asked.answers) == 1
        waiting = Asked()
        async with RedisStore(server.url) as other:
            await other.get_many([])
            assert other.ask_many(["k"], waiting)
        assert len(waiting.answers) == 1

    run(main())
