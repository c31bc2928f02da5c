"""`Pool`: how connections are handed out and given back."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import pytest
from tests.pooled import Conn, Maker, assert_adds_up, make_pool
from tests.steps import run

import penstock
from penstock import ClosedError, Pool, PoolTimeout


def test_a_connection_is_used_again() -> None:
    async def main() -> None:
        maker = Maker()
        async with make_pool(maker) as pool:
            for _ in range(3):
                async with pool.acquire() as conn:
                    assert await conn.ask(1) == 1
            assert maker.made == 1
            stats = pool.stats()
            assert (stats.size, stats.idle, stats.acquired, stats.connects) == (1, 1, 3, 1)
            assert stats.use_seconds == pytest.approx(0.03)
            assert stats.connect_seconds == pytest.approx(0.01)
        assert maker.open == set()

    run(main())


def test_an_idle_connection_is_had_without_a_step_of_the_loop() -> None:
    async def main() -> None:
        pool = make_pool()
        pool.release(await pool.acquire())
        conn = None

        async def use() -> None:
            nonlocal conn
            conn = await pool.acquire()
            pool.release(conn)
            async with pool.acquire() as conn:
                pass

        coroutine = use()
        with pytest.raises(StopIteration):
            coroutine.send(None)
        assert conn is not None
        await pool.aclose()

    run(main())


def test_what_was_used_last_is_handed_out_first() -> None:
    async def main() -> None:
        pool = make_pool()
        first, second = await pool.acquire(), await pool.acquire()
        pool.release(first)
        pool.release(second)
        assert await pool.acquire() is second
        assert await pool.acquire() is first
        pool.release(first)
        pool.release(second)
        await pool.aclose()

    run(main())


def test_the_factory_may_be_a_plain_function() -> None:
    async def main() -> None:
        maker = Maker()
        pool: Pool[Conn] = Pool(lambda: Conn(maker, 7))
        async with pool.acquire() as conn:
            assert conn.number == 7
        await pool.aclose()
        assert not maker.open

    run(main())


async def use_and_raise(pool: Pool[Conn], used: list[Conn], error: BaseException) -> None:
    async with pool.acquire() as conn:
        used.append(conn)
        raise error


@pytest.mark.parametrize("error", [ValueError("mine"), asyncio.CancelledError()])
def test_a_block_that_breaks_off_cuts_its_connection_off(error: BaseException) -> None:
    async def main() -> None:
        used: list[Conn] = []
        pool = make_pool(Maker())
        with pytest.raises(type(error)):
            await use_and_raise(pool, used, error)
        assert not used[0].is_alive
        assert pool.stats().closed_dirty == 1
        async with pool.acquire() as conn:
            assert conn.number == 2
        await pool.aclose()

    run(main())


def test_a_connection_that_is_clean_survives_an_error_of_the_block() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, is_clean=lambda conn: conn.asked is None)
        conn = await pool.acquire()
        pool.release(conn)
        with pytest.raises(ValueError, match="mine"):
            async with pool.acquire():
                raise ValueError("mine")
        assert (maker.made, conn.is_alive) == (1, True)
        async with pool.acquire() as conn:
            conn.asked = "this"
        assert not conn.is_alive, "it left in good order, but with a question open"
        async with pool.acquire() as conn:
            pass
        conn.asked = "broken while idle"
        async with pool.acquire() as conn:
            assert conn.number == 3
        await pool.aclose()

    run(main())


def test_an_is_clean_that_fails_finds_nothing_clean(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        maker = Maker()

        def is_clean(conn: Conn) -> bool:
            if conn.number == 1:
                raise OSError("who knows")
            return True

        pool = make_pool(maker, is_clean=is_clean)
        async with pool.acquire() as conn:
            assert conn.number == 2
        await pool.aclose()

    run(main())
    assert "is_clean failed" in caplog.text


def test_giving_back_may_discard() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, is_clean=lambda _: True)
        conn = await pool.acquire()
        pool.release(conn, discard=True)
        assert not conn.is_alive
        assert_adds_up(pool)
        await pool.aclose()

    run(main())


def test_what_was_not_leased_is_not_given_back() -> None:
    async def main() -> None:
        pool = make_pool()
        conn = await pool.acquire()
        pool.release(conn)
        with pytest.raises(RuntimeError, match="already"):
            pool.release(conn)
        with pytest.raises(RuntimeError, match="not one that this pool has leased"):
            pool.release(Conn(Maker(), 9))
        lease = pool.acquire()
        async with lease:
            with pytest.raises(RuntimeError, match="entered once"):
                await lease.__aenter__()
        assert_adds_up(pool)
        await pool.aclose()
        pool.release(conn)  # nothing is left to be done

    run(main())


def test_an_acquire_that_nobody_awaits_does_nothing() -> None:
    async def main() -> None:
        pool = make_pool()
        pool.acquire()
        assert pool.stats().size == 0
        await pool.aclose()

    run(main())


def test_a_reset_comes_before_the_next_user() -> None:
    async def main() -> None:
        maker = Maker()
        pool = make_pool(maker, max_size=1, reset=Conn.reset)
        async with pool.acquire():
            pass
        stats = pool.stats()
        assert (stats.resetting, stats.idle, stats.leased) == (1, 0, 0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with pool.acquire() as conn:
            assert loop.time() - began == pytest.approx(0.01)
            assert conn.number == 1
            maker.fails_resets = True
        async with pool.acquire() as conn:
            assert conn.number == 2
        await asyncio.sleep(1)
        assert pool.stats().closed_reset == 2
        await pool.aclose()

    run(main())


def test_a_reset_that_hangs_holds_up_nobody_for_longer_than_its_time() -> None:
    async def main() -> None:
        maker = Maker()
        maker.reset_seconds = 3600

        async def stubborn(conn: Conn) -> None:
            while True:
                try:
                    await conn.reset()
                except asyncio.CancelledError:
                    stopped.append(conn)
                    await asyncio.sleep(1)
                    return

        stopped: list[Conn] = []
        pool = make_pool(maker, max_size=1, reset=stubborn, reset_timeout=2, acquire_timeout=10)
        async with pool.acquire():
            pass
        began = asyncio.get_running_loop().time()
        async with pool.acquire() as conn:
            assert conn.number == 2
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.01)
        assert [each.number for each in stopped] == [1]
        await pool.aclose()
        await asyncio.sleep(5)

    run(main())


def test_a_connection_that_cannot_be_terminated_is_gone_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        def terminate(conn: Conn) -> None:
            conn.terminate()
            raise OSError("no")

        pool = make_pool(max_size=1, terminate=terminate)
        for _ in range(2):
            with pytest.raises(ValueError, match="mine"):
                async with pool.acquire():
                    raise ValueError("mine")
        assert pool.stats().closed_dirty == 2
        assert_adds_up(pool)
        await pool.aclose()

    run(main())
    assert "could not be terminated" in caplog.text


def test_a_factory_that_returns_the_same_again_is_told_so() -> None:
    async def main() -> None:
        only = Conn(Maker(), 1)
        pool: Pool[Conn] = Pool(lambda: only, max_size=2)
        async with pool.acquire():
            with pytest.raises(PoolTimeout) as caught:
                await pool.acquire(1)
        assert "that the pool has already" in str(caught.value.__cause__)
        await pool.aclose()

    run(main())


def test_defaults_close_what_has_a_close() -> None:
    class Plain:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    class Graceful:
        said = ""

        async def aclose(self) -> None:
            self.said += "bye"

        def abort(self) -> None:
            self.said += "aborted"

    async def main() -> None:
        plain, graceful, nothing = Plain(), Graceful(), object()
        for each in (plain, graceful, nothing):
            pool: Pool[Any] = Pool(lambda each=each: each)  # type: ignore[misc]
            async with pool.acquire():
                pass
            report = await pool.aclose()
            assert report == (1, 0, 0)
        assert (plain.closed, graceful.said) == (1, "bye")
        pool = Pool(lambda: graceful)
        pool.release(await pool.acquire(), discard=True)
        assert graceful.said == "byeaborted"
        await pool.aclose()

    run(main())


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"max_size": 0}, ValueError, "max_size must be >= 1, got 0"),
        ({"min_size": 11}, ValueError, r"min_size must be <= max_size \(10\), got 11"),
        ({"max_size": True}, TypeError, "max_size must be an int"),
        ({"acquire_timeout": "1"}, TypeError, "acquire_timeout|deadline"),
        ({"lifetime_jitter": 1}, ValueError, "lifetime_jitter must be >= 0 and < 1"),
        ({"max_idle": 0}, ValueError, "max_idle"),
        ({"keepalive": 1}, ValueError, "keepalive needs a check"),
        ({"check": 1}, TypeError, "check must be callable, got int"),
        ({"terminate": Conn.close}, TypeError, "terminate must be a plain function"),
        ({"is_clean": Conn.check}, TypeError, "is_clean must be a plain function"),
        ({"connect_backoff": 1}, TypeError, "connect_backoff must be"),
        ({"connect_backoff": (2, 1)}, ValueError, "must not end below its base"),
        ({"max_connecting": 0}, ValueError, "max_connecting must be >= 1"),
        ({"max_waiters": -1}, ValueError, "max_waiters must be >= 0"),
        ({"timer": 1}, TypeError, "timer must be callable"),
        ({"name": 1}, TypeError, "name must be a str"),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        make_pool(**options)


def test_a_factory_is_needed() -> None:
    with pytest.raises(TypeError, match="factory must be callable, got NoneType"):
        Pool(None)  # type: ignore[arg-type]


def test_durations_may_be_timedeltas() -> None:
    async def main() -> None:
        pool = make_pool(max_size=1, acquire_timeout=timedelta(seconds=2))
        async with pool.acquire(timedelta(seconds=1)):
            with pytest.raises(PoolTimeout, match="within 2 s"):
                await pool.acquire()
        await pool.aclose()

    run(main())


def test_it_says_what_it_is() -> None:
    async def main() -> None:
        pool = make_pool(max_size=3, name="things")
        assert repr(pool) == "Pool(0 of 0 in use, max_size=3, name='things')"
        assert (pool.name, pool.closed) == ("things", False)
        async with pool.acquire():
            assert repr(pool).startswith("Pool(1 of 1 in use")
        await pool.aclose()
        assert pool.closed
        assert repr(pool).startswith("Pool(closed")
        with pytest.raises(ClosedError, match="closed"):
            await pool.acquire()

    run(main())


def test_metrics_show_it_under_its_name() -> None:
    from penstock import _components

    async def main() -> None:
        pool = make_pool(name="shown")
        pool.release(await pool.acquire())
        kind, stats = _components.stats_of(pool)
        assert kind.name == "pool"
        fields = {field.attribute for field in kind.fields}
        assert all(hasattr(stats, field) for field in fields)
        assert fields == set(type(stats).__slots__)  # type: ignore[attr-defined]
        assert any(entry.name == "shown" for entry in _components.entries())
        await pool.aclose()

    run(main())


@pytest.mark.parametrize(
    ("module", "inner", "make", "extra"),
    [
        ("redis.asyncio", "_redis_connection", penstock.redis_pool, "redis"),
        ("aiohttp", "_http_session", penstock.HttpPool, "http"),
    ],
)
def test_what_has_to_be_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, inner: str, make: Any, extra: str
) -> None:
    from penstock import pools

    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"penstock.pools.{inner}", raising=False)
    monkeypatch.delattr(pools, inner, raising=False)
    with pytest.raises(ImportError, match=rf"needs the extra: pip install 'penstock\[{extra}\]'"):
        make()
