"""
``penstock bench``: interleaved measurements of penstock, the standard library and peers.

The rows, and the contenders that need nothing but penstock and the standard library, live here;
peers are added by the caller of :func:`main`.
"""

from __future__ import annotations

from penstock.bench._batching_contenders import GATHER, LOAD, SEND
from penstock.bench._command import Run, main, run_rows
from penstock.bench._contenders import BUILTIN, CACHE_KINDS, cache, function
from penstock.bench._flow_contenders import CROWD, flow
from penstock.bench._hit_ratio import default_sizes, read_trace, replay
from penstock.bench._hub_contenders import AIOHTTP_SERVER, WEBSOCKETS_SERVER
from penstock.bench._metrics_contenders import CHECK, FILL, family, prometheus_like
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row, Verdict
from penstock.bench._recorder_contenders import INSERT, SETUP
from penstock.bench._redis_contenders import REDIS_OPS
from penstock.bench._sqlite_contenders import SQLITE_TEXTS
from penstock.bench._stores_contenders import STORE_TEXTS
from penstock.bench._tiers_contenders import HYBRID_OPS, TIERS_KEY

__all__ = [
    "AIOHTTP_SERVER",
    "BUILTIN",
    "CACHE_KINDS",
    "CHECK",
    "CROWD",
    "FILL",
    "GATHER",
    "HYBRID_OPS",
    "INSERT",
    "LOAD",
    "REDIS_OPS",
    "SEND",
    "SETUP",
    "SQLITE_TEXTS",
    "STORE_TEXTS",
    "TIERS_KEY",
    "WEBSOCKETS_SERVER",
    "BenchError",
    "Contender",
    "Outcome",
    "Plan",
    "Result",
    "Row",
    "Run",
    "Verdict",
    "cache",
    "default_sizes",
    "family",
    "flow",
    "function",
    "main",
    "prometheus_like",
    "read_trace",
    "replay",
    "run_rows",
]
