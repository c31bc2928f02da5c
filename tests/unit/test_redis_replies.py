"""What a Redis store makes of replies that are none, of waiters that ask again, and of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.redis_fakes import Command, FakeRedis
from tests.steps import now
from tests.steps import run as run_virtually

from penstock.errors import ClosedError, StoreTimeout, StoreUnavailable
from penstock.stores import Reading, Record, RedisStore
from penstock.stores._redis_options import Names
from penstock.stores._redis_stats import Counts

pytest.importorskip("hiredis")

from penstock.stores._redis_wire import Wire

TIMEOUT = 0.25


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


class Output:
    """Takes what a wire writes."""

    aborted = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0


def wire_of() -> tuple[Wire, Output]:
    wire = Wire(asyncio.get_running_loop(), "host:1", TIMEOUT, Counts(), lambda *_: None)
    output = Output()
    wire.connection_made(output)  # type: ignore[arg-type]  # as much as it needs
    return wire, output


class Asking:
    """Calls something as soon as it is told."""

    def __init__(self, told: Callable[[], object]) -> None:
        self._told = told
        self.results: list[object] = []

    def done(self) -> bool:
        return bool(self.results)

    def set_result(self, reply: Any) -> None:
        self.results.append(reply)
        self._told()

    def set_exception(self, exception: BaseException) -> None:
        self.results.append(exception)
        self._told()


def test_who_asks_again_as_it_is_told_stops_nobody_from_being_told() -> None:
    async def main() -> None:
        wire, _ = wire_of()
        more: list[asyncio.Future[Any]] = []
        asking = [Asking(lambda: more.append(wire.ask(b"PING"))) for _ in range(3)]
        for each in asking:
            wire.send(b"PING", each)
        await asyncio.sleep(TIMEOUT + 0.01)
        for each in asking:
            assert [type(result) for result in each.results] == [StoreTimeout]
        assert not any(future.done() for future in more)
        await asyncio.sleep(TIMEOUT)
        for future in more:
            assert isinstance(future.exception(), StoreTimeout)
        assert len(wire.pending) == 6
        wire.abort("done")

    run_virtually(main())


def test_who_asks_again_as_it_ends_does_not_find_it() -> None:
    async def main() -> None:
        wire, _ = wire_of()
        order: list[str] = []
        wire.on_lost = order.append
        first = Asking(lambda: order.append("told"))
        wire.send(b"PING", first)
        wire.abort("a test")
        assert order == ["a test", "told"]
        assert not wire.pending
        assert wire.ended.done()
        # Whoever is told, even if what is told first fails.
        wire, _ = wire_of()

        def fails(why: str) -> None:
            raise RuntimeError(why)

        wire.on_lost = fails
        future = wire.ask(b"PING")
        with pytest.raises(RuntimeError):
            wire.abort("a test")
        assert isinstance(future.exception(), StoreUnavailable)

    run_virtually(main())


def test_replies_that_all_come_too_late_are_those_of_others() -> None:
    async def main() -> None:
        wire, output = wire_of()
        started = now()
        wire.ask(b"PING").add_done_callback(lambda future: future.exception())
        while not output.aborted and now() - started < 10:
            # The reply to this comes at once; that to the one before never did.
            await asyncio.sleep(0.3)
            future = wire.ask(b"PING")
            future.add_done_callback(lambda future: future.exception())
            wire.data_received(b"+PONG\r\n")
        assert now() - started < 2.0

    run_virtually(main())


def test_a_server_that_is_slow_now_and_then_is_kept() -> None:
    async def main() -> None:
        wire, output = wire_of()
        for turn in range(30):
            future = wire.ask(b"PING")
            await asyncio.sleep(0.3 if turn % 3 else 0.1)
            wire.data_received(b"+PONG\r\n")
            future.exception()
            await asyncio.sleep(0.3)
        assert not output.aborted

    run_virtually(main())


@pytest.mark.parametrize(
    "reply",
    [
        b"*2\r\n:5\r\n:6\r\n",
        b"*2\r\n$9\r\n5 0 1 1 0\r\n:6\r\n",
        b"*2\r\n$9\r\n5 0 1 1 0\r\n#t\r\n",
        b"*2\r\n_\r\n*0\r\n",
        b"*2\r\n*0\r\n_\r\n",
    ],
)
def test_lists_of_the_wrong_kinds_end_the_connection(reply: bytes) -> None:
    def answer(command: Command) -> bytes | None:
        if command[0] in {b"MGET", b"EVALSHA"}:
            return reply
        return b"$9\r\n5 0 1 1 0\r\n" if command[0] == b"EVAL" else None

    async def main() -> None:
        for ask in (
            lambda store: store.get_many(["k"]),
            lambda store: store.delete_many(["k"]),
            lambda store: store.acquire("k", 1.0),
        ):
            if reply == b"*2\r\n:5\r\n:6\r\n" and "acquire" in ask.__code__.co_names:
                continue  # that is a lease
            async with FakeRedis(answer) as server, RedisStore(server.url) as store:
                with pytest.raises(StoreUnavailable, match="something else"):
                    await ask(store)
                assert not store.stats().connected

    run(main())


def test_a_batch_that_is_answered_in_part_is_not_answered() -> None:
    def answer(command: Command) -> bytes | None:
        return b"*2\r\n:9\r\n$1\r\n1\r\n" if command[0] == b"EVALSHA" else None

    async def main() -> None:
        async with FakeRedis(answer) as server, RedisStore(server.url) as store:
            items = [(key, Record(1, 1e9, None)) for key in "ab"]
            with pytest.raises(StoreUnavailable):
                await store.set_many(items, base=5)

    run(main())


@pytest.mark.parametrize("namespace", ["app:e", "app:l:x", "a:b:m", "a:tags", "a::w", "svc:wake"])
def test_namespaces_whose_keys_would_be_those_of_others(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace after a ':'"):
        RedisStore(namespace=namespace)


def test_namespaces_may_have_parts() -> None:
    for namespace in ("e", "app:events", "app:", ":app", "m:x", "a:b:c"):
        RedisStore(namespace=namespace)
    starts = [Names(each).entry for each in ("app", "app:events", "app:", "e", "e:e1")]
    assert not any(a != b and a.startswith(b) for a in starts for b in starts)


def test_a_closed_store_says_so() -> None:
    async def main() -> None:
        async with FakeRedis() as server:
            store = RedisStore(server.url)
            await store.ping()
            await store.aclose()
            for ask in (
                lambda: store.get("k"),
                lambda: store.set("k", 1),
                lambda: store.delete("k"),
                lambda: store.get_many(["k"]),
            ):
                with pytest.raises(ClosedError, match="Redis"):
                    await ask()

    run(main())


def test_writes_of_a_tick_are_one_call() -> None:
    from penstock.stores._direct import Direct

    class Store:
        def __init__(self) -> None:
            self.puts: list[int] = []
            self.gone = asyncio.Event()

        def encode(self, key: str, record: Record) -> bytes:
            return b""

        async def get_many(self, keys: Any) -> Reading:
            return Reading([None] * len(keys), 0)

        async def _put(self, items: Any) -> None:
            self.puts.append(len(items))
            raise StoreTimeout("it did not answer", seconds=1.0)

        async def delete_many(self, keys: Any) -> None:
            raise AssertionError

    async def main() -> None:
        store = Store()
        direct = Direct(store, lambda: 0.0)
        sets = [direct.set(f"k{n}", n, None, ()) for n in range(6000)]
        errors = await asyncio.gather(*sets, return_exceptions=True)
        assert {type(error) for error in errors} == {StoreTimeout}
        assert store.puts == [6000]
        await direct.aclose()

    run_virtually(main())
