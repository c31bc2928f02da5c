"""What is around a stored value: its version, its life, its tags and its signature."""

from __future__ import annotations

import struct
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock import json
from penstock.stores._codecs import PLAIN, Undecodable, key_bytes, shorten
from penstock.stores._signing import SIGNATURE, is_signed_by, sign
from penstock.stores._store import Record

if TYPE_CHECKING:
    from penstock.stores._codecs import Coding

__all__ = ["HEADER", "Tombstone", "Undecodable", "bury", "pack", "stamp", "unpack"]

# magic and format, flags, codec, version, born, ttl, stale_for
_HEAD: Final = struct.Struct(">2sBBQddd")
_pack_head, _unpack_head = _HEAD.pack, _HEAD.unpack_from
#: Bytes in front of everything else.
HEADER: Final = _HEAD.size
_MAGIC: Final = b"P\x01"
_TOMBSTONE, _COMPRESSED, _TAGGED, _SIGNED, _ENDLESS = 1, 2, 4, 8, 16
_ALL: Final = 31
# The version is set by the store, which may not have the secret: it is not signed.
_VERSION: Final = slice(4, 12)
_LENGTH: Final = 2
_MAX_TAGS: Final = 2**16 - 1
_make = tuple.__new__


class Tombstone(NamedTuple):
    """What a delete leaves."""

    version: int


def pack(key: str, record: Record, coding: Coding) -> bytes:
    """
    Return *record* as it is stored.

    Args:
        key: The signature holds for this key only.
        record: Its version is in bytes 4 to 12, big-endian; see `stamp`.
        coding: How the value is written.

    Raises:
        TypeError: The codec cannot write the value, or a tag is no str.
        ValueError: The value is too large, or nested too deeply; the tags have more than 64 KB; the
            key or a tag is no text (lone surrogates), a time not finite.

    Cost: that of the codec, of the compression and the HMAC if there are any, and 1 us.
    """
    if not (type(key) is str and key.isascii()):
        key_bytes(key)
    value, born, ttl, stale_for, tags, version = record
    codec, payload = coding.encode(key, value)
    flags = 0 if coding.secret is None else _SIGNED
    if len(payload) >= coding.threshold:
        smaller = coding.compress(payload)
        if smaller is not None:
            flags, payload = flags | _COMPRESSED, smaller
    if tags:
        flags |= _TAGGED
        payload = _write_tags(key, tags) + payload
    if ttl is None:
        flags |= _ENDLESS
        ttl = 0.0
    if not (0.0 <= ttl < inf and 0.0 <= stale_for < inf and -inf < born < inf):
        what = f"ttl={ttl!r}, stale_for={stale_for!r}, born={born!r}"
        raise ValueError(f"the times of a record must be finite, and no negative lives, got {what}")
    try:
        head = _pack_head(_MAGIC, flags, codec, version, born, ttl, stale_for)
    except struct.error:
        raise ValueError(f"version must be an int of 64 bits, got {version!r}") from None
    if coding.secret is None:
        return head + payload
    signature = sign(coding.secret, key, head[:4], head[12:], payload)
    return head + signature + payload


def unpack(key: str, data: bytes, coding: Coding) -> Record | Tombstone:
    """
    Return what `pack` or `bury` was given.

    Args:
        key: Where it was found.
        data: What was found.
        coding: With a secret, whatever is not signed with it is refused.

    Raises:
        Undecodable: It cannot be read, or must not be.

    Cost: as of `pack`. Nothing is decompressed or decoded before its signature was seen to be
        right, and without one nothing is unpickled at all.
    """
    if len(data) < HEADER:
        raise Undecodable("it is too short")
    magic, flags, codec, version, born, ttl, stale_for = _unpack_head(data)
    if magic != _MAGIC or flags > _ALL:
        raise Undecodable("it is in another format")
    if flags & _TOMBSTONE:
        return Tombstone(version)
    if not (0.0 <= ttl < inf and 0.0 <= stale_for < inf and -inf < born < inf):
        raise Undecodable("its times are none")
    payload = data[HEADER:]
    tags: tuple[str, ...] = ()
    if flags & ~_ENDLESS or coding.secret is not None:
        if flags & _SIGNED or coding.secret is not None:
            payload = _check_signature(key, data, flags, coding)
        if flags & _TAGGED:
            tags, payload = _read_tags(payload)
        if flags & _COMPRESSED:
            payload = coding.decompress(payload)
    value = payload if codec == PLAIN else coding.decode(codec, payload)
    return _make(Record, (value, born, None if flags & _ENDLESS else ttl, stale_for, tags, version))


def stamp(data: bytes, version: int) -> bytes:
    """Return what `pack` returned, with another version."""
    return b"".join((data[:4], version.to_bytes(8, "big"), data[12:]))


def bury(version: int) -> bytes:
    """Return a tombstone as it is stored."""
    return _pack_head(_MAGIC, _TOMBSTONE, 0, version, 0.0, 0.0, 0.0)


def _check_signature(key: str, data: bytes, flags: int, coding: Coding) -> bytes:
    """Return the payload if it is signed rightly."""
    if not flags & _SIGNED:
        raise Undecodable("it is not signed")
    if coding.secret is None:
        raise Undecodable("it is signed, and there is no secret to check it with")
    end = HEADER + SIGNATURE
    payload = data[end:]
    if not is_signed_by(coding.secret, data[HEADER:end], key, data[:4], data[12:HEADER], payload):
        raise Undecodable("its signature is wrong")
    return payload


def _write_tags(key: str, tags: tuple[str, ...]) -> bytes:
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"the tags of {shorten(key)} must be str, got {type(tag).__name__}")
    try:
        text = json.dumps(tags)
    except TypeError as error:
        raise ValueError(f"the tags of {shorten(key)} are no text: {error}") from error
    if len(text) > _MAX_TAGS:
        what = f"the tags of {shorten(key)} are too long"
        raise ValueError(f"{what}: {len(text)} bytes, at most {_MAX_TAGS}")
    return len(text).to_bytes(_LENGTH, "big") + text


def _read_tags(payload: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return the tags, and what comes after them."""
    end = _LENGTH + int.from_bytes(payload[:_LENGTH], "big")
    try:
        tags = json.loads(payload[_LENGTH:end])
    except ValueError as error:
        raise Undecodable("its tags are none") from error
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Undecodable("its tags are none")
    return tuple(tags), payload[end:]
