"""The registry: every row by its name, and the choice of some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._batching_rows import BATCHING_ROWS
from penstock.bench._cache_rows import CACHE_ROWS
from penstock.bench._cached_rows import CACHED_ROWS
from penstock.bench._executor_rows import EXECUTOR_ROWS
from penstock.bench._files_rows import FILES_ROWS
from penstock.bench._flow_rows import FLOW_ROWS
from penstock.bench._frozen_rows import FROZEN_ROWS
from penstock.bench._functions_rows import FUNCTIONS_ROWS
from penstock.bench._hit_ratio import HIT_RATIO_ROWS
from penstock.bench._hub_rows import HUB_ROWS
from penstock.bench._import_rows import IMPORT_ROWS
from penstock.bench._memory_rows import MEMORY_ROWS
from penstock.bench._metrics_rows import METRICS_ROWS
from penstock.bench._middleware_rows import MIDDLEWARE_ROWS
from penstock.bench._model import BenchError, Row
from penstock.bench._pool_rows import POOL_ROWS
from penstock.bench._recorder_rows import RECORDER_ROWS
from penstock.bench._redis_rows import REDIS_ROWS
from penstock.bench._scrape_rows import SCRAPE_ROWS
from penstock.bench._simulation_rows import LIMIT_ROWS
from penstock.bench._sqlite_rows import SQLITE_ROWS
from penstock.bench._stampede_rows import STAMPEDE_ROWS
from penstock.bench._stores_rows import STORES_ROWS
from penstock.bench._thread_rows import THREAD_ROWS
from penstock.bench._tiers_rows import TIERS_ROWS
from penstock.bench._told_rows import TOLD_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ROWS", "choose"]

ROWS: Final[tuple[Row, ...]] = (
    *CACHE_ROWS,
    *MEMORY_ROWS,
    *CACHED_ROWS,
    *FUNCTIONS_ROWS,
    *TIERS_ROWS,
    *TOLD_ROWS,
    *FROZEN_ROWS,
    *REDIS_ROWS,
    *THREAD_ROWS,
    *STAMPEDE_ROWS,
    *HIT_RATIO_ROWS,
    *METRICS_ROWS,
    *SCRAPE_ROWS,
    *MIDDLEWARE_ROWS,
    *FLOW_ROWS,
    *LIMIT_ROWS,
    *EXECUTOR_ROWS,
    *BATCHING_ROWS,
    *SQLITE_ROWS,
    *STORES_ROWS,
    *POOL_ROWS,
    *HUB_ROWS,
    *RECORDER_ROWS,
    *FILES_ROWS,
    *IMPORT_ROWS,
)


def choose(names: Iterable[str] | None) -> list[Row]:
    """
    Return the rows of these names, or whose names begin with them and a dot; None is all.

    Raises:
        BenchError: A name fits no row.
    """
    if names is None:
        return list(ROWS)
    chosen: list[Row] = []
    for name in names:
        fitting = [row for row in ROWS if row.name == name or row.name.startswith(f"{name}.")]
        if not fitting:
            msg = f"no row is called {name!r}; --list names them"
            raise BenchError(msg)
        chosen += [row for row in fitting if row not in chosen]
    return chosen
