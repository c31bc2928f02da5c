"""The pure-Python twin of the native extension: the same names, values, errors and messages."""

from penstock._pure.breaker import Breaker
from penstock._pure.cache import Cache
from penstock._pure.convert import build_info, duration
from penstock._pure.flight import Flight
from penstock._pure.front import Entry, Front
from penstock._pure.loads import set_recursive_load
from penstock._pure.memo import BoundMemo, Memo
from penstock._pure.metrics import (
    Counter,
    Family,
    Gauge,
    Histogram,
    Summary,
    Timer,
    drops,
    encode,
    set_metric_hooks,
)
from penstock._pure.named import set_named
from penstock._pure.parker import Parker
from penstock._pure.rate import RateGate
from penstock._pure.ready import Ready
from penstock._pure.ring import Ring
from penstock._pure.stats import CacheStats
from penstock._pure.waiters import WaiterQueue

__all__ = [
    "BoundMemo",
    "Breaker",
    "Cache",
    "CacheStats",
    "Counter",
    "Entry",
    "Family",
    "Flight",
    "Front",
    "Gauge",
    "Histogram",
    "Memo",
    "Parker",
    "RateGate",
    "Ready",
    "Ring",
    "Summary",
    "Timer",
    "WaiterQueue",
    "build_info",
    "drops",
    "duration",
    "encode",
    "set_metric_hooks",
    "set_named",
    "set_recursive_load",
]
