"""Stores that do something wrong: the checker has to notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.stores import Record

__all__ = ["LIARS"]


class _ForgetsDeletes(SqliteStore):
    """Says that keys were deleted."""

    __slots__ = ()

    async def delete_many(self, keys: Sequence[str]) -> None:
        pass


class _FillsAlways(SqliteStore):
    """Stores what was loaded, whatever happened meanwhile."""

    __slots__ = ()

    async def set_many(
        self, items: Sequence[tuple[str, Record]], *, base: int | None = None, **rest: Any
    ) -> list[bool]:
        return await super().set_many(items, **rest)


class _IgnoresTags(SqliteStore):
    """Takes only patterns seriously."""

    __slots__ = ()

    async def invalidate(self, *, tags: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        await super().invalidate(patterns=patterns)


class _MakesThingsUp(SqliteStore):
    """Now and then stores something else."""

    __slots__ = ()

    async def set_many(
        self, items: Sequence[tuple[str, Record]], *, base: int | None = None, **rest: Any
    ) -> list[bool]:
        rest.pop("encoded", None)
        other = [
            (key, record._replace(value="made up") if key.startswith("a:") else record)
            for key, record in items
        ]
        return await super().set_many(other, base=base, **rest)


LIARS = {
    "forgets deletes": _ForgetsDeletes,
    "fills always": _FillsAlways,
    "ignores tags": _IgnoresTags,
    "makes things up": _MakesThingsUp,
}
