"""Messages between `RedisStore`s over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer, needs_redis
from tests.redis_stores import run, until
from tests.store_model import record

from penstock.stores import Message, RedisStore

pytest.importorskip("hiredis")
pytestmark = needs_redis


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    """One that nothing is done to that lasts."""
    shared.cli("FLUSHALL")
    return shared


@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_others_are_told_of_changes(server: RedisServer, backplane: Any) -> None:
    async def main() -> None:
        got: list[Message] = []
        mine: list[Message] = []
        lost: list[str] = []
        options: Any = {"backplane": backplane}
        async with (
            RedisStore(server.url, **options) as one,
            RedisStore(server.url, **options) as two,
        ):
            await one.listen(mine.append, lambda: lost.append("one"))
            await two.listen(got.append, lambda: lost.append("two"))
            assert two.stats().listening
            expected = {
                ("set", ("a", "b")): one.set_many([("a", record(1)), ("b", record(1))]),
                ("tags", ("t", "ü")): one.invalidate(tags=["t", "ü"]),
                ("patterns", ("x*", "*")): one.invalidate(patterns=["x*", "*"]),
                ("delete", ("a",)): one.delete_many(["a"]),
            }
            for (kind, names), doing in expected.items():
                await doing
                await until(lambda names=names: {n for m in got for n in m.names} >= set(names))
                kinds = {message.kind for message in got}
                # What is watched is only seen to change.
                assert kinds == {"set" if backplane == "tracking" and kind == "delete" else kind}
                assert {n for m in got for n in m.names} == set(names)
                got.clear()
            assert not lost
            # Redis does not know that its scripts are somebody's.
            assert all(message.kind in {"tags", "patterns"} for message in mine)
            assert not mine or backplane == "tracking"
            await two.unlisten()
            await one.set("a", 2)
            await two.ping()
            assert not got

    run(main())


def test_of_what_was_written_here_and_elsewhere_one_is_told(server: RedisServer) -> None:
    async def main() -> None:
        got: list[Message] = []
        async with (
            RedisStore(server.url, backplane="tracking") as one,
            RedisStore(server.url, backplane="tracking") as two,
        ):
            await one.listen(got.append, lambda: None)
            for turn in range(5):
                await one.set("k", turn)
                await two.set("k", -turn)
                await until(lambda: got)
                assert got[0][:2] == ("set", ("k",))
                got.clear()

    run(main())


def test_watched_keys_that_are_flushed_are_all(server: RedisServer) -> None:
    async def main() -> None:
        got: list[Message] = []
        async with RedisStore(server.url, backplane="tracking") as store:
            await store.listen(got.append, lambda: None)
            server.cli("FLUSHALL")
            await until(lambda: got)
            assert got[0][:2] == ("patterns", ("*",))

    run(main())


@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_who_listens_is_told_that_something_may_be_missing(
    server: RedisServer, backplane: Any
) -> None:
    async def main() -> None:
        got: list[Message] = []
        lost: list[bool] = []
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url, backplane=backplane) as one,
            RedisStore(server.url_at(proxy.port), backplane=backplane) as two,
        ):
            proxy.refuse()
            await two.listen(got.append, lambda: lost.append(two.stats().listening))
            assert not lost
            await proxy.heal()
            await until(lambda: lost)
            assert lost == [True]
            proxy.drop()
            await until(lambda: len(lost) == 3)
            assert lost == [True, False, True]
            await one.set("k", 1)
            await until(lambda: got)
            assert two.stats().resyncs == 3

    run(main())


@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_a_connection_that_has_died_in_silence_is_noticed(
    server: RedisServer, backplane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        lost: list[bool] = []
        async with (
            FaultProxy(*server.address) as proxy,
            RedisStore(server.url_at(proxy.port), backplane=backplane, timeout=0.05) as store,
        ):
            await store.listen(lambda message: None, lambda: lost.append(store.stats().listening))
            await until(lambda: store.stats().pings > 2)
            assert not lost
            proxy.freeze()
            await until(lambda: lost)
            assert lost == [False]
            await proxy.heal()
            proxy.drop()
            await until(lambda: len(lost) > 1)
            assert lost[1]

    from penstock.stores import _redis_bus

    monkeypatch.setattr(_redis_bus, "_PING_EVERY", 0.005)
    run(main())


def test_a_listener_that_fails_hurts_nobody(server: RedisServer) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: reports.append(told))

        def fail(message: Message) -> None:
            raise RuntimeError("mine")

        async with RedisStore(server.url) as one, RedisStore(server.url) as two:
            got: list[Message] = []
            await two.listen(fail, lambda: None)
            await two.listen(got.append, lambda: None)
            await one.set("k", 1)
            await until(lambda: got)
            assert two.stats().listening
            assert [str(each["exception"]) for each in reports] == ["mine"]

    run(main())


def test_what_is_no_message_is_left_alone(server: RedisServer) -> None:
    async def main() -> None:
        got: list[Message] = []
        async with RedisStore(server.url) as store:
            await store.listen(got.append, lambda: None)
            for text in (
                "",
                "a b",
                "x set 1 {",
                "x set y []",
                "x other 1 []",
                "x set 1 [1]",
                b"\xff",
            ):
                server.cli("PUBLISH", "penstock:bus", text)
            server.cli("PUBLISH", "penstock:bus", 'x set 1 ["k"]')
            await until(lambda: got)
            assert got == [Message("set", ("k",), 1)]

    run(main())
