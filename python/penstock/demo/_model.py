"""What the parts of the demo hand to each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DemoError",
    "DemoOptions",
    "Load",
    "Round",
    "RoundResult",
    "ServiceStats",
    "default_rounds",
    "event_rounds",
    "restart_rounds",
]

_LIMITS: Final = {
    "requests": (1, 1_000_000),
    "documents": (1, 200_000),
    "concurrency": (1, 256),
    "cache_size": (1, 1_000_000_000),
}
_CACHED_SHARE: Final = 4
_REDIS: Final = ("redis://", "rediss://", "unix://")


class DemoError(RuntimeError):
    """
    The demo could not be run to its end; the message says why.
    """


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """
    What to run.

    Args:
        requests: How many requests each round makes; a shorter trace makes fewer.
        documents: How many documents the database holds.
        concurrency: How many requests are under way at any time.
        seed: Decides documents and keys.
        trace: A file with one key per line, plain or gzip; None draws Zipf keys.
        cache_size: The ``maxsize`` of the cached round; None is a quarter of the documents.
        as_json: Print the result as JSON.
        budget: Seconds after which the first round begins no more requests; the other rounds
            make the same ones, so that a slow machine gets a smaller run, not a failed one.
        deadline: Seconds after which the demo gives up, clean-up not included.
        redis: The URL of the Redis that is the L2 of the restarted service; None uses SQLite.

    Raises:
        ValueError: A number is out of its bounds; *redis* is no URL of a Redis.
    """

    requests: int = 10_000
    documents: int = 20_000
    concurrency: int = 32
    seed: int = 1
    trace: Path | None = None
    cache_size: int | None = None
    as_json: bool = False
    budget: float = 20.0
    deadline: float = 55.0
    redis: str | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be >= {low}, got {value}")
            if value is not None and value > high:
                raise ValueError(f"{name} must be <= {high}, got {value}")
        if self.redis is not None and not self.redis.startswith(_REDIS):
            raise ValueError(f"redis must begin with {', '.join(_REDIS)}")


@dataclass(frozen=True, slots=True)
class Round:
    """
    One run of all requests against a freshly started service.

    Args:
        name: The heading of its column; the first round is what the others are compared with.
        service_args: Command line of the service, after the database.
        cached: Whether the service counts hits and misses.
    """

    name: str
    service_args: tuple[str, ...] = ()
    cached: bool = False


def default_rounds(documents: int, cache_size: int | None) -> tuple[Round, ...]:
    """
    Return the rounds of the demo: as is, and with ``@cached``.
    """
    size = max(1, documents // _CACHED_SHARE) if cache_size is None else cache_size
    return Round("as is"), Round("@cached", ("--cache-size", str(size)), cached=True)


def event_rounds(documents: int, cache_size: int | None) -> tuple[Round, ...]:
    """
    Return the rounds in which each request also records an event: a commit each, and `Recorder`.
    """
    _, cached = default_rounds(documents, cache_size)
    return tuple(
        Round(name, (*cached.service_args, "--events", kind), cached=True)
        for name, kind in (("a commit each", "commit"), ("Recorder", "recorder"))
    )


def restart_rounds(
    documents: int, cache_size: int | None, store_args: tuple[str, ...]
) -> tuple[Round, Round, Round]:
    """
    Return the rounds of services that have just been started: without L2, with an empty one, and
    with what the one before has left in it.
    """
    _, cached = default_rounds(documents, cache_size)
    size = cached.service_args
    return (
        Round("no L2", (*size, "--tiers"), cached=True),
        Round("L2, first start", (*size, "--tiers", *store_args), cached=True),
        Round("L2, restarted", (*size, "--tiers", *store_args), cached=True),
    )


class ServiceStats(TypedDict):
    """
    What the service answers at ``/stats``.
    """

    backend: str
    server: str
    reads: int
    read_cpu_seconds: float
    hits: int
    misses: int
    evictions: int
    l2_hits: int
    rows: int
    commits: int


@dataclass(slots=True)
class Load:
    """
    What the client saw in one round.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    digests: dict[int, bytes] = field(default_factory=dict)
    errors: int = 0
    first_error: str = ""
    mismatches: int = 0

    @property
    def requests(self) -> int:
        """
        How many requests were made, failed ones included.
        """
        return len(self.latencies) + self.errors


@dataclass(frozen=True, slots=True)
class RoundResult:
    """
    What client and service saw in one round.
    """

    round: Round
    load: Load
    stats: ServiceStats

    @property
    def requests_per_second(self) -> float:
        """
        Answers per second, over the whole round.
        """
        return len(self.load.latencies) / self.load.seconds if self.load.seconds else 0.0

    @property
    def hit_ratio(self) -> float | None:
        """
        The share of requests answered from the cache; None without one.
        """
        asked = self.stats["hits"] + self.stats["misses"]
        return self.stats["hits"] / asked if self.round.cached and asked else None

    @property
    def shared_reads(self) -> int | None:
        """
        How many requests waited for the read of another one; None without a cache.
        """
        return self.stats["misses"] - self.stats["reads"] if self.round.cached else None

    def percentile_ms(self, percent: float) -> float:
        """
        Return a latency percentile (nearest rank) in milliseconds, 0 without any answer.
        """
        ordered = sorted(self.load.latencies)
        rank = math.ceil(len(ordered) * percent / 100)
        return ordered[max(rank, 1) - 1] * 1e3 if ordered else 0.0
