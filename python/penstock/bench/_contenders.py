"""penstock's two backends and the standard library; peers are added by whoever has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._batching_contenders import BATCHING
from penstock.bench._executor_contenders import EXECUTORS
from penstock.bench._files_contenders import FILES
from penstock.bench._flow_contenders import FLOW
from penstock.bench._functions_contenders import FUNCTIONS
from penstock.bench._hub_contenders import HUBS
from penstock.bench._metrics_contenders import METRICS
from penstock.bench._model import Backend, Contender
from penstock.bench._pool_contenders import POOLS
from penstock.bench._recorder_contenders import RECORDERS
from penstock.bench._redis_contenders import REDIS
from penstock.bench._simulation_limits import LIMITS
from penstock.bench._sqlite_contenders import SQLITES
from penstock.bench._stores_contenders import STORES
from penstock.bench._tiers_contenders import TIERS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BUILTIN", "CACHE_KINDS", "cache", "function"]

CACHE_KINDS: Final = ("cache", "memory", "threads", "hit-ratio")
_NO_RATIO: Final = ("cache", "memory", "threads")


def cache(
    name: str,
    make: str,
    *,
    kinds: Sequence[str] = CACHE_KINDS,
    ops: dict[str, str] | None = None,
    bind: str = "get = c.get",
    reset: str = "",
    needs: str | None = None,
    backend: Backend | None = None,
) -> Contender:
    """
    Describe a cache that answers like a mapping; *ops* overrides or, with "", removes operations.

    The operations: ``get`` (and ``miss``, a get of an absent key), ``contains``, ``set`` (and
    ``new``, a set of an absent key), and ``hit``, an expression that is true if ``k`` is there.
    """
    usual = {"get": "get(k)", "contains": "k in c", "set": "c[k] = v", "hit": "get(k) is not None"}
    merged = usual | (ops or {})
    merged = {"miss": merged["get"], "new": merged["set"]} | merged
    merged = {op: text for op, text in merged.items() if text}
    return Contender(name, frozenset(kinds), make, merged, bind, reset, needs, backend)


def function(
    name: str,
    kinds: Sequence[str],
    make: str,
    *,
    needs: str | None = None,
    backend: Backend | None = None,
) -> Contender:
    """Describe a decorator: *make* rebinds ``f``."""
    return Contender(name, frozenset(kinds), make, needs=needs, backend=backend)


def _ours(backend: Backend) -> list[Contender]:
    suffix = "" if backend == "native" else " (pure)"
    per_entry = {"set": "put(k, v, ttl=3600)"}
    decorated = ("sync", "async", "stampede", "stampede-threads")
    return [
        cache(f"penstock Cache{suffix}", "c = penstock.Cache(n)", backend=backend),
        cache(
            f"penstock Cache, TTL{suffix}",
            "c = penstock.Cache(n, ttl=3600)",
            kinds=_NO_RATIO,
            backend=backend,
        ),
        cache(
            f"penstock Cache, TTL per entry{suffix}",
            "c = penstock.Cache(n)",
            kinds=("cache", "memory"),
            ops=per_entry,
            bind="get = c.get\nput = c.set",
            backend=backend,
        ),
        function(
            f"penstock cached{suffix}",
            decorated,
            "f = penstock.cached(maxsize=1024)(f)",
            backend=backend,
        ),
        function(
            f"penstock cached, TTL{suffix}",
            ("sync", "async"),
            "f = penstock.cached(maxsize=1024, ttl=3600)(f)",
            backend=backend,
        ),
    ]


_LRU_CACHE: Final = cache(
    "functools.lru_cache",
    "import functools\nc = functools.lru_cache(maxsize=n)(lambda k: k)",
    kinds=_NO_RATIO,
    # It has no lookup that does not store, and no way to replace a value.
    ops={"get": "c(k)", "new": "c(k)", "miss": "", "set": "", "contains": "", "hit": ""},
    bind="",
)

BUILTIN: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    cache("dict", "c = {}", kinds=_NO_RATIO, reset="c.clear()"),
    _LRU_CACHE,
    function("plain function, no cache", ("sync",), ""),
    function("plain async def, no cache", ("async",), ""),
    function(
        "functools.lru_cache",
        ("sync", "stampede-threads"),
        "import functools\nf = functools.lru_cache(maxsize=1024)(f)",
    ),
    *FUNCTIONS,
    *METRICS,
    *FLOW,
    *LIMITS,
    *EXECUTORS,
    *BATCHING,
    *SQLITES,
    *STORES,
    *REDIS,
    *TIERS,
    *POOLS,
    *HUBS,
    *RECORDERS,
    *FILES,
    function("bare interpreter", ("import",), "pass"),
    function("import asyncio", ("import",), "import asyncio"),
    function("import penstock", ("import",), "import penstock"),
    function(
        "from penstock import Cache, cached",
        ("import",),
        "from penstock import Cache, cached",
    ),
    function("import penstock.metrics", ("import",), "import penstock.metrics"),
)
