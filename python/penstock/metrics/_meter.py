"""What the exchanges of one middleware have in common: metrics, templates, a clock."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from penstock.metrics._http_families import OTHER
from penstock.metrics._routes import Templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.metrics._asgi import Scope
    from penstock.metrics._families import Families
    from penstock.metrics._http_families import Series
    from penstock.metrics._routes import Marks

    _Key: TypeAlias = tuple[int, int, int, int, str, int]

__all__ = ["Meter"]

_MOST_AT_HAND: Final = 10_000


class Meter:
    """
    Finds what to count a request in.

    Args:
        families: The metrics.
        timer: Seconds; None is the clock of the machine.
    """

    __slots__ = ("_at_hand", "http", "key", "templates", "timer", "websocket")

    def __init__(self, families: Families, timer: Callable[[], float] | None) -> None:
        self.http = families.http
        self.websocket = families.websocket
        # Under this key a scope holds the exchange that it belongs to.
        self.key = families.key
        self.templates = Templates()
        self.timer = perf_counter if timer is None else _never_back(timer)
        # By ids, as in `Templates`; the last item keeps the objects alive.
        self._at_hand: dict[_Key, tuple[Series, Marks]] = {}

    def series(self, scope: Scope, method: str, status: int) -> Series:
        """
        Return the series for a request that has been routed.

        Cost: one look-up. Bytecodes count here: what runs once per request is in no cache of the
        processor any more when it runs again.
        """
        get = scope.get
        context = None
        fastapi = get("fastapi")
        if isinstance(fastapi, dict):
            if "frontend_path" in fastapi:
                return self._find(scope, method, status)[0]
            context = fastapi.get("effective_route_context")
        key = id(get("endpoint")), id(get("route")), id(get("router")), id(context), method, status
        found = self._at_hand.get(key)
        return self._learn(key, scope) if found is None else found[0]

    def _learn(self, key: _Key, scope: Scope) -> Series:
        series, marks = self._find(scope, key[4], key[5])
        if marks is not None:
            # Only an application that makes routes for each request gets there.
            if len(self._at_hand) >= _MOST_AT_HAND:
                self._at_hand.clear()
            self._at_hand[key] = series, marks
        return series

    def _find(self, scope: Scope, method: str, status: int) -> tuple[Series, Marks | None]:
        """Return series, and the objects that they depend on, if on nothing else."""
        handler, marks = self.templates.find(scope)
        label = f"{status:d}" if 100 <= status <= 999 else OTHER
        return self.http.series(method, handler, label), marks


def _never_back(timer: Callable[[], float]) -> Callable[[], float]:
    """Return a timer that stands still while *timer* is behind where it has been."""
    latest = timer()

    def read() -> float:
        nonlocal latest
        latest = max(latest, timer())
        return latest

    return read
