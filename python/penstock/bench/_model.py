"""What the harness is made of: contenders, rows, plans, results. No measuring here."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["QUICK", "BenchError", "Contender", "Outcome", "Plan", "Result", "Row", "Verdict"]

Backend = Literal["native", "pure"]
# On a quiet machine no contender's median is 1.3 times its minimum.
_SPOILT: Final = 1.4
_ROUNDS_TO_JUDGE: Final = 8


class BenchError(RuntimeError):
    """The run cannot give a trustworthy figure, so that it gives none."""


@dataclass(frozen=True, slots=True)
class Contender:
    """
    One implementation under one name, as source text: each row compiles its own loop from it.

    Args:
        name: What the tables call it.
        kinds: The groups of rows it takes part in.
        make: Statements that build the subject: ``c``, a cache for at most ``n`` entries, or
            ``f``, made from the undecorated ``f``. ``penstock`` is the backend asked for.
        ops: Statement or expression per operation; a row whose operation is absent is left out.
        bind: Statements that give the loop its local names, for example ``get = c.get``.
        reset: Statements run, untimed, before each pass of new keys (unbounded containers).
        needs: The distribution it comes from; None for penstock and the standard library.
        backend: Which penstock this is; None for all others.
        own_process: Whether it has to run in a process of its own, because of what it asks of the
            environment; it takes its turns all the same.
    """

    name: str
    kinds: frozenset[str]
    make: str
    ops: Mapping[str, str] = field(default_factory=dict)
    bind: str = ""
    reset: str = ""
    needs: str | None = None
    backend: Backend | None = None
    own_process: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How much is measured.

    Args:
        capacity: Entries of each cache.
        rounds: Rounds per row; every contender runs once in each.
        round_ns: How long one contender runs in one round.
        entries: Entries of the memory row.
        waiters: Concurrent misses of the stampede row.
        starts: Child processes per statement of the import row.
        requests: Length of the Zipf stream.
        series: Counter series of the scrape row, which has a tenth as many histograms.
        children: Histogram children of the row that watches the event loop.
        scrapes: Scrapes of that row.
        items: Items of the row that maps them concurrently.
        gathered: Items of the rows that make batches of them.
        sleep: Seconds that each task of the row sleeps that watches how well they overlap.
        trace: Replayed instead of the Zipf stream.
        sizes: Cache sizes for the hit ratio; empty for 1 %, 5 % and 20 % of the distinct keys.
        clock: Nanoseconds; injected by tests.
    """

    capacity: int = 10_000
    rounds: int = 41
    round_ns: int = 4_000_000
    entries: int = 1_000_000
    waiters: int = 1_000
    starts: int = 15
    requests: int = 300_000
    series: int = 1_000
    children: int = 2_000
    scrapes: int = 15
    items: int = 500
    gathered: int = 1_000
    sleep: float = 0.05
    trace: Path | None = None
    sizes: tuple[int, ...] = ()
    clock: Callable[[], int] = perf_counter_ns


QUICK: Final = Plan(
    capacity=256,
    rounds=3,
    round_ns=50_000,
    entries=20_000,
    starts=3,
    requests=5_000,
    series=100,
    children=20,
    scrapes=2,
    items=20,
    gathered=100,
    sleep=0.001,
)


@dataclass(frozen=True, slots=True)
class Result:
    """
    One column of one table: the samples of every contender, in the order they were taken.

    Sample *i* of one contender and sample *i* of another come from the same round. What is not
    *steady* varies on a quiet machine too, and says nothing about how busy it was: differences
    between contenders, for example.
    """

    name: str
    table: str
    title: str
    unit: str
    samples: dict[str, list[float]]
    digits: int | None = None
    steady: bool = True

    def median(self, contender: str) -> float:
        """Return the median over the rounds."""
        return statistics.median(self.samples[contender])

    def low(self, contender: str) -> float:
        """Return the smallest sample: the figure least disturbed by the rest of the machine."""
        return min(self.samples[contender])

    def disturbed(self) -> bool:
        """Tell whether half of some contender's rounds took far longer than its best one."""
        return self.steady and any(
            len(samples) >= _ROUNDS_TO_JUDGE and statistics.median(samples) > _SPOILT * min(samples)
            for samples in self.samples.values()
        )

    def ratios(self, contender: str, to: str) -> list[float]:
        """
        Return how many times *contender*'s figure is that of *to*, in each round.

        Within one round what slows the whole machine down for a while cancels out. Without
        paired rounds there is one: the ratio of the medians.
        """
        ours, theirs = self.samples[contender], self.samples[to]
        if len(ours) != len(theirs):
            return [self.median(contender) / self.median(to)]
        return [a / b for a, b in zip(ours, theirs, strict=True)]

    def ratio(self, contender: str, to: str) -> float:
        """Return the median of :meth:`ratios`."""
        return statistics.median(self.ratios(contender, to))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim against the run: *measured* is None when a contender it needs is missing."""

    claim: str
    goal: str
    measured: str | None
    met: bool


@dataclass(slots=True)
class Outcome:
    """Everything one run found: results, what they say, and who is missing from them and why."""

    results: list[Result] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def disturbed(self) -> list[str]:
        """Return the names of the results that other work on the machine has spoilt."""
        return [result.name for result in self.results if result.disturbed()]

    def find(self, name: str) -> Result | None:
        """Return the result of that name, or None."""
        return next((result for result in self.results if result.name == name), None)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement by its name; *kind* says which contenders take part."""

    name: str
    kind: str
    summary: str
    measure: Callable[[Row, Sequence[Contender], Plan, Outcome], None]
