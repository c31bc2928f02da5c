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
    from collections.abc import Callable

    from penstock.demo._keys import Workload
    from penstock.demo._model import DemoOptions, RoundResult

__all__ = ["Report", "find_problems"]

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


class Report:
    """
    What came out of a run.

    Args:
        options: What was asked for.
        workload: The requests that were to be made; the first round may have made fewer.
        results: One per round; the first is what the others are compared with.
        seconds: How long everything took.
    """

    __slots__ = ("_options", "_planned", "_results", "_seconds", "_workload", "problems")

    def __init__(
        self,
        options: DemoOptions,
        workload: Workload,
        results: list[RoundResult],
        seconds: float,
    ) -> None:
        self._options = options
        self._workload = workload.first(results[0].load.requests)
        self._planned = len(workload.document_ids)
        self._results = results
        self._seconds = seconds
        self.problems = find_problems(len(self._workload.document_ids), results)

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
        return "\n".join([*about, "", *self._table(), "", self._verdict()])

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
            "rounds": [_round_as_json(result) for result in self._results],
            "factors": {other.round.name: _factors(base, other) for other in others},
        }
        return json.dumps(answer, indent=2)

    @property
    def _read_ms(self) -> float:
        stats = self._results[0].stats
        return stats["read_cpu_seconds"] * 1e3 / max(stats["reads"], 1)

    def _table(self) -> list[str]:
        base, *others = self._results
        rows = [["", base.round.name]]
        rows += [[figure.label, figure.text(base)] for figure in _FIGURES]
        for other in others:
            rows[0] += [other.round.name, "factor"]
            for row, figure in zip(rows[1:], _FIGURES, strict=True):
                factor = figure.factor(base, other)
                row += [figure.text(other), "" if factor is None else f"{factor:.1f}x"]
        return _aligned(rows)

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
        name, load, stats = result.round.name, result.load, result.stats
        if load.errors:
            problems.append(
                f"round {name!r}: {load.errors:,} of {requests:,} requests failed, "
                f"the first with {load.first_error}"
            )
            continue
        wrong = sum(results[0].load.digests.get(k) != v for k, v in load.digests.items())
        if load.mismatches or wrong:
            problems.append(
                f"round {name!r}: the bodies of {max(load.mismatches, wrong):,} documents "
                "are not what they were before"
            )
        counted = stats["hits"] + stats["misses"] if result.round.cached else stats["reads"]
        if counted != requests:
            what = "cache look-ups" if result.round.cached else "database reads"
            problems.append(
                f"round {name!r}: the service counted {counted:,} {what} for {requests:,} requests"
            )
    return problems


def _round_as_json(result: RoundResult) -> dict[str, object]:
    return {
        "name": result.round.name,
        "seconds": result.load.seconds,
        **{figure.key: figure.value(result) for figure in _FIGURES},
        "hits": result.stats["hits"],
        "misses": result.stats["misses"],
        "evictions": result.stats["evictions"],
        "errors": result.load.errors,
        "mismatches": result.load.mismatches,
    }


def _factors(base: RoundResult, other: RoundResult) -> dict[str, float | None]:
    return {figure.key: figure.factor(base, other) for figure in _FIGURES if figure.better}


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for label, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("   ".join([label.ljust(widths[0]), *padded]).rstrip())
    return lines
