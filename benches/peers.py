"""
The peers, as contenders: what to build and what each operation is called, nothing else.

The engine, the rows, penstock and the standard library are in ``penstock.bench``; the scripts of
this folder add these peers to its rows, so that each operation is written once.
"""

from __future__ import annotations

from typing import Final

from batching_peers import BATCHING_PEERS
from files_peers import FILES_PEERS
from flow_peers import FLOW_PEERS
from hub_peers import HUB_PEERS
from metrics_peers import METRICS_PEERS
from penstock.bench import Contender, cache, function
from pool_peers import POOL_PEERS
from recorder_peers import RECORDER_PEERS
from redis_peers import REDIS_PEERS
from sqlite_peers import SQLITE_PEERS
from stores_peers import STORES_PEERS
from tiers_peers import TIERS_PEERS

__all__ = ["PEERS"]

_SINGLE: Final = ("cache", "memory", "hit-ratio")
_NO_RATIO: Final = ("cache", "memory", "threads")

_CACHES: Final[tuple[Contender, ...]] = (
    cache(
        "cachebox LRUCache",
        "import cachebox\nc = cachebox.LRUCache(n)",
        needs="cachebox",
    ),
    cache(
        "cachebox TTLCache",
        "import cachebox\nc = cachebox.TTLCache(n, 3600)",
        kinds=_NO_RATIO,
        needs="cachebox",
    ),
    cache(
        "cachebox VTTLCache",
        "import cachebox\nc = cachebox.VTTLCache(n)",
        kinds=("cache", "memory"),
        ops={"set": "put(k, v, 3600)"},
        bind="get = c.get\nput = c.insert",
        needs="cachebox",
    ),
    cache("lru-dict", "import lru\nc = lru.LRU(n)", needs="lru-dict"),
    cache(
        "moka-py",
        "import moka_py\nc = moka_py.Moka(n)",
        # No `in`.
        ops={"set": "put(k, v)", "contains": ""},
        bind="get = c.get\nput = c.set",
        needs="moka-py",
    ),
    cache(
        "cachetools LRUCache",
        "import cachetools\nc = cachetools.LRUCache(n)",
        kinds=_SINGLE,
        needs="cachetools",
    ),
    cache(
        "cachetools TTLCache",
        "import cachetools\nc = cachetools.TTLCache(n, 3600)",
        kinds=("cache", "memory"),
        needs="cachetools",
    ),
    cache(
        "cachetools LRUCache with a Lock",
        # Not thread-safe by itself: its documentation asks the caller for a lock.
        "import cachetools, threading\nc = cachetools.LRUCache(n)\nc.lock = threading.Lock()",
        kinds=("threads",),
        ops={"get": "with lock:\n    get(k)", "set": "with lock:\n    c[k] = v", "hit": "k in c"},
        bind="get = c.get\nlock = c.lock",
        needs="cachetools",
    ),
    cache(
        "theine",
        "import theine\nc = theine.Cache(n)",
        # get returns (value, found); no `in`.
        ops={"set": "put(k, v)", "contains": "", "hit": "get(k)[1]"},
        bind="get = c.get\nput = c.set",
        needs="theine",
    ),
)

_SYNC: Final[tuple[Contender, ...]] = (
    function(
        "cachebox.cached",
        ("sync", "async", "stampede", "stampede-threads"),
        "import cachebox\nf = cachebox.cached(cachebox.LRUCache(1024))(f)",
        needs="cachebox",
    ),
    function(
        "moka_py.cached",
        ("sync", "async"),
        "import moka_py\nf = moka_py.cached(maxsize=1024)(f)",
        needs="moka-py",
    ),
    function(
        "moka_py.cached, wait_concurrent",
        ("stampede", "stampede-threads"),
        "import moka_py\nf = moka_py.cached(maxsize=1024, wait_concurrent=True)(f)",
        needs="moka-py",
    ),
    function(
        "cachetools.cached",
        ("sync", "stampede-threads"),
        "import cachetools\nf = cachetools.cached(cachetools.LRUCache(1024))(f)",
        needs="cachetools",
    ),
    function(
        "cachetools.cached, condition",
        ("sync", "stampede-threads"),
        "import cachetools, threading\n"
        "f = cachetools.cached(cachetools.LRUCache(1024), condition=threading.Condition())(f)",
        needs="cachetools",
    ),
    function(
        "theine.Memoize",
        ("sync", "async", "stampede", "stampede-threads"),
        "import theine\nf = theine.Memoize(1024, None)(f)",
        needs="theine",
    ),
)

_ASYNC: Final[tuple[Contender, ...]] = (
    function(
        "async_lru.alru_cache",
        ("async", "stampede"),
        "import async_lru\nf = async_lru.alru_cache(maxsize=1024)(f)",
        needs="async-lru",
    ),
    function(
        "aiocache.cached",
        ("async", "stampede", "tool"),
        "import aiocache\nf = aiocache.cached()(f)",
        needs="aiocache",
    ),
    function(
        "aiocache.cached_stampede",
        ("stampede",),
        "import aiocache\nf = aiocache.cached_stampede(lease=10)(f)",
        needs="aiocache",
    ),
    function(
        "cashews, mem://",
        ("async", "stampede", "tool"),
        "import cashews\n"
        "store = cashews.Cache()\n"
        "store.setup('mem://', size=1024)\n"
        "f = store(ttl='1h')(f)",
        needs="cashews",
    ),
)

_IMPORTS: Final[tuple[Contender, ...]] = tuple(
    function(f"import {module}", ("import",), f"import {module}", needs=needs)
    for module, needs in (
        ("cachebox", "cachebox"),
        ("cachetools", "cachetools"),
        ("moka_py", "moka-py"),
        ("theine", "theine"),
        ("cashews", "cashews"),
        ("prometheus_client", "prometheus-client"),
        ("opentelemetry.sdk.metrics", "opentelemetry-sdk"),
    )
)

PEERS: Final[tuple[Contender, ...]] = (
    *_CACHES,
    *_SYNC,
    *_ASYNC,
    *METRICS_PEERS,
    *FLOW_PEERS,
    *BATCHING_PEERS,
    *SQLITE_PEERS,
    *STORES_PEERS,
    *TIERS_PEERS,
    *REDIS_PEERS,
    *POOL_PEERS,
    *HUB_PEERS,
    *RECORDER_PEERS,
    *FILES_PEERS,
    *_IMPORTS,
)
