"""
One of the processes that share a cache: it does what comes to its mind, and writes it all down.

It is told what to do by lines on stdin, and answers each with a line on stdout.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.stress.tiers_liars import LIARS

from penstock import RedisStore, SqliteStore, TieredCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from penstock.stores import Store

__all__ = ["KEYS", "TAGS", "Journal", "Worker"]

KEYS = tuple(f"{prefix}:{number}" for prefix in "ab" for number in range(3))
TAGS = ("red", "blue")
_PATTERNS = ("a:", "b:", "*:1", "*")
#: The key of barriers, which nothing else touches.
_BARRIER = "barrier"
#: Seconds after which something that should have happened has not.
_LIMIT = 30.0


class Journal:
    """What this process does, in a file that survives it: lines at the beginning and the end."""

    def __init__(self, path: str, process: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._process = process
        self._numbers = itertools.count(1)

    def begin(self, kind: str, names: Iterable[str], **rest: object) -> int:
        number = next(self._numbers)
        who = {"n": number, "process": self._process, "kind": kind, "names": [*names]}
        self._write({**who, "start": time.monotonic(), **rest})
        return number

    def end(self, number: int, **rest: object) -> None:
        self._write({"n": number, "end": time.monotonic(), **rest})

    def _write(self, entry: dict[str, object]) -> None:
        os.write(self._file, json.dumps(entry).encode() + b"\n")


class Worker:
    """
    A cache and those who use it.

    Args:
        process: Its number; no two have the same.
        seed: What decides what it does.
        journal: Where it is written down.
        options: Those of the cache.
        stores: Its tiers.
    """

    def __init__(
        self,
        process: int,
        seed: int,
        journal: Journal,
        stores: list[Store],
        options: dict[str, Any],
    ) -> None:
        self._process = process
        self._random = random.Random(seed)
        self._journal = journal
        self._numbers = itertools.count(1)
        self._cache = TieredCache(*stores, **options)
        self._users: list[asyncio.Task[None]] = []
        self._going = False
        self._does: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (30, self._get),
            (30, self._load),
            (5, self._get_many),
            (12, self._set),
            (3, self._set_many),
            (10, self._delete),
            (3, self._invalidate_tags),
            (3, self._invalidate_patterns),
        ]

    async def follow(self, line: str) -> str:
        """Do what a line says, and return the answer."""
        word, *rest = line.split()
        if word == "go":
            self._going = True
            self._users = [asyncio.create_task(self._use()) for _ in range(int(rest[0]))]
        elif word == "halt":
            self._going = False
            await asyncio.gather(*self._users)
        elif word == "settle":
            await self._until(self._settled)
        elif word == "mark":
            await self._until(lambda: self._cache.set(_BARRIER, rest[0]))
        elif word == "pass":
            number = self._journal.begin("passed", [rest[0]], start=float(rest[1]))
            await self._until(lambda: self._marked(rest[0]))
            self._journal.end(number)
        elif word == "close":
            await self._cache.aclose()
        return "done"

    async def _until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(_LIMIT):
            while not await true():  # noqa: ASYNC110 - it is another process that makes it so
                await asyncio.sleep(0.01)

    async def _settled(self) -> bool:
        """Whether all tiers answer again, have what they had missed, and tell what others do."""
        tiers = self._cache._tiers
        for tier in tiers:
            if tier.stats().state != "closed":
                tier._breaker.reset()  # it would wait for seconds, in which little can go wrong
        before = [tier.stats().errors for tier in tiers]
        await self._cache.get("nobody has this")
        return before == [tier.stats().errors for tier in tiers] and all(
            tier.stats().pending == 0
            and tier.stats().state == "closed"
            and getattr(tier.store.stats(), "listening", True)
            for tier in tiers
        )

    async def _marked(self, mark: str) -> bool:
        return await self._cache.get(_BARRIER) == mark

    async def _use(self) -> None:
        weights = [weight for weight, _ in self._does]
        while self._going:
            ((_, do),) = self._random.choices(self._does, weights)
            await do()
            await asyncio.sleep(self._random.choice((0, 0, 0.001, 0.003)))

    # -- what it does -----------------------------------------------------------------------------

    def _value(self) -> str:
        return f"{self._process}-{next(self._numbers)}"

    def _tags(self) -> tuple[str, ...]:
        return self._random.choice(((), TAGS[:1], TAGS[1:], TAGS))

    def _key(self) -> str:
        return self._random.choice(KEYS)

    async def _get(self) -> None:
        key = self._key()
        number = self._journal.begin("get", [key])
        self._journal.end(number, found={key: await self._cache.get(key)})

    async def _get_many(self) -> None:
        keys = self._random.sample(KEYS, 3)
        number = self._journal.begin("get", keys)
        self._journal.end(number, found=dict(await self._cache.get_many(keys)))

    async def _load(self) -> None:
        key, tags, seconds = self._key(), self._tags(), self._random.choice((0, 0.002, 0.01))

        async def loader(key: str) -> str:
            value = self._value()
            made = self._journal.begin("made", [key], value=value, tags=tags)
            await asyncio.sleep(seconds)
            self._journal.end(made)
            return value

        number = self._journal.begin("load", [key])
        value = await self._cache.get_or_load(key, loader, tags=tags)
        self._journal.end(number, found={key: value})

    async def _set(self) -> None:
        key, value, tags = self._key(), self._value(), self._tags()
        number = self._journal.begin("set", [key], value=value, tags=tags)
        self._journal.end(number, ok=await self._cache.set(key, value, tags=tags))

    async def _set_many(self) -> None:
        values = {key: self._value() for key in self._random.sample(KEYS, 2)}
        numbers = [self._journal.begin("set", [key], value=values[key]) for key in values]
        ok = await self._cache.set_many(values)
        for number in numbers:
            self._journal.end(number, ok=ok)

    async def _delete(self) -> None:
        keys = self._random.sample(KEYS, self._random.choice((1, 1, 2)))
        number = self._journal.begin("delete", keys)
        deleted = self._cache.delete_many(keys) if len(keys) > 1 else self._cache.delete(keys[0])
        self._journal.end(number, ok=await deleted)

    async def _invalidate_tags(self) -> None:
        tags = self._tags() or TAGS
        number = self._journal.begin("tags", tags)
        self._journal.end(number, ok=await self._cache.invalidate_tags(*tags))

    async def _invalidate_patterns(self) -> None:
        pattern = self._random.choice(_PATTERNS)
        as_glob = pattern if "*" in pattern else pattern + "*"
        number = self._journal.begin("patterns", [as_glob])
        if pattern == "*":
            ok = await self._cache.clear()
        elif pattern == as_glob:
            ok = await self._cache.invalidate_glob(pattern)
        else:
            ok = await self._cache.invalidate_prefix(pattern)
        self._journal.end(number, ok=ok)


def _stores(order: dict[str, Any]) -> list[Store]:
    stores: list[Store] = []
    if url := order.get("redis"):
        stores.append(RedisStore(url, namespace="checked", backplane=order["backplane"]))
    if path := order.get("sqlite"):
        store = LIARS[order["wrong"]] if order["wrong"] else SqliteStore
        stores.append(store(path))
    return stores


async def _main(order: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    journal = Journal(order["journal"], order["process"])
    worker = Worker(
        order["process"], order["seed"], journal, _stores(order), dict(order["options"])
    )
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while line := (await lines.readline()).decode().strip():
        print(await worker.follow(line), flush=True)
        if line == "close":
            break


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
