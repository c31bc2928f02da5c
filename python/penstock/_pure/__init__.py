"""The pure-Python twin of the native extension: the same names, values, errors and messages."""

from penstock._pure.cache import Cache
from penstock._pure.convert import build_info, duration
from penstock._pure.flight import Flight
from penstock._pure.loads import set_recursive_load
from penstock._pure.memo import BoundMemo, Memo
from penstock._pure.ready import Ready
from penstock._pure.stats import CacheStats

__all__ = [
    "BoundMemo",
    "Cache",
    "CacheStats",
    "Flight",
    "Memo",
    "Ready",
    "build_info",
    "duration",
    "set_recursive_load",
]
