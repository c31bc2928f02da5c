"""The peers of flow control, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import CROWD, Contender, flow

__all__ = ["FLOW_PEERS"]

_LIMITERS: Final = (
    flow(
        "aiolimiter",
        "limiter",
        # A rate that nobody reaches.
        "import aiolimiter\nc = aiolimiter.AsyncLimiter(1e9, 1)",
        ("enter",),
        needs="aiolimiter",
    ),
    flow(
        "anyio CapacityLimiter",
        "limiter",
        f"import anyio\nc = anyio.CapacityLimiter({CROWD})",
        ("enter", "turn"),
        needs="anyio",
    ),
)

_CALLS: Final = {"await": "await f()", "call": "g()"}
_RETRIES: Final = (
    flow(
        "tenacity",
        "retry",
        """\
import tenacity
again = tenacity.retry(
    stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random_exponential(0.1), reraise=True
)
c = again(f), again(g)
""",
        _CALLS,
        bind="f, g = c",
        needs="tenacity",
    ),
    flow(
        "stamina",
        "retry",
        "import stamina\nagain = stamina.retry(on=Exception, attempts=3)\nc = again(f), again(g)",
        _CALLS,
        bind="f, g = c",
        needs="stamina",
    ),
)

_BREAKERS: Final = (
    flow(
        "pybreaker, block",
        "breaker",
        # Its coroutines are those of tornado.
        "import pybreaker\nc = pybreaker.CircuitBreaker(), g",
        {"call": "with calling():\n    g()"},
        bind="c, g = c\ncalling = c.calling",
        needs="pybreaker",
    ),
    flow(
        "pybreaker, decorator",
        "breaker",
        "import pybreaker\nc = pybreaker.CircuitBreaker()(g)",
        {"call": "c()"},
        needs="pybreaker",
    ),
    flow(
        "purgatory, block",
        "breaker",
        """\
import purgatory
again, once = purgatory.AsyncCircuitBreakerFactory(), purgatory.SyncCircuitBreakerFactory()
c = again.get_breaker, once.get_breaker, f, g
""",
        {
            "await": 'async with await breaker("a"):\n    await f()',
            "call": 'with sync_breaker("a"):\n    g()',
        },
        bind="breaker, sync_breaker, f, g = c",
        needs="purgatory",
    ),
    flow(
        "purgatory, decorator",
        "breaker",
        """\
import purgatory
c = purgatory.AsyncCircuitBreakerFactory()("a")(f), purgatory.SyncCircuitBreakerFactory()("a")(g)
""",
        _CALLS,
        bind="f, g = c",
        needs="purgatory",
    ),
)

_MAPS: Final = (
    flow(
        # Its amap gives results as they come; this keeps their order, as all others here do.
        "aiometer.run_all",
        "map",
        "import aiometer\nc = aiometer.run_all",
        {"map": "found = await c([partial(pause, x) for x in items], max_at_once=100)"},
        bind="from functools import partial",
        needs="aiometer",
    ),
)

FLOW_PEERS: Final[tuple[Contender, ...]] = (*_LIMITERS, *_RETRIES, *_BREAKERS, *_MAPS)
