"""How a Redis store connects: what it says, whom it believes, and when it tries again."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.redis_fakes import Command, FakeRedis, bulk

from penstock.errors import ClosedError, StoreError, StoreTimeout, StoreUnavailable
from penstock.stores import RedisStore

pytest.importorskip("hiredis")


_STATE = b"5 0 1 1 0"


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


def test_it_introduces_itself_in_the_right_database() -> None:
    async def main() -> None:
        async with FakeRedis() as server:
            url = server.url.replace("//", "//me:secret@") + "/3?client_name=app"
            async with RedisStore(url) as store:
                await store.ping()
        assert server.commands[0] == [b"HELLO", b"3", b"AUTH", b"me", b"secret", b"SETNAME", b"app"]
        assert server.commands[1] == [b"SELECT", b"3"]
        assert server.count(b"SCRIPT") == 5
        assert server.accepted == 1
        assert "secret" not in repr(store)

    run(main())


@pytest.mark.parametrize(
    ("name", "reply", "kind", "match"),
    [
        (b"HELLO", b"-ERR unknown command 'HELLO'", StoreError, "needs Redis 6 or newer"),
        (b"HELLO", b"-NOPROTO unsupported protocol version", StoreError, "needs Redis 6 or newer"),
        (b"HELLO", b"-WRONGPASS invalid username-password pair", StoreError, "in the URL"),
        (b"HELLO", b"-NOAUTH HELLO must be called authenticated", StoreError, "in the URL"),
        (b"HELLO", b"-LOADING Redis is loading the dataset", StoreUnavailable, "not ready"),
        (b"HELLO", b"+OK", StoreUnavailable, "does not introduce itself"),
        (b"SELECT", b"-ERR DB index is out of range", StoreError, "number of a database"),
        (b"MGET", b"-MOVED 1234 127.0.0.1:7001", StoreError, "Redis Cluster is not supported"),
        (b"MGET", b"-CROSSSLOT Keys in request", StoreError, "Redis Cluster is not supported"),
        (b"MGET", b"-NOPERM no permissions", StoreError, "must be allowed"),
        (b"EVALSHA", b"-OOM command not allowed", StoreError, "memory is full"),
        (b"EVALSHA", b"-READONLY You can't write", StoreError, "is a replica"),
        (b"EVALSHA", b"-ERR Error running script: -OOM command", StoreError, "memory is full"),
        (b"EVALSHA", b"-MISCONF Redis is configured", StoreError, "cannot save"),
        (b"EVALSHA", b"-BUSY Redis is busy running a script", StoreUnavailable, "BUSY"),
        (b"EVALSHA", b"-WHATEVER it is", StoreError, "refuses: WHATEVER it is"),
    ],
)
def test_refusals_say_what_to_do(
    name: bytes, reply: bytes, kind: type[StoreError], match: str
) -> None:
    def answer(command: Command) -> bytes | None:
        return reply + b"\r\n" if command[0] == name else None

    async def main() -> None:
        async with FakeRedis(answer) as server, RedisStore(f"{server.url}/1") as store:
            with pytest.raises(kind, match=match) as caught:
                await (store.delete_many(["k"]) if name == b"EVALSHA" else store.get_many(["k"]))
            assert type(caught.value) is kind
            assert f"127.0.0.1:{server.port}" in str(caught.value)

    run(main())


@pytest.mark.parametrize(
    "reply",
    [
        b":1\r\n",
        b"+OK\r\n",
        b"*0\r\n",
        bulk(b"5 0 1 1 0"),
        bulk(b"5 0 1 1 0", None, None),
        b"_\r\n",
    ],
)
def test_a_reply_to_something_else_ends_the_connection(reply: bytes) -> None:
    async def main() -> None:
        server = FakeRedis(lambda command: reply if command[0] == b"MGET" else None)
        async with server, RedisStore(server.url) as store:
            with pytest.raises(StoreUnavailable, match="something else"):
                await store.get_many(["k"])
            assert not store.stats().connected

    run(main())


@pytest.mark.parametrize("backplane", ["pubsub", "tracking", None])
@pytest.mark.parametrize(
    "push",
    [b">2\r\n+invalidate\r\n_\r\n", b">1\r\n+?\r\n", b">0\r\n", b">2\r\n:1\r\n:1\r\n"],
)
def test_a_push_in_the_place_of_a_reply_shifts_nobodys(push: bytes, backplane: Any) -> None:
    if backplane == "tracking" and b"invalidate" in push:
        return  # it is what it has asked for

    async def main() -> None:
        server = FakeRedis(lambda command: push if command[0] == b"MGET" else None)
        async with server, RedisStore(server.url, backplane=backplane) as store:
            with pytest.raises(StoreUnavailable, match="nobody wants to know"):
                await store.get_many(["k"])
            assert not store.stats().connected

    run(main())


def test_one_attempt_at_a_time_and_pauses_between_them() -> None:
    async def main() -> None:
        def hang_up(command: Command) -> bytes:
            raise ConnectionError

        async with FakeRedis(hang_up) as server, RedisStore(server.url) as store:
            calls = (store.get_many(["k"]) for _ in range(50))
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(error) for error in errors} == {StoreUnavailable}
            assert len(set(map(id, errors))) == 50
            assert server.accepted == 1
            link = store._join().session.link
            for _ in range(10):
                link._not_before = 0.0
                with pytest.raises(StoreUnavailable):
                    await store.ping()
            link._not_before = link.loop.time() + 60
            with pytest.raises(StoreUnavailable):
                await store.ping()
            assert server.accepted == 11
            assert store.stats().failed_connects == 11
            server.answer = lambda command: None
            link._not_before = 0.0
            await store.ping()
            assert store.stats().connected

    run(main())


def test_the_pauses_grow_and_have_an_end() -> None:
    async def main() -> None:
        async with FakeRedis() as server, RedisStore(server.url) as store:
            link = store._join().session.link
            longest = []
            for _ in range(40):
                pauses = []
                for _ in range(20):
                    failures = link._failures
                    link._wait()
                    pauses.append(link.pause())
                    link._failures = failures
                link._wait()
                longest.append(max(pauses))
            assert longest[0] <= 0.05
            assert 0.5 < longest[-1] <= 2.0

    run(main())


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    async def main() -> None:
        async with FakeRedis(lambda command: b"") as server:
            async with RedisStore(server.url, connect_timeout=0.05) as store:
                with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
                    await store.ping()
            server.answer = lambda command: b"" if command[0] == b"PING" else None
            async with RedisStore(server.url, timeout=0.05) as store:
                with pytest.raises(StoreTimeout) as caught:
                    await store.ping()
                assert caught.value.seconds == 0.05

    run(main())


def test_nobody_is_there() -> None:
    async def main() -> None:
        async with FakeRedis() as server:
            url = server.url
        async with RedisStore(url) as store:
            with pytest.raises(StoreUnavailable, match="cannot connect"):
                await store.ping()

    run(main())


def test_the_connection_before_is_ended_by_the_server() -> None:
    async def main() -> None:
        async with FakeRedis() as server, RedisStore(server.url) as store:
            await store.ping()
            wire = store._join().session.link.wire
            assert wire is not None
            name = wire.name
            assert name is not None
            wire.abort("a test")
            store._join().session.link._not_before = 0.0
            await store.ping()
            kill = [b"CLIENT", b"KILL", b"ID", b"7", b"ADDR", name.encode()]
            at = server.commands.index(kill)
            assert server.commands[at - 1][0] == b"HELLO"
            assert server.commands[at + 1][:2] == [b"SCRIPT", b"LOAD"]

    run(main())


def test_who_is_cancelled_while_it_connects_leaves_the_others_alone() -> None:
    async def main() -> None:
        async with FakeRedis() as server, RedisStore(server.url) as store:
            tasks = [asyncio.ensure_future(store.ping()) for _ in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            await asyncio.gather(*tasks[1:])
            assert server.accepted == 1

    run(main())


def test_a_store_that_is_closed_takes_on_nothing() -> None:
    async def main() -> None:
        async with FakeRedis(lambda command: b"") as server:
            store = RedisStore(server.url)
            waiting = asyncio.ensure_future(store.ping())
            await asyncio.sleep(0)
            await store.aclose()
            with pytest.raises(ClosedError):
                await waiting
            with pytest.raises(ClosedError):
                await store.ping()
            await store.aclose()
            assert store.closed
            assert "closed" in repr(store)

    run(main())


def test_a_script_that_was_forgotten_is_sent_again() -> None:
    async def main() -> None:
        def answer(command: Command) -> bytes | None:
            if command[0] == b"EVALSHA":
                return b"-NOSCRIPT No matching script.\r\n"
            return b"*2\r\n:9\r\n$1\r\n1\r\n" if command[0] == b"EVAL" else None

        async with FakeRedis(answer) as server, RedisStore(server.url) as store:
            await store.delete_many(["k"])
            assert store.stats().script_loads == 1
            assert server.count(b"EVAL") == 1

    run(main())


def test_a_set_that_came_too_late_is_tried_once_more_by_the_right_time() -> None:
    async def main() -> None:
        late = [True]

        def answer(command: Command) -> bytes | None:
            if command[0] != b"EVALSHA" or b"set" not in command:
                return None
            return b"-LATE it came too late\r\n" if late.pop() else b"*2\r\n:9\r\n$1\r\n1\r\n"

        async with FakeRedis(answer) as server, RedisStore(server.url) as store:
            late[:] = [False, True]
            await store.set("k", 1)
            late[:] = [True, True]
            with pytest.raises(StoreTimeout):
                await store.set("k", 1)
            assert server.count(b"TIME") == 3

    run(main())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself: the certificate, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-batch"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", paths[0], "-keyout", paths[1]),
        ],
        check=True,
        capture_output=True,
    )
    return paths


def test_tls(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def main() -> None:
        async with FakeRedis(tls=context) as server:
            async with RedisStore(f"{server.url}?ssl_ca_certs={certificate[0]}") as store:
                await store.ping()
            async with RedisStore(server.url) as store:
                with pytest.raises(StoreUnavailable, match="certificate"):
                    await store.ping()
            async with RedisStore(f"{server.url}?ssl_cert_reqs=none") as store:
                await store.ping()

    run(main())


def test_what_is_not_installed_is_named() -> None:
    for missing in ("hiredis", "redis"):
        program = (
            f"import sys; sys.modules[{missing!r}] = None\nimport penstock\n"
            "try:\n    penstock.RedisStore()\n"
            "except ImportError as error:\n    print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout == "RedisStore needs the extra: pip install 'penstock[redis]'\n"


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://host", "schemes"),
        ("redis://host?nonsense=1", "no option nonsense"),
        ("redis://host?ssl_cert_reqs=none", "no option ssl_cert_reqs"),
        ("unix://", "path of a socket"),
        ("redis://host/-1", "must be >= 0"),
        ("redis://host?db=x", "db"),
    ],
)
def test_urls_that_are_none(url: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        RedisStore(url)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"namespace": ""}, ValueError),
        ({"namespace": 1}, TypeError),
        ({"name": None}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": "x"}, TypeError),
        ({"connect_timeout": -1}, ValueError),
        ({"backplane": "smoke"}, ValueError),
        ({"codec": "xml"}, ValueError),
        ({"codec": "pickle"}, ValueError),
        ({"secret": b"short"}, ValueError),
        ({"tombstone_ttl": 0}, ValueError),
        ({"url": 1}, TypeError),
    ],
)
def test_options_that_are_none(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        RedisStore(**options)
