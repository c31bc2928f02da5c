"""The first tier in one file, and back: a service that was restarted is warm at once."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from penstock.caching._tiered_options import Failure
from penstock.errors import SnapshotError
from penstock.files._atomic import replace_file
from penstock.flow._checks import check_int
from penstock.stores._codecs import Coding
from penstock.stores._envelope import Tombstone, Undecodable, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.caching._tiered import TieredCache
    from penstock.stores import Record
    from penstock.stores._codecs import Codec

__all__ = ["restore", "save"]

logger = logging.getLogger("penstock.caching")

Path = str | os.PathLike[str]

_MAGIC: Final = b"PENSTOCK L1\n"
_FORMAT: Final = 1
# magic, format, number of entries
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}sIQ")
# length of the key, length of the value
_ENTRY: Final = struct.Struct(">IQ")
_CHECKSUM: Final = 32
#: Entries between two turns of the event loop; keys in one question to the stores.
_STEP: Final = 500


async def save(
    cache: TieredCache,
    path: Path,
    *,
    limit: int | None = None,
    codec: Codec = "json",
    secret: bytes | None = None,
) -> int:
    """
    Write the first tier of *cache* to a file: what ``cache.save`` is.

    Args:
        cache: A `TieredCache`.
        path: The file: replaced in one step, or not at all.
        limit: How many entries at most; those used last are the first to be written.
        codec: How values are written; those that it cannot write are left out.
        secret: The values are signed with it; see `SqliteStore`.

    Returns:
        How many entries are in the file.
    """
    if limit is not None:
        check_int("limit", limit, 0)
    coding = Coding(codec=codec, secret=secret)
    chosen = _choose(cache, limit)
    return await asyncio.to_thread(_write, os.fspath(path), chosen, coding)


async def restore(cache: TieredCache, path: Path, *, secret: bytes | None = None) -> int:
    """
    Bring back what `save` has written: what ``cache.restore`` is.

    Args:
        cache: A `TieredCache`.
        path: The file.
        secret: That with which it was saved.

    Returns:
        How many entries are there again.

    Raises:
        OSError: There is no such file, or it cannot be read.
        SnapshotError: It is no snapshot, of another version, damaged or cut off; nothing is
            restored then.
    """
    # Nothing is unpickled but what is signed with the secret; what others write is read as well.
    coding = Coding() if secret is None else Coding(codec="pickle", secret=secret)
    limit = cache._local.cache.maxsize
    entries = await asyncio.to_thread(_read, os.fspath(path), coding, limit)
    if not cache._core.has_l1:
        return 0
    entries.reverse()  # the hottest is to be the one that was used last
    if cache._tiers:
        return await _ask_for(cache, [key for key, _ in entries])
    return await _fill(cache, entries)


def _choose(cache: TieredCache, limit: int | None) -> list[tuple[str, Record]]:
    """Return what is valid and fresh, the hottest first."""
    local = cache._local
    now = local.timer()
    chosen: list[tuple[str, Record]] = []
    for key, entry in reversed(local.entries()):
        if limit is not None and len(chosen) >= limit:
            break
        if type(entry.value) is Failure or local.state(entry, now) not in {"fresh", "refresh"}:
            continue
        record = entry.note.record
        if record.remaining(local.clock()) > 0.0:  # else it stands in while its loader fails
            chosen.append((key, record))
    return chosen


def _write(path: str, chosen: Sequence[tuple[str, Record]], coding: Coding) -> int:
    parts = [b""]
    refused: list[Exception] = []
    for key, record in chosen:
        try:
            name, data = key.encode(), pack(key, record, coding)
        except (TypeError, ValueError) as error:
            refused.append(error)
            continue
        parts += (_ENTRY.pack(len(name), len(data)), name, data)
    saved = len(chosen) - len(refused)
    parts[0] = _HEAD.pack(_MAGIC, _FORMAT, saved)
    content = b"".join(parts)
    replace_file(path, content + _checksum(content))
    if refused:
        what = "%d of %d entries are not in %s, the first because: %s"
        logger.warning(what, len(refused), len(chosen), path, refused[0])
    return saved


def _read(path: str, coding: Coding, limit: int | None) -> list[tuple[str, Record]]:
    """Return the entries of a file, the hottest first."""
    with open(path, "rb") as file:
        head = file.read(_HEAD.size)
        if not head.startswith(_MAGIC):  # before all of it is read
            raise SnapshotError(f"{path} is no snapshot of a cache")
        content = head + file.read()
    content, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if len(content) < _HEAD.size:
        raise SnapshotError(f"{path} is cut off")
    _, version, count = _HEAD.unpack_from(content)
    if version != _FORMAT:
        raise SnapshotError(f"{path} has format {version}, this version reads {_FORMAT}")
    if _checksum(content) != checksum:
        raise SnapshotError(f"{path} is damaged or cut off")
    found: list[tuple[str, Record]] = []
    unreadable: list[Exception] = []
    for key, data in _entries(path, content, count):
        if limit is not None and len(found) >= limit:
            break
        try:
            record = unpack(key, data, coding)
        except Undecodable as error:
            unreadable.append(error)
            continue
        if not isinstance(record, Tombstone):
            found.append((key, record))
    if unreadable:
        what = "%d of %d entries of %s cannot be read, the first because: %s"
        logger.warning(what, len(unreadable), count, path, unreadable[0])
    return found


def _entries(path: str, content: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    at = _HEAD.size
    for _ in range(count):
        try:
            length, size = _ENTRY.unpack_from(content, at)
            start = at + _ENTRY.size
            key = content[start : start + length].decode()
        except (struct.error, UnicodeDecodeError):
            raise SnapshotError(f"{path} is damaged") from None
        at = start + length + size
        yield key, content[start + length : at]
    if at != len(content):
        raise SnapshotError(f"{path} is damaged")


def _checksum(content: bytes) -> bytes:
    return blake2b(content, digest_size=_CHECKSUM).digest()


async def _fill(cache: TieredCache, entries: list[tuple[str, Record]]) -> int:
    """Put entries into the first tier, which is all that there is."""
    local, options = cache._local, cache._options
    restored = 0
    for number, (key, record) in enumerate(entries, 1):
        if local.cache.peek(key) is None:
            made = local.fill(
                key,
                record,
                0,
                l1_ttl=options.l1_ttl,
                jitter=options.jitter,
                refresh_after=options.refresh_after,
            )
            # What got stale meanwhile may stand in, but is not what is found there.
            restored += made is not None and record.remaining(local.clock()) > 0.0
        if not number % _STEP:
            await asyncio.sleep(0)
    return restored


async def _ask_for(cache: TieredCache, keys: list[str]) -> int:
    """Read keys from the stores: what is in the file may have been deleted there since."""
    restored = 0
    for start in range(0, len(keys), _STEP):
        restored += len(await cache.get_many(keys[start : start + _STEP]))
    return restored
