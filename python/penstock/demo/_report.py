"""The result: rounds side by side, what is wrong with them, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.demo._reader import READ_DESCRIPTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.demo._keys import Workload
    from penstock.demo._model import DemoOptions, RoundResult

__all__ = ["Report", "Restart", "find_event_problems", "find_problems", "find_restart_problems"]

_WIDTH: Final = 96


@dataclass(frozen=True, slots=True)
class _Figure:
    """One row of the table; *better* is 1 when more is better, -1 when less is, else 0."""

    label: str
    key: str
    value: Callable[[RoundResult], float | None]
    form: str
    better: int

    def text(self, result: RoundResult) -> str:
        value = self.value(result)
        return "-" if value is None else self.form.format(value)

    def factor(self, base: RoundResult, other: RoundResult) -> float | None:
        """
        How many times better *other* is; None where that means nothing.
        """
        before, after = self.value(base), self.value(other)
        if not self.better or not before or not after:
            return None
        return after / before if self.better > 0 else before / after


_FIGURES: Final = (
    _Figure("requests/s", "requests_per_second", lambda r: r.requests_per_second, "{:,.0f}", 1),
    _Figure("p50", "p50_ms", lambda r: r.percentile_ms(50), "{:,.1f} ms", -1),
    _Figure("p95", "p95_ms", lambda r: r.percentile_ms(95), "{:,.1f} ms", -1),
    _Figure("p99", "p99_ms", lambda r: r.percentile_ms(99), "{:,.1f} ms", -1),
    _Figure("database reads", "database_reads", lambda r: r.stats["reads"], "{:,}", -1),
    _Figure("hit ratio", "hit_ratio", lambda r: r.hit_ratio, "{:.1%}", 0),
    _Figure("shared a read", "shared_reads", lambda r: r.shared_reads, "{:,}", 0),
)

_EVENT_FIGURES: Final = (
    *_FIGURES[:4],
    _Figure("rows written", "rows_written", lambda r: r.stats["rows"], "{:,}", 0),
    _Figure("commits", "commits", lambda r: r.stats["commits"], "{:,}", -1),
)

_RESTART_FIGURES: Final = (
    *_FIGURES[:5],
    _Figure("answered by L2", "l2_hits", lambda r: r.stats["l2_hits"], "{:,}", 0),
)


@dataclass(frozen=True, slots=True)
class Restart:
    """
    The rounds of services that have just been started.

    Args:
        store: What the second tier of the later ones is.
        results: One per round, in order.
    """

    store: str
    results: tuple[RoundResult, ...]


class Report:
    """
    What came out of a run.

    Args:
        options: What was asked for.
        workload: The requests that were to be made; the first round may have made fewer.
        results: One per round; the first is what the others are compared with.
        seconds: How long everything took.
        events: The rounds that recorded an event for each request, before and after.
        restart: Those of services that have just been started.
    """

    __slots__ = (
        "_events",
        "_options",
        "_planned",
        "_restart",
        "_results",
        "_seconds",
        "_workload",
        "problems",
    )

    def __init__(
        self,
        options: DemoOptions,
        workload: Workload,
        results: list[RoundResult],
        seconds: float,
        events: Sequence[RoundResult] = (),
        restart: Restart | None = None,
    ) -> None:
        self._options = options
        self._workload = workload.first(results[0].load.requests)
        self._planned = len(workload.document_ids)
        self._results = results
        self._seconds = seconds
        self._events = list(events)
        self._restart = restart
        self.problems = find_problems(len(self._workload.document_ids), results)
        digests = results[0].load.digests
        if self._events:
            self.problems += find_event_problems(self._events, digests)
        if restart is not None:
            self.problems += find_restart_problems(restart.results, digests)

    def as_text(self) -> str:
        """
        Return the report for people.
        """
        work, stats = self._workload, self._results[0].stats
        python = f"{platform.python_implementation()} {platform.python_version()}"
        lines = [
            (
                f"{work.documents:,} documents; {len(work.document_ids):,} requests for "
                f"{work.distinct:,} of them ({work.source}, seed {self._options.seed}), "
                f"{self._options.concurrency} at a time"
            ),
            (
                f"service: {stats['server']}, {python}, penstock's {stats['backend']} backend, "
                f"{os.cpu_count()} cores"
            ),
            (
                f"uncached read: {self._read_ms:.1f} ms of processor time in a thread, for "
                f"{READ_DESCRIPTION}"
            ),
        ]
        if len(work.document_ids) < self._planned:
            lines.append(
                f"cut short: {self._planned:,} requests were to be made, these are all that the "
                f"first round made in {self._options.budget:g} s"
            )
        about = [part for line in lines for part in textwrap.wrap(line, _WIDTH)]
        table = _table(_FIGURES, self._results)
        return "\n".join(
            [*about, "", *table, "", *self._event_table(), *self._restart_table(), self._verdict()]
        )

    def as_json(self) -> str:
        """
        Return the report for programs, as one JSON object.
        """
        base, *others = self._results
        answer = {
            "ok": not self.problems,
            "problems": self.problems,
            "backend": base.stats["backend"],
            "server": base.stats["server"],
            "python": platform.python_version(),
            "documents": self._workload.documents,
            "requests": len(self._workload.document_ids),
            "planned_requests": self._planned,
            "distinct_keys": self._workload.distinct,
            "keys": self._workload.source,
            "concurrency": self._options.concurrency,
            "seed": self._options.seed,
            "uncached_read": READ_DESCRIPTION,
            "uncached_read_cpu_ms": self._read_ms,
            "seconds": self._seconds,
            "rounds": [_round_as_json(_FIGURES, result) for result in self._results],
            "factors": {other.round.name: _factors(_FIGURES, base, other) for other in others},
            "events": self._events_as_json(),
            "restart": self._restart_as_json(),
        }
        return json.dumps(answer, indent=2)

    @property
    def _read_ms(self) -> float:
        stats = self._results[0].stats
        return stats["read_cpu_seconds"] * 1e3 / max(stats["reads"], 1)

    def _event_table(self) -> list[str]:
        if not self._events:
            return []
        about = (
            f"with @cached, {self._events[0].load.requests:,} requests for the most popular "
            "documents, and an event recorded for each, on disk before the answer is sent:"
        )
        return [*textwrap.wrap(about, _WIDTH), "", *_table(_EVENT_FIGURES, self._events), ""]

    def _restart_table(self) -> list[str]:
        if self._restart is None:
            return []
        results = self._restart.results
        about = (
            f"services that have just been started, {results[0].load.requests:,} requests: with an "
            f"L2 ({self._restart.store}) they find what those before them have read:"
        )
        return [*textwrap.wrap(about, _WIDTH), "", *_table(_RESTART_FIGURES, results), ""]

    def _restart_as_json(self) -> dict[str, object] | None:
        if self._restart is None:
            return None
        return {
            "store": self._restart.store,
            **_rounds_as_json(_RESTART_FIGURES, self._restart.results),
        }

    def _events_as_json(self) -> dict[str, object] | None:
        if not self._events:
            return None
        return _rounds_as_json(_EVENT_FIGURES, self._events)

    def _verdict(self) -> str:
        if self.problems:
            return f"not valid: {len(self.problems)} problem(s)"
        factor = _FIGURES[0].factor(self._results[0], self._results[-1]) or 0.0
        return (
            f"{factor:.1f}x the requests per second; the same bodies in each round, no errors; "
            f"{self._seconds:.1f} s in all"
        )


def find_problems(requests: int, results: list[RoundResult]) -> list[str]:
    """
    Return what makes a run invalid: failed requests, wrong bodies, counts that do not add up.

    Args:
        requests: How many requests each round had to make.
        results: One per round; the bodies of the first are the right ones.
    """
    problems = []
    for result in results:
        problems += _answer_problems(requests, result, results[0].load.digests)
        stats = result.stats
        counted = stats["hits"] + stats["misses"] if result.round.cached else stats["reads"]
        if counted != requests and not result.load.errors:
            what = "cache look-ups" if result.round.cached else "database reads"
            problems.append(
                f"round {result.round.name!r}: the service counted {counted:,} {what} "
                f"for {requests:,} requests"
            )
    return problems


def find_event_problems(results: list[RoundResult], digests: Mapping[int, bytes]) -> list[str]:
    """
    Return what makes rounds that record events invalid: the same, and events that are not there.

    Args:
        results: One per round; they make the requests of the first.
        digests: Those of the right bodies.
    """
    problems = []
    requests = results[0].load.requests
    for result in results:
        problems += _answer_problems(requests, result, digests)
        rows = result.stats["rows"]
        if rows != requests and not result.load.errors:
            problems.append(
                f"round {result.round.name!r}: {rows:,} events are in the database, "
                f"for {requests:,} requests"
            )
    return problems


def find_restart_problems(
    results: Sequence[RoundResult], digests: Mapping[int, bytes]
) -> list[str]:
    """
    Return what makes rounds of restarted services invalid: wrong answers, or look-ups not counted.

    Args:
        results: One per round; they make the requests of the first.
        digests: Those of the right bodies.
    """
    problems = []
    requests = results[0].load.requests
    for result in results:
        problems += _answer_problems(requests, result, digests)
        counted = result.stats["hits"] + result.stats["misses"]
        if counted != requests and not result.load.errors:
            problems.append(
                f"round {result.round.name!r}: the service counted {counted:,} cache look-ups "
                f"for {requests:,} requests"
            )
    return problems


def _answer_problems(requests: int, result: RoundResult, digests: Mapping[int, bytes]) -> list[str]:
    """Return what is wrong with the answers of a round."""
    name, load = result.round.name, result.load
    if load.errors:
        return [
            f"round {name!r}: {load.errors:,} of {requests:,} requests failed, "
            f"the first with {load.first_error}"
        ]
    wrong = sum(digests.get(k) != v for k, v in load.digests.items())
    if load.mismatches or wrong:
        return [
            f"round {name!r}: the bodies of {max(load.mismatches, wrong):,} documents "
            "are not what they were before"
        ]
    return []


def _table(figures: Sequence[_Figure], results: Sequence[RoundResult]) -> list[str]:
    base, *others = results
    rows = [["", base.round.name]]
    rows += [[figure.label, figure.text(base)] for figure in figures]
    for other in others:
        rows[0] += [other.round.name, "factor"]
        for row, figure in zip(rows[1:], figures, strict=True):
            factor = figure.factor(base, other)
            row += [figure.text(other), "" if factor is None else f"{factor:.1f}x"]
    return _aligned(rows)


def _rounds_as_json(
    figures: Sequence[_Figure], results: Sequence[RoundResult]
) -> dict[str, object]:
    base, *others = results
    return {
        "requests": base.load.requests,
        "rounds": [_round_as_json(figures, result) for result in results],
        "factors": {other.round.name: _factors(figures, base, other) for other in others},
    }


def _round_as_json(figures: Sequence[_Figure], result: RoundResult) -> dict[str, object]:
    return {
        "name": result.round.name,
        "seconds": result.load.seconds,
        **{figure.key: figure.value(result) for figure in figures},
        "hits": result.stats["hits"],
        "misses": result.stats["misses"],
        "evictions": result.stats["evictions"],
        "errors": result.load.errors,
        "mismatches": result.load.mismatches,
    }


def _factors(
    figures: Sequence[_Figure], base: RoundResult, other: RoundResult
) -> dict[str, float | None]:
    return {figure.key: figure.factor(base, other) for figure in figures if figure.better}


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for label, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("   ".join([label.ljust(widths[0]), *padded]).rstrip())
    return lines
