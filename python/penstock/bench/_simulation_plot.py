"""The picture of the simulation: what fixed limits give, and how limits that adapt find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from penstock.bench._simulation import SLOW, STEADY, Point, Scenario, Trace, best
from penstock.bench._simulation_limits import ADAPTIVE, FIXED
from penstock.bench._simulation_svg import Chart, Dot, Line, document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.bench._simulation_limits import Findings

    _Points: TypeAlias = Callable[[Trace], list[tuple[float, float]]]

__all__ = ["plot"]

_TITLE: Final = "Limits in front of a simulated service, 200 clients"
_DESCRIPTION: Final = (
    "Upper charts: throughput of a fixed limit rises up to a knee and falls behind it, latency "
    "rises behind it; when the service slows to a third the knee is at a lower limit. Lower "
    "charts: limits that adapt begin at 10, come near the best fixed limit within seconds, "
    "and follow it when the service slows down and recovers; a fixed limit of 50 does not."
)
_MS: Final = 1000
_INKS: Final = {FIXED: "c", **dict(zip(ADAPTIVE, "ab", strict=True))}
_BEST: Final = "d"
_BUCKET: Final = 1.0
_TOP_LIMIT: Final = 80
_TOP_RATE: Final = 400
_TOP_P95: Final = 1000


def _fixed(
    title: str, found: Findings, top: float, value: Callable[[Point], float], *, above: bool
) -> Chart:
    lines, dots = [], []
    for points, speed in ((found.well, "all is well"), (found.slowed, "slowed")):
        lines.append(Line(_BEST, [(point.limit, value(point)) for point in points]))
        most = best(points)
        dots.append(Dot(_BEST, most.limit, value(most), f"{speed}: {most.limit}", above))
    return Chart(title, "fixed limit", (0, 100), top, lines, dots=dots)


def _over_time(
    title: str,
    top: float,
    scenario: Scenario,
    traces: Mapping[str, Trace],
    points: _Points,
    level: Sequence[tuple[float, float]],
) -> Chart:
    lines = [Line(_BEST, level)]
    lines += [Line(_INKS[name], points(trace)) for name, trace in traces.items()]
    shade = next(
        (
            (before.until, phase.until)
            for before, phase in zip(scenario.phases, scenario.phases[1:], strict=False)
            if phase.speed < 1
        ),
        None,
    )
    return Chart(title, "seconds", (0, scenario.seconds), top, lines, shade)


def _buckets(
    scenario: Scenario, value: Callable[[Trace, float, float], float], scale: float = 1
) -> _Points:
    """Return what takes a value of each second of a trace, shown at its middle."""
    count = round(scenario.seconds / _BUCKET)
    spans = [(number * _BUCKET, (number + 1) * _BUCKET) for number in range(count)]
    return lambda trace: [
        ((begin + end) / 2, value(trace, begin, end) * scale) for begin, end in spans
    ]


def _steps(trace: Trace) -> list[tuple[float, float]]:
    return [(at, float(limit)) for at, limit in trace.limits]


def _level(
    scenario: Scenario, found: Findings, value: Callable[[Point], float]
) -> list[tuple[float, float]]:
    """Return what the best fixed limit of each phase gives, as steps."""
    points: list[tuple[float, float]] = []
    begin = 0.0
    for phase in scenario.phases:
        figure = value(best(found.well if phase.speed == 1 else found.slowed))
        points += [(begin, figure), (phase.until, figure)]
        begin = phase.until
    return points


def _rate(point: Point) -> float:
    return point.throughput


def _p95(point: Point) -> float:
    return point.p95 * _MS


def plot(found: Findings) -> str:
    """Return the picture as an SVG document."""
    rate, p95 = "answers per second", "p95 in the service in ms"
    rows = [
        [
            _fixed(f"A fixed limit: {rate}", found, _TOP_RATE, _rate, above=False),
            _fixed(f"A fixed limit: {p95}", found, _TOP_P95, _p95, above=True),
        ]
    ]
    scenarios = ((STEADY, found.steady), (SLOW, found.slow))
    below: tuple[tuple[str, int, Callable[[Scenario], _Points], Callable[[Point], float]], ...] = (
        ("limit", _TOP_LIMIT, lambda _: _steps, lambda point: float(point.limit)),
        (rate, _TOP_RATE, lambda scenario: _buckets(scenario, Trace.throughput), _rate),
        (p95, _TOP_P95, lambda scenario: _buckets(scenario, Trace.p95, _MS), _p95),
    )
    rows += [
        [
            _over_time(
                f"{scenario.title}: {what}",
                top,
                scenario,
                traces,
                points(scenario),
                _level(scenario, found, level),
            )
            for scenario, traces in scenarios
        ]
        for what, top, points, level in below
    ]
    legend = [(_INKS[name], name) for name in (*ADAPTIVE, FIXED)]
    legend.append((_BEST, "best fixed limit for each speed"))
    return document(_TITLE, _DESCRIPTION, legend, rows)
