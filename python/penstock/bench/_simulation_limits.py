"""What the simulation compares: the best fixed limit, one of 50, and limits that adapt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from penstock import BACKEND
from penstock.bench._flow_contenders import flow
from penstock.bench._model import Backend, Contender, Verdict
from penstock.bench._simulation import (
    SLOW,
    STEADY,
    Make,
    Point,
    Scenario,
    Trace,
    best,
    simulate,
    sweep,
)
from penstock.bench._subjects import build

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ADAPTIVE",
    "FIXED",
    "FOUND",
    "LIMITS",
    "SLOWED",
    "Findings",
    "best_fixed",
    "explore",
    "maker",
    "table",
    "trace",
    "verdicts",
]

#: When throughput and latency of the first scenario count: what adapts has 10 seconds to learn.
FOUND: Final = (10.0, 30.0)
#: When those of the second one count: from the moment on that the service slows down.
SLOWED: Final = (20.0, 40.0)
FIXED: Final = "fixed limit of 50"
#: Both begin at 10, whatever the service bears. The target of the first one is twice what the
#: service takes when nobody waits: what somebody would choose who knows that.
ADAPTIVE: Final = ("aimd(0.2)", "gradient()")
_NEAR: Final = 0.9
_LATER: Final = 1.5
_BETTER: Final = 1.2


def _limit(name: str, limit: str, backend: Backend) -> Contender:
    make = f"c = lambda clock: penstock.Limiter({limit}, timer=clock)"
    suffix = "" if backend == "native" else " (pure)"
    return flow(f"{name}{suffix}", "limits", make, {}, backend=backend)


def _limits(backend: Backend) -> list[Contender]:
    adaptive = [_limit(f"penstock {name}", f"penstock.flow.{name}", backend) for name in ADAPTIVE]
    return [_limit(FIXED, "50", backend), *adaptive]


LIMITS: Final[tuple[Contender, ...]] = (*_limits("native"), *_limits("pure"))


def _in_use() -> Backend:
    return "native" if BACKEND == "native" else "pure"


def maker(contender: Contender) -> Make:
    """Return what builds the limiter of *contender*; takes the clock."""
    return cast("Make", build(contender)["c"])


def trace(contender: Contender, scenario: Scenario) -> Trace:
    """Run *scenario* behind the limiter of *contender*, once: it would be the same again."""
    return _trace(contender.name, contender.make, contender.backend, scenario)


@cache
def _trace(name: str, make: str, backend: Backend | None, scenario: Scenario) -> Trace:
    return simulate(scenario, maker(flow(name, "limits", make, {}, backend=backend)))


@cache
def _sweep(speed: float) -> Sequence[Point]:
    """Try fixed limits; both backends give the same."""
    limiter = build(_limit("fixed", "limit", _in_use()))
    build_one = cast("Make", limiter["c"])

    def make(limit: int) -> Make:
        limiter["limit"] = limit
        return build_one

    return sweep(speed, make)


def best_fixed(speed: float) -> Point:
    """Return the fixed limit with the highest throughput at one speed of the service."""
    return best(_sweep(speed))


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found: fixed limits at both speeds, and every run of both scenarios by its name."""

    well: Sequence[Point]
    slowed: Sequence[Point]
    steady: dict[str, Trace]
    slow: dict[str, Trace]


def explore() -> Findings:
    """Run everything on the backend in use: seconds of work for half an hour of the service."""
    contenders = dict(zip((FIXED, *ADAPTIVE), _limits(_in_use()), strict=True))
    return Findings(
        well=_sweep(1.0),
        slowed=_sweep(1 / 3),
        steady={name: trace(contender, STEADY) for name, contender in contenders.items()},
        slow={name: trace(contender, SLOW) for name, contender in contenders.items()},
    )


def _figures(seen: Trace, begin: float, end: float) -> tuple[float, float, float]:
    return seen.throughput(begin, end), seen.p95(begin, end), seen.mean_limit(begin, end)


def _row(name: str, *figures: tuple[float, float, float]) -> str:
    cells = [f"{rate:.0f} | {p95 * 1000:.0f} | {limit:.0f}" for rate, p95, limit in figures]
    return f"| {name} | {' | '.join(cells)} |"


def table(found: Findings) -> str:
    """Return a Markdown table: all well from 10 s on, and the time in which the service is slow."""
    fixed = [
        (point.throughput, point.p95, point.limit)
        for point in (best(found.well), best(found.slowed))
    ]
    return "\n".join(
        [
            "| | all is well (1/s) | p95 (ms) | limit | a third (1/s) | p95 (ms) | limit |",
            "|---|--:|--:|--:|--:|--:|--:|",
            _row("best fixed limit for each", *fixed),
            *(
                _row(name, _figures(steady, *FOUND), _figures(found.slow[name], *SLOWED))
                for name, steady in found.steady.items()
            ),
        ]
    )


def verdicts(found: Findings) -> list[Verdict]:
    """Hold the limits that adapt against what is claimed of them."""
    well = best(found.well)
    fixed = found.slow[FIXED].throughput(*SLOWED)
    claims: list[Verdict] = []
    for name in ADAPTIVE:
        throughput, p95, _ = _figures(found.steady[name], *FOUND)
        near, later = throughput / well.throughput, p95 / well.p95
        better = found.slow[name].throughput(*SLOWED) / fixed
        for what, goal, ratio, met in (
            ("throughput / best fixed limit", f">= {_NEAR} x", near, near >= _NEAR),
            ("p95 / best fixed limit", f"<= {_LATER} x", later, later <= _LATER),
            ("slow, throughput / fixed 50", f">= {_BETTER} x", better, better >= _BETTER),
        ):
            claims.append(Verdict(f"{name}: {what}", goal, f"{ratio:.2f} x", met))
    return claims
