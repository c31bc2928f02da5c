"""Another process with a cache: it does what lines of JSON on stdin say, and answers in kind."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock import RedisStore, SqliteStore, TieredCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from penstock.stores import Store

__all__ = ["Peer", "peer", "store_of"]

#: Seconds after which something that should have happened has not.
_LIMIT = 20.0
#: Seconds that a store may take, as in conftest.py.
_PATIENCE = 3.0
_ROOT = Path(__file__).parents[2]


def store_of(address: str, **options: Any) -> Store:
    """Return the store at a URL or in a file."""
    return (
        RedisStore(address, **{"timeout": _PATIENCE, **options})
        if address.startswith("redis:")
        else SqliteStore(address, **options)
    )


class Peer:
    """The other process, as this one sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        #: Keys that are being loaded there.
        self.loading: asyncio.Queue[str] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen())

    def ask(self, call: str, *args: object, **rest: Any) -> asyncio.Future[Any]:
        """
        Have a method of the cache called, and return the future of its result.

        Args:
            call: The method.
            args: Its arguments.
            rest: Its options. ``load=`` is what its loader gives; if ``hold=`` is true it waits
                for ``go()`` before.
        """
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        order = {"number": number, "call": call, "args": args, "options": rest}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        return answer

    def go(self) -> None:
        """Let all loads end."""
        self.ask("go")

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said = json.loads(line)
            if "loading" in said:
                self.loading.put_nowait(said["loading"])
            elif not (answer := self._answers.pop(said["number"])).done():
                answer.set_result(said["result"])

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def aclose(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._task


@contextlib.asynccontextmanager
async def peer(address: str, *, store: Any = None, **options: Any) -> AsyncIterator[Peer]:
    """
    Run another process with a cache, for the length of the block.

    Args:
        address: The URL of a Redis server, or the path of a SQLite file.
        store: Options of its store.
        options: Of its cache.
    """
    order = {"address": address, "store": store or {}, "options": {"ttl": 60.0, **options}}
    path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "faulthandler", "-m", __name__, json.dumps(order)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    other = Peer(process)
    try:
        async with asyncio.timeout(_LIMIT):
            await other.ask("ready")
        yield other
    finally:
        await other.aclose()


# --- the other process ----------------------------------------------------------------------------


async def _answer(cache: TieredCache, order: dict[str, Any], may_go: asyncio.Event) -> None:
    options = order["options"]
    load, hold = options.pop("load", None), options.pop("hold", False)

    async def loader(key: str) -> object:
        print(json.dumps({"loading": key}), flush=True)
        if hold:
            await may_go.wait()
        return load

    result: object = None
    if order["call"] == "go":
        may_go.set()
    elif order["call"] == "get_or_load":
        (key,) = order["args"]
        result = await cache.get_or_load(key, loader, **options)
    elif order["call"] != "ready":
        result = await getattr(cache, order["call"])(*order["args"], **options)
    print(json.dumps({"number": order["number"], "result": result}), flush=True)


async def _main(order: dict[str, Any]) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    may_go = asyncio.Event()
    options = {"store_timeout": _PATIENCE, **order["options"]}
    cache = TieredCache(store_of(order["address"], **order["store"]), **options)
    async with cache, asyncio.TaskGroup() as group:
        while line := await lines.readline():
            group.create_task(_answer(cache, json.loads(line), may_go))


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
