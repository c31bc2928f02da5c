"""Processes that share a cache, and what happens to them and to what is between and behind them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fault_proxy import FaultProxy
from tests.redis_servers import RedisServer
from tests.stress.tiers_history import History, read_history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Arrangement", "Crew", "hired"]

#: Seconds after which something that should have happened has not.
_LIMIT = 40.0
#: Seconds that a process may take to say why it ends; characters that are shown of that.
_GRACE = 5.0
_MOST = 10_000
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Arrangement:
    """
    What the processes share.

    Attributes:
        redis: Whether there is one.
        sqlite: Whether there is a file behind that.
        backplane: That of the RedisStore.
        options: Those of the caches.
        bound: See `History`.
        wrong: What the store does wrong, of `LIARS`; nothing by default.
    """

    redis: bool = True
    sqlite: bool = False
    backplane: str = "pubsub"
    options: dict[str, Any] = field(default_factory=dict)
    bound: float | None = None
    wrong: str = ""


class _Member:
    """One process, and the file of its errors."""

    def __init__(
        self, process: asyncio.subprocess.Process, proxy: FaultProxy | None, errors: Path
    ) -> None:
        self.process = process
        self.proxy = proxy
        self._errors = errors

    async def tell(self, line: str) -> None:
        """Say a line, and wait for the answer to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.hear("done")

    async def hear(self, expected: str) -> None:
        assert self.process.stdout is not None
        answer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                answer = await self.process.stdout.readline()
        if answer is None or answer.decode().strip() != expected:
            raise AssertionError(f"not {expected!r}, but {answer!r}: {await self._end()}")

    async def leave(self) -> None:
        """Wait for its end, which is to be a good one."""
        async with asyncio.timeout(_LIMIT):
            code = await self.process.wait()
        assert code == 0, await self._end()

    async def _end(self) -> str:
        """Return what it has said of its end; one that hangs says where."""
        for number in (0, signal.SIGABRT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if number:
                    self.process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self.process.wait()
                    break
        errors = self._errors.read_text(errors="replace")[-_MOST:]
        return f"a process ended with {self.process.returncode}:\n{errors}"

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


class Crew:
    """
    All of them.

    Args:
        arrangement: What they share.
        folder: For their files.
        seed: What decides what happens.
    """

    def __init__(self, arrangement: Arrangement, folder: Path, seed: int) -> None:
        self._arrangement = arrangement
        self._folder = folder
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._marks = itertools.count(1)
        self._members: list[_Member] = []
        self._journals: list[Path] = []
        self._exits = contextlib.AsyncExitStack()
        self._redis: RedisServer | None = None
        #: What was done to them, to be told when something is wrong.
        self.events: list[str] = []

    async def start(self, size: int) -> None:
        if self._arrangement.redis:
            server = RedisServer(appendonly=True, appendfsync="always")
            self._redis = self._exits.enter_context(server)
        await asyncio.gather(*(self._hire() for _ in range(size)))

    async def aclose(self) -> None:
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                await member.kill()
        await self._exits.aclose()

    async def _hire(self) -> _Member:
        number = next(self._numbers)
        proxy = None
        order = {
            "process": number,
            "seed": self._random.randrange(1 << 30),
            "journal": str(self._folder / f"journal-{number}"),
            "options": self._arrangement.options,
            "backplane": self._arrangement.backplane,
            "wrong": self._arrangement.wrong,
        }
        if self._redis is not None:
            proxy = await self._exits.enter_async_context(FaultProxy(*self._redis.address))
            order["redis"] = self._redis.url_at(proxy.port)
        if self._arrangement.sqlite:
            order["sqlite"] = str(self._folder / "cache.db")
        errors = self._folder / f"errors-{number}"
        path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with errors.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "faulthandler", "-m", "tests.stress.tiers_worker"),
                json.dumps(order),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
            )
        member = _Member(process, proxy, errors)
        self._members.append(member)
        self._journals.append(Path(str(order["journal"])))
        await member.hear("ready")
        return member

    async def tell(self, line: str) -> None:
        """Say a line to all of them, and wait for their answers."""
        await asyncio.gather(*(member.tell(line) for member in self._members))

    # -- rounds -----------------------------------------------------------------------------------

    async def round(self, faults: int, *, users: int = 3) -> None:
        """
        Let them work while things go wrong; then all is made good, and they come to agree.

        Args:
            faults: How many things happen.
            users: How many tasks of each process use the cache.
        """
        await self.tell(f"go {users}")
        for _ in range(faults):
            await self._pause(0.1)
            happens = self._random.choice(self._possible())
            self.events.append(f"{time.monotonic():.6f} {happens.__name__}")
            await happens()
            if self._random.random() < 0.6:
                # Little can go wrong while nothing goes.
                await self.tell("settle")
                await self._pause(0.3)
        await self._pause(0.2)
        await self.tell("halt")
        await self._agree()
        # What is read now has to be as new as the barrier, if not newer.
        await self.tell(f"go {users}")
        await self._pause(0.1)
        await self.tell("halt")

    async def _agree(self) -> None:
        """
        Bring everybody to where no message is under way to him.

        Messages come in the order in which they were sent. Who sees the second mark has been
        told of it, since he had the first; and of all that was before.
        """
        await self.tell("settle")
        for _ in range(2):
            mark, start = f"mark-{next(self._marks)}", time.monotonic()
            await self._members[0].tell(f"mark {mark}")
            await self.tell(f"pass {mark} {start}")

    async def finish(self) -> None:
        """Let them close in good order."""
        await self.tell("close")
        for member in self._members:
            await member.leave()

    def problems(self) -> list[str]:
        """Return what cannot be true in what they have written down."""
        history = History(read_history(self._journals), self._arrangement.bound)
        assert any(event.value for event in history.events if event.kind == "get")
        return history.problems()

    # -- what goes wrong --------------------------------------------------------------------------

    def _possible(self) -> list[Callable[[], Awaitable[None]]]:
        possible: list[Callable[[], Awaitable[None]]] = [self._kill_one, self._stop_one]
        if self._redis is not None:
            possible += [self._freeze_redis, self._restart_redis, self._empty_redis]
            possible += [self._cut, self._refuse, self._hold, self._swallow, self._split]
        if self._arrangement.sqlite:
            possible.append(self._lock_file)
        return possible

    async def _pause(self, seconds: float) -> None:
        """Let them work for a while: this is how long things last, not how long one waits."""
        await asyncio.sleep(self._random.uniform(seconds / 3, seconds))

    async def _kill_one(self) -> None:
        member = self._members.pop(self._random.randrange(len(self._members)))
        await member.kill()
        await (await self._hire()).tell("go 3")

    async def _stop_one(self) -> None:
        member = self._random.choice(self._members)
        member.process.send_signal(signal.SIGSTOP)
        await self._pause(0.5)
        member.process.send_signal(signal.SIGCONT)

    async def _freeze_redis(self) -> None:
        assert self._redis is not None
        self._redis.freeze()
        await self._pause(0.8)
        self._redis.thaw()

    async def _restart_redis(self) -> None:
        assert self._redis is not None
        self._redis.kill()
        await self._pause(0.3)
        await asyncio.to_thread(self._redis.start)

    async def _empty_redis(self) -> None:
        assert self._redis is not None
        await asyncio.to_thread(self._redis.restart, kill=True, forget=True)

    def _a_proxy(self) -> FaultProxy:
        proxy = self._random.choice(self._members).proxy
        assert proxy is not None
        return proxy

    async def _cut(self) -> None:
        self._a_proxy().cut_after(self._random.randrange(200), reset=self._random.random() < 0.5)

    async def _refuse(self) -> None:
        proxy = self._a_proxy()
        proxy.refuse()
        await self._pause(0.4)
        await proxy.heal()

    async def _hold(self) -> None:
        proxy = self._a_proxy()
        self._random.choice((proxy.hold, proxy.freeze))()
        await self._pause(0.6)
        await proxy.heal()

    async def _swallow(self) -> None:
        """What is asked for happens, and nobody hears of it."""
        proxy = self._a_proxy()
        proxy.swallow()
        await self._pause(0.1)
        proxy.drop()
        await proxy.heal()

    async def _split(self) -> None:
        self._a_proxy().split(self._random.randrange(1, 9))

    async def _lock_file(self) -> None:
        with contextlib.closing(
            sqlite3.connect(self._folder / "cache.db", isolation_level=None, timeout=5)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            await self._pause(0.4)
            other.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def hired(
    arrangement: Arrangement, folder: Path, seed: int, *, size: int = 3
) -> AsyncIterator[Crew]:
    """A crew at work, for the length of the block."""
    crew = Crew(arrangement, folder, seed)
    try:
        await crew.start(size)
        yield crew
    finally:
        await crew.aclose()
