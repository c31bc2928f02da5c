"""Contenders of the flow rows: penstock's own and the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._model import Backend, Contender

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BARE", "CROWD", "FLOW", "NO_OPS", "flow"]

#: How many may be in at once, where many want to.
CROWD: Final = 10
#: What is wrapped: ``f`` is a coroutine function, ``g`` a function, ``items`` has numbers, and
#: ``pause`` takes one, comes back after ``seconds``, and returns it.
NO_OPS: Final = """\
import asyncio
async def f():
    pass
def g():
    pass
async def pause(item):
    await asyncio.sleep(seconds)
    return item
"""
_ENTER: Final = "async with c:\n    pass"
_WITH: Final = "with c:\n    pass"
_TURN: Final = "async with c:\n    await sleep(0)"


def flow(
    name: str,
    kind: str,
    make: str,
    ops: Mapping[str, str] | tuple[str, ...],
    *,
    bind: str = "",
    needs: str | None = None,
    backend: Backend | None = None,
) -> Contender:
    """
    Describe what takes part in rows of flow control; *make* builds ``c`` on the running loop.

    The operations by kind: of ``limiter`` ``enter`` (a block of ``async with``), ``with`` and
    ``turn`` (a block that lets others run), which are the same text for all, so that their names
    suffice; of ``retry`` ``await`` and ``call``; of ``breaker`` the same; of ``map`` ``map``,
    which goes over ``items`` with ``pause``, 100 at once, and assigns the list of what came back
    to ``found``; of ``executor`` those of ``_executor_rows``.
    """
    usual = {"enter": _ENTER, "with": _WITH, "turn": _TURN}
    texts = {op: usual[op] for op in ops} if isinstance(ops, tuple) else ops
    return Contender(name, frozenset({kind}), make, dict(texts), bind, needs=needs, backend=backend)


#: What is taken off, where only what comes above the call itself is of interest.
BARE: Final = flow(
    "bare call", "breaker", "c = f, g", {"await": "await f()", "call": "g()"}, bind="f, g = c"
)

_EVERYWHERE: Final = ("enter", "with", "turn")
_RETRY: Final = {"await": "await f()", "call": "g()"}
_BY_HAND: Final = """\
async def again():
    for attempt in range(3):
        try:
            return await f()
        except Exception:
            if attempt == 2:
                raise
            await asyncio.sleep(0.1)
def once_more():
    for attempt in range(3):
        try:
            return g()
        except Exception:
            if attempt == 2:
                raise
            time.sleep(0.1)
import time
c = again, once_more
"""
_BREAKER_BLOCK: Final = {
    "await": "async with c:\n    await f()",
    "call": "with c:\n    g()",
}
_GATHERED: Final = """\
async def c(limited):
    slots = asyncio.Semaphore(100)
    async def one(item):
        async with slots:
            return await pause(item)
    return await asyncio.gather(*[one(item) if limited else pause(item) for item in items])
"""


def _ours(backend: Backend) -> list[Contender]:
    suffix = "" if backend == "native" else " (pure)"

    def one(
        name: str, kind: str, make: str, ops: Mapping[str, str] | tuple[str, ...], bind: str = ""
    ) -> Contender:
        return flow(f"penstock {name}{suffix}", kind, make, ops, bind=bind, backend=backend)

    return [
        one("Limiter", "limiter", f"c = penstock.Limiter({CROWD})", _EVERYWHERE),
        one(
            "Limiter, adaptive",
            "limiter",
            "c = penstock.Limiter(penstock.flow.aimd(1.0))",
            _EVERYWHERE,
        ),
        one("RateLimiter", "limiter", "c = penstock.RateLimiter(1e9, 1000)", ("enter", "with")),
        one(
            "retry",
            "retry",
            "again = penstock.retry(attempts=3)\nc = again(f), again(g)",
            _RETRY,
            "f, g = c",
        ),
        one(
            "CircuitBreaker, block",
            "breaker",
            "c = penstock.CircuitBreaker(), f, g",
            _BREAKER_BLOCK,
            "c, f, g = c",
        ),
        one(
            "CircuitBreaker, decorator",
            "breaker",
            "breaker = penstock.CircuitBreaker()\nc = breaker(f), breaker(g)",
            _RETRY,
            "f, g = c",
        ),
        one(
            "map_concurrent",
            "map",
            "c = penstock.flow.map_concurrent",
            {"map": "found = await c(pause, items, limit=100)"},
        ),
    ]


FLOW: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    flow("asyncio.Semaphore", "limiter", f"c = asyncio.Semaphore({CROWD})", ("enter", "turn")),
    flow("asyncio.Lock", "limiter", "c = asyncio.Lock()", ("enter",)),
    flow(
        "threading.Semaphore",
        "limiter",
        f"import threading\nc = threading.Semaphore({CROWD})",
        ("with",),
    ),
    flow(
        "no limit, nullcontext",
        "limiter",
        "import contextlib\nc = contextlib.nullcontext()",
        _EVERYWHERE,
    ),
    flow("by hand", "retry", _BY_HAND, _RETRY, bind="f, g = c"),
    flow("bare call", "retry", "c = f, g", _RETRY, bind="f, g = c"),
    flow("one after another", "map", "c = pause", {"map": "found = [await c(x) for x in items]"}),
    flow("asyncio.gather, no limit", "map", _GATHERED, {"map": "found = await c(False)"}),
    flow("asyncio.gather and Semaphore", "map", _GATHERED, {"map": "found = await c(True)"}),
)
