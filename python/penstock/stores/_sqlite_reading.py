"""What a store reads from its SQLite file, and which of it is valid."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from penstock.stores._envelope import Undecodable, unpack
from penstock.stores._rules import Rules
from penstock.stores._sqlite_notes import COARSE
from penstock.stores._sqlite_room import AHEAD
from penstock.stores._sqlite_schema import Gone
from penstock.stores._store import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.pools import SqlitePool
    from penstock.stores._codecs import Coding
    from penstock.stores._sqlite_notes import Notes
    from penstock.stores._sqlite_stats import Counts

__all__ = ["AT_ONCE", "Reader"]

#: How many keys a statement asks for at most.
AT_ONCE: Final = 500

_META: Final = "SELECT NULL, clock, rules, tag_floor FROM penstock_spaces WHERE id = ?"
_ENTRIES: Final = "SELECT key, value, version, used FROM penstock_entries WHERE space = ?"
# With the floor as it is then: it rises when tags are forgotten.
_TAG_FLOOR: Final = "SELECT NULL, tag_floor FROM penstock_spaces WHERE id = ?"
_TAGS: Final = "SELECT tag, version FROM penstock_tags WHERE space = ?"
_RULES: Final = "SELECT pattern, version FROM penstock_rules WHERE space = ?"

_NOTHING: Final = (None, -1, 0, 0)


def _places(count: int) -> int:
    """Return for how many a statement is made: few different ones stay prepared."""
    return min(1 << (count - 1).bit_length(), AT_ONCE)


@lru_cache(64)
def _read(places: int) -> str:
    return f"{_META} UNION ALL {_ENTRIES} AND key IN ({', '.join('?' * places)})"


@lru_cache(64)
def _read_tags(places: int) -> str:
    return f"{_TAG_FLOOR} UNION ALL {_TAGS} AND tag IN ({', '.join('?' * places)})"


class Reader:
    """
    Reads records of a namespace.

    Args:
        coding: How values are written.
        counts: Where it is counted.
        notes: Is told what was read.
    """

    __slots__ = ("_coding", "_counts", "_known", "_notes")

    def __init__(self, coding: Coding, counts: Counts, notes: Notes) -> None:
        self._coding = coding
        self._counts = counts
        self._notes = notes
        #: The rules, and their version. Together: threads may read as well.
        self._known = Rules(), 0

    async def read(
        self, pool: SqlitePool, space: int, names: Mapping[bytes, str], now: float
    ) -> tuple[dict[str, Record], int]:
        """
        Return the valid records of keys, and the clock.

        Args:
            pool: The database.
            space: The number of the namespace.
            names: Keys, by what they are in the database.
            now: Wall clock.

        Raises:
            Gone: There is no such namespace.
        """
        if len(names) <= AT_ONCE:
            return await self._read(pool, space, names, now)
        keys = list(names)
        records: dict[str, Record] = {}
        bases = []
        for start in range(0, len(keys), AT_ONCE):
            some = {key: names[key] for key in keys[start : start + AT_ONCE]}
            found, base = await self._read(pool, space, some, now)
            records |= found
            bases.append(base)
        return records, min(bases)

    async def _read(
        self, pool: SqlitePool, space: int, names: Mapping[bytes, str], now: float
    ) -> tuple[dict[str, Record], int]:
        places = _places(len(names))
        given = [space, space, *names, *[None] * (places - len(names))]
        rows = await pool.fetchall(_read(places), given)
        _, base, rules_version, tag_floor = next((row for row in rows if row[0] is None), _NOTHING)
        if base < 0:
            raise Gone
        rules, version = self._known
        if rules_version != version:
            rules = await self._read_rules(pool, space, rules_version)
        records: dict[str, Record] = {}
        tagged: dict[str, Record] = {}
        old, late = now - COARSE, now + AHEAD
        newest = rules.newest if rules else None
        for key, value, version, used in rows:
            if key is None or value is None:  # the clock; the mark of a delete
                continue
            name = names[key]
            record = self._decode(name, value, now)
            if record is None or (newest is not None and newest(name) > version):
                continue
            if record.tags:
                if version < tag_floor:
                    continue
                tagged[name] = record
            records[name] = record
            if not old <= used <= late:
                self._notes.add(key, now)
        if tagged:
            await self._drop_invalid(pool, space, tagged, records)
        return records, base

    def _decode(self, name: str, value: object, now: float) -> Record | None:
        """Return a record that can be read and is of use by its times."""
        try:
            record = unpack(name, value, self._coding) if type(value) is bytes else None
        except Undecodable:
            record = None
        if not isinstance(record, Record):
            self._counts.undecodable += 1
            return None
        # How old something is that was stored before the clock was set back cannot be told.
        if record.born > now + AHEAD or (record.ttl is not None and record.usable(now) <= 0):
            return None
        return record

    async def _drop_invalid(
        self, pool: SqlitePool, space: int, tagged: dict[str, Record], records: dict[str, Record]
    ) -> None:
        """Leave out what was invalidated by a tag; these are read later, which is the safe side."""
        tags = list({tag.encode() for record in tagged.values() for tag in record.tags})
        versions: dict[str, int] = {}
        floor = 0
        for start in range(0, len(tags), AT_ONCE):
            some = tags[start : start + AT_ONCE]
            places = _places(len(some))
            given = [space, space, *some, *[None] * (places - len(some))]
            for tag, version in await pool.fetchall(_read_tags(places), given):
                if tag is None:
                    floor = max(floor, version)
                else:
                    versions[tag.decode()] = version
        for name, record in tagged.items():
            if record.version < floor or any(
                versions.get(tag, 0) > record.version for tag in record.tags
            ):
                del records[name]

    async def _read_rules(self, pool: SqlitePool, space: int, version: int) -> Rules:
        rows = await pool.fetchall(_RULES, (space,))
        rules = Rules({pattern.decode(): number for pattern, number in rows})
        # They may be newer than that: then they are read once more.
        self._known = rules, version
        return rules
