"""A number that only grows."""

import time

from penstock._pure.metrics.amounts import (
    MAX_WHOLE,
    Exemplar,
    Number,
    copy_exemplar,
    make_exemplar,
    to_float,
    to_whole,
)
from penstock._pure.metrics.family import Cell, Family, Shared
from penstock._pure.metrics.lock import LOCK

__all__ = ["Counter"]


class CounterCell(Cell):
    """The numbers of one counter."""

    __slots__ = ("created", "exemplar", "fractions", "whole")

    def __init__(self) -> None:
        self.whole = 0
        self.fractions = 0.0
        self.exemplar: Exemplar | None = None
        self.created = time.time()

    def add(self, amount: float, exemplar: Exemplar | None) -> None:
        """Add a checked amount, and remember the exemplar if there is one."""
        with LOCK:
            if isinstance(amount, int):
                # Apart from the others: a float stops counting at 2**53.
                self.whole += amount
                if self.whole > MAX_WHOLE:
                    self.whole = MAX_WHOLE
            else:
                self.fractions += amount
            if exemplar is not None:
                self.exemplar = exemplar


class CounterShared(Shared[CounterCell]):
    """What a counter and its children have in common."""

    __slots__ = ()

    def new_cell(self) -> CounterCell:
        return CounterCell()


class Counter(Family[CounterShared, CounterCell]):
    """
    A number that only grows.
    """

    __slots__ = ()
    _KIND = "counter"

    def _init(
        self,
        name: str,
        documentation: str,
        unit: str,
        labelnames: tuple[str, ...],
        max_series: int | None,
    ) -> None:
        self._set_up(CounterShared(name, documentation, unit, labelnames, max_series))

    def inc(self, amount: Number = 1, exemplar: dict[str, str] | None = None) -> None:
        """
        Count *amount*, which is not negative.

        Args:
            amount: Any number; whole ones are summed apart, so that single events always count.
            exemplar: Labels that lead from the sample to an example, at most 128 characters.

        Raises:
            ValueError: The amount is negative or NaN, or the exemplar is not valid.
        """
        cell = self._observable()
        number = to_float(amount)
        if not number >= 0:
            if number != number:
                self._ready().tally.count_refusal()
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        taken = make_exemplar(exemplar, number) if exemplar else None
        cell.add(to_whole(amount, number), taken)

    def reset(self) -> None:
        """
        Start at zero again, as a process that restarts does.
        """
        cell = self._observable()
        now = time.time()
        with LOCK:
            cell.whole = 0
            cell.fractions = 0.0
            cell.created = now

    def _read(self) -> tuple[float, float, Exemplar | None]:
        cell = self._observable()
        with LOCK:
            value, created = float(cell.whole) + cell.fractions, cell.created
            return value, created, copy_exemplar(cell.exemplar)
