"""What was loaded, on its way to the stores: nobody waits for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.caching._tiered_core import Core
    from penstock.stores import Record

    Bases: TypeAlias = tuple[int | None, ...]

__all__ = ["Fills", "fill"]


async def fill(
    core: Core, items: Sequence[tuple[str, Record]], bases: Sequence[int | None]
) -> None:
    """
    Store *items* in all tiers that have told their clocks, the deepest first.

    Args:
        core: Has the tiers.
        items: Keys and records.
        bases: The clocks, nearest first; there may be fewer than tiers.
    """
    for tier, base in reversed(list(zip(core.tiers, bases, strict=False))):
        if base is not None:
            await tier.fill(items, base)


class Fills:
    """
    Gathers what was loaded in one tick, so that each store is told once.

    Args:
        core: That of the cache.
    """

    __slots__ = ("_core", "_waiting")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[Bases, list[tuple[str, Record]]] = {}
        core.bound.append(self._begin_anew)

    def put(self, key: str, record: Record, bases: Sequence[int | None]) -> None:
        """Store a record in the next step of the event loop."""
        if not self._waiting:
            assert self._core.loop is not None
            self._core.loop.call_soon(self._send)
        self._waiting.setdefault(tuple(bases), []).append((key, record))

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for bases, items in waiting.items():
            self._core.spawn(fill(self._core, items, bases))

    def is_idle(self) -> bool:
        """Whether nothing waits for the next step."""
        return not self._waiting

    def _begin_anew(self, _: object) -> object:
        waiting, self._waiting = self._waiting, {}
        return waiting
