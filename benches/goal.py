"""One claim about one row, and how its figure is read from the result."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.bench import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Goal", "ratio", "value", "worst"]

_ROUNDS_FOR_QUARTILES: Final = 8


@dataclass(frozen=True, slots=True)
class Goal:
    """
    One claim about one row.

    Args:
        claim: What is claimed.
        row: The name of the result it is read from.
        measure: Takes the figures from the result, one per round; KeyError: a contender is missing.
        limit: What the figure is held against.
        unit: "x" for a ratio.
        at_least: The figure has to reach the limit, not to stay below it.
    """

    claim: str
    row: str
    measure: Callable[[Result], list[float]]
    limit: float
    unit: str = "x"
    at_least: bool = False

    def verdict(self, result: Result) -> Verdict:
        """Hold the claim against *result*."""
        goal = f"{'>=' if self.at_least else '<='} {self.limit:g} {self.unit}".rstrip()
        try:
            figures = self.measure(result)
        except KeyError:
            return Verdict(self.claim, goal, None, met=False)
        figure = statistics.median(figures)
        met = figure >= self.limit if self.at_least else figure <= self.limit
        return Verdict(self.claim, goal, self._text(figures), met)

    def _text(self, figures: list[float]) -> str:
        """Write the median, and the quartiles where there are rounds enough to speak of them."""
        digits = 2 if self.unit == "x" else 1 if self.unit else 0
        text = f"{statistics.median(figures):.{digits}f} {self.unit}".rstrip()
        if len(figures) < _ROUNDS_FOR_QUARTILES:
            return text
        low, _, high = statistics.quantiles(figures, n=4)
        return f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def ratio(ours: str, theirs: str) -> Callable[[Result], list[float]]:
    """Take ours by theirs, round by round."""
    return lambda result: result.ratios(ours, theirs)


def value(ours: str) -> Callable[[Result], list[float]]:
    """Take the figures as they are."""
    return lambda result: result.samples[ours]


def worst(*ours: str) -> Callable[[Result], list[float]]:
    """Take the largest of all samples: what is claimed holds always, not half of the time."""
    return lambda result: [max(max(result.samples[name]) for name in ours)]
