"""The only importer of either backend: the extension, or its pure-Python twin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

__all__ = [
    "BACKEND",
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


def _choose() -> str:
    """Return which backend to use; the environment decides, then what is installed."""
    if os.environ.get("PENSTOCK_PURE", "") not in {"", "0"}:
        return "pure"
    try:
        from penstock import _native  # noqa: F401  # only whether it is there
    except ImportError as error:
        if os.environ.get("PENSTOCK_REQUIRE_NATIVE", "") not in {"", "0"}:
            message = f"PENSTOCK_REQUIRE_NATIVE is set, but the extension does not load: {error}"
            raise ImportError(message) from error
        return "pure"
    return "native"


BACKEND: Final = _choose()

if TYPE_CHECKING or BACKEND == "native":
    from penstock._native import (
        BoundMemo,
        Breaker,
        Cache,
        CacheStats,
        Counter,
        Entry,
        Family,
        Flight,
        Front,
        Gauge,
        Histogram,
        Memo,
        Parker,
        RateGate,
        Ready,
        Ring,
        Summary,
        Timer,
        WaiterQueue,
        build_info,
        drops,
        duration,
        encode,
        set_metric_hooks,
        set_named,
        set_recursive_load,
    )

    if not TYPE_CHECKING and build_info()["profile"] == "debug":
        import warnings

        warnings.warn(
            "penstock's extension is a debug build: it is many times slower than a release build",
            RuntimeWarning,
            stacklevel=2,
        )
else:
    from penstock._pure import (
        BoundMemo,
        Breaker,
        Cache,
        CacheStats,
        Counter,
        Entry,
        Family,
        Flight,
        Front,
        Gauge,
        Histogram,
        Memo,
        Parker,
        RateGate,
        Ready,
        Ring,
        Summary,
        Timer,
        WaiterQueue,
        build_info,
        drops,
        duration,
        encode,
        set_metric_hooks,
        set_named,
        set_recursive_load,
    )
