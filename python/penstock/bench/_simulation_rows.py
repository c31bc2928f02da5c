"""Limits that adapt, held against fixed ones in front of the simulated service."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._simulation import SLOW, STEADY, Scenario, Trace
from penstock.bench._simulation_limits import FOUND, SLOWED, best_fixed, trace
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.bench._simulation import Point

__all__ = ["LIMIT_ROWS"]

_BEST: Final = "best fixed limit"


@dataclass(frozen=True, slots=True)
class _Figure:
    """One column: a figure of a stretch of a scenario, and the speed that the service has then."""

    title: str
    unit: str
    scenario: Scenario
    stretch: tuple[float, float]
    speed: float
    value: Callable[[Trace, float, float], float]
    level: Callable[[Point], float]
    scale: float = 1.0


def _measure(
    figure: _Figure, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    samples = {_BEST: [figure.level(best_fixed(figure.speed)) * figure.scale]}

    def run(contender: Contender) -> None:
        seen = trace(contender, figure.scenario)
        samples[contender.name] = [figure.value(seen, *figure.stretch) * figure.scale]

    each(contenders, row, outcome, run)
    clients = figure.scenario.clients
    table = f"limits that adapt: simulated service with a knee, {clients} clients"
    outcome.results.append(Result(row.name, table, figure.title, figure.unit, samples, digits=0))


def _rows() -> tuple[Row, ...]:
    columns = []
    for name, title, scenario, stretch, speed in (
        ("limits.well", "all is well", STEADY, FOUND, 1.0),
        ("limits.slow", "slowed to a third", SLOW, SLOWED, 1 / 3),
    ):
        throughput = _Figure(
            title, "1/s", scenario, stretch, speed, Trace.throughput, lambda p: p.throughput
        )
        p95 = _Figure(
            f"{title}: p95", "ms", scenario, stretch, speed, Trace.p95, lambda p: p.p95, 1000.0
        )
        columns += [(name, throughput), (f"{name}-p95", p95)]
    return tuple(
        Row(name, "limits", f"simulated: {figure.title}, {figure.unit}", partial(_measure, figure))
        for name, figure in columns
    )


LIMIT_ROWS: Final[tuple[Row, ...]] = _rows()
