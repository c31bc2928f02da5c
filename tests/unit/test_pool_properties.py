"""`Pool` under arbitrary users, factories, checks, resets and closes; on a virtual loop."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.loading import settle
from tests.pooled import Conn, Maker, assert_adds_up, assert_usable

from penstock import LimitExceeded, Pool, PoolTimeout
from penstock.bench._virtual_loop import VirtualLoop

#: How what the pool calls goes: in time, late, by failing, not at all, or not even if cancelled.
FATES = st.sampled_from(["good", "good", "slow", "bad", "hang", "stubborn"])
_PAUSES = {"good": 0.01, "slow": 0.6, "bad": 0.02, "hang": 3600.0, "stubborn": 3600.0}


class Fickle(Maker):
    """What is done to connections goes as the machine says."""

    def __init__(self) -> None:
        super().__init__()
        self.fates: dict[str, str] = {}

    async def meet(self, what: str) -> None:
        fate = self.fates.get(what, "good")
        try:
            await asyncio.sleep(_PAUSES[fate])
        except asyncio.CancelledError:
            if fate != "stubborn":
                raise
            await asyncio.sleep(0.3)
        if fate == "bad":
            raise OSError(what)

    async def __call__(self) -> Conn:
        await self.meet("factory")
        self.made += 1
        return Conn(self, self.made)

    def act(self, what: str) -> Any:
        async def act(conn: Conn) -> None:
            assert conn.asked is None
            conn.asked = what
            await self.meet(what)
            conn.asked = None

        return act

    async def close(self, conn: Conn) -> None:
        await self.meet("close")
        conn.terminate()


class Machine(RuleBasedStateMachine):
    """Users come, ask, leave and are cancelled; time passes; the pool changes its size."""

    def __init__(self) -> None:
        super().__init__()
        random.seed(0)
        self.loop = VirtualLoop()
        self.maker = Fickle()
        self.reports: list[object] = []
        self.loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self.pool: Pool[Conn] = Pool(
            self.maker,
            max_size=3,
            max_waiters=6,
            acquire_timeout=3,
            max_idle=20,
            max_lifetime=40,
            check=self.maker.act("check"),
            check_after=0.5,
            check_timeout=0.5,
            keepalive=8,
            reset=self.maker.act("reset"),
            reset_timeout=0.5,
            close=self.maker.close,
            connect_timeout=0.5,
            connect_backoff=(0.05, 0.5),
        )
        self.users: list[asyncio.Task[str]] = []
        self.ended = 0

    def do(self, main: Any) -> Any:
        return self.loop.run_until_complete(main)

    async def use(self, seconds: float, fails: bool) -> str:
        try:
            async with self.pool.acquire() as conn:
                await conn.ask(id(conn), seconds)
                assert not fails
        except PoolTimeout:
            return "late"
        except LimitExceeded:
            return "refused"
        except AssertionError:
            if not fails:
                raise
            return "failed"
        return "done"

    @rule(seconds=st.sampled_from([0, 0.1, 1, 5]), fails=st.booleans(), steps=st.integers(0, 4))
    def come(self, seconds: float, fails: bool, steps: int) -> None:
        self.users.append(self.loop.create_task(self.use(seconds, fails)))
        self.do(settle(steps))

    @precondition(lambda self: self.users)
    @rule(data=st.data(), steps=st.integers(0, 4))
    def cancel(self, data: st.DataObject, steps: int) -> None:
        data.draw(st.sampled_from(self.users)).cancel()
        self.do(settle(steps))

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.5, 3, 9, 30]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule(steps=st.integers(1, 5))
    def step(self, steps: int) -> None:
        self.do(settle(steps))

    @rule(what=st.sampled_from(["factory", "check", "reset", "close"]), fate=FATES)
    def change(self, what: str, fate: str) -> None:
        self.maker.fates[what] = fate

    @rule(low=st.integers(0, 2), more=st.integers(0, 3))
    def resize(self, low: int, more: int) -> None:
        self.pool.resize(min_size=low, max_size=max(low + more, 1))

    @invariant()
    def adds_up(self) -> None:
        assert_adds_up(self.pool)
        assert self.reports == []

    def teardown(self) -> None:
        try:
            self.do(self.end())
            assert self.reports == []
        finally:
            self.loop.close()

    async def end(self) -> None:
        self.maker.fates.clear()
        self.pool.resize(min_size=0, max_size=3)
        await asyncio.sleep(10)
        for user in self.users:
            with suppress(asyncio.CancelledError):
                assert await user in {"done", "late", "refused", "failed"}
        assert_adds_up(self.pool)
        await assert_usable(self.pool)
        await self.pool.aclose()
        await asyncio.sleep(10)
        assert self.maker.open == set()
        assert len(asyncio.all_tasks()) == 1


TestMachine = Machine.TestCase
TestMachine.settings = settings(stateful_step_count=30)
