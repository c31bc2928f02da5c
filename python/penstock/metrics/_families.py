"""The metrics of the ASGI middleware, one set for each registry and namespace."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from penstock.metrics._http_families import HTTPFamilies
from penstock.metrics._maker import Maker
from penstock.metrics._websocket_families import WebSocketFamilies

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import CollectorRegistry

__all__ = ["Families", "Options", "shared_families"]

_keys = count(1)
_lock = Lock()
_shared: WeakKeyDictionary[CollectorRegistry, dict[str, Families]] = WeakKeyDictionary()


class Options(NamedTuple):
    """
    What the metrics of one registry and namespace have in common.

    Args:
        buckets: Upper bounds of the histograms of durations, in seconds.
        max_series: As for `Counter`.
        timer: As for `Histogram`.
    """

    buckets: tuple[float, ...]
    max_series: int | None
    timer: Callable[[], float] | None


class Families:
    """
    The metrics of HTTP and of WebSockets.

    Args:
        namespace: Put before every name, joined by ``_``.
        options: What they have in common.
    """

    __slots__ = ("_all", "http", "key", "options", "websocket")

    def __init__(self, namespace: str, options: Options) -> None:
        make = Maker(namespace, options.max_series, options.timer)
        self.http = HTTPFamilies(make, options.buckets)
        self.websocket = WebSocketFamilies(make)
        self.options = options
        # Under this key a scope holds what is being measured with these metrics.
        self.key = f"penstock.metrics.{next(_keys)}"
        self._all = make.made

    def register(self, registry: CollectorRegistry) -> None:
        """
        Register all metrics, or none of them.

        Raises:
            ValueError: A name is taken.
        """
        done = []
        try:
            for metric in self._all:
                registry.register(metric)
                done.append(metric)
        except ValueError:
            for metric in done:
                registry.unregister(metric)
            raise

    def restore(self, registry: CollectorRegistry) -> None:
        """Register again what was unregistered meanwhile, as test suites do with all there is."""
        for metric in self._all:
            with suppress(ValueError):  # it is still there
                registry.register(metric)


def shared_families(registry: CollectorRegistry, namespace: str, options: Options) -> Families:
    """
    Return the metrics of a registry, made at the first call.

    Starlette makes a middleware again whenever it builds its stack, and a process may have several
    applications: all of them count into the same metrics.

    Raises:
        ValueError: They exist with other options, or others have their names.
    """
    with _lock:
        of_registry = _shared.setdefault(registry, {})
        families = of_registry.get(namespace)
        if families is None:
            families = Families(namespace, options)
            families.register(registry)
            of_registry[namespace] = families
        else:
            _check_same(families.options, options)
            families.restore(registry)
        return families


def _check_same(there: Options, wanted: Options) -> None:
    for name, old, new in zip(Options._fields, there, wanted, strict=True):
        if old != new:
            raise ValueError(
                f"{name} must be {old} as for the other middleware of this registry, got {new}"
            )
