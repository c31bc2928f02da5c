"""What a `Loader` tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["LOADER_FIELDS", "LoaderStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderStats:
    """
    What a `Loader` has done so far.

    When nothing is pending or loading, *misses* is the sum of *loaded*, *failed* and *abandoned*.

    Attributes:
        hits: Loads whose value was in the cache.
        shared: Loads of a key that was being loaded already.
        misses: Loads that began the load of a key.
        loaded: Keys for which a value came.
        failed: Keys for which an error came.
        abandoned: Keys that nobody waited for any more before something came.
        pending: Keys that wait for the next call.
        loading: Keys of the calls that run.
        calls: Calls that have been made.
        in_flight: Calls that run.
        run_seconds: Time that calls took.
    """

    hits: int = 0
    shared: int = 0
    misses: int = 0
    loaded: int = 0
    failed: int = 0
    abandoned: int = 0
    pending: int = 0
    loading: int = 0
    calls: int = 0
    in_flight: int = 0
    run_seconds: float = 0.0


LOADER_FIELDS: Final[tuple[tuple[str, FieldType, str], ...]] = (
    ("hits", "counter", "Loads whose value was in the cache."),
    ("shared", "counter", "Loads of a key that was being loaded already."),
    ("misses", "counter", "Loads that began the load of a key."),
    ("loaded", "counter", "Keys for which a value came."),
    ("failed", "counter", "Keys for which an error came."),
    ("abandoned", "counter", "Keys that nobody waited for any more."),
    ("pending", "gauge", "Keys that wait for the next call."),
    ("loading", "gauge", "Keys of the calls that run."),
    ("calls", "counter", "Calls that have been made."),
    ("in_flight", "gauge", "Calls that run."),
    ("run_seconds", "counter", "Time that calls took."),
)
