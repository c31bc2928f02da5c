"""Compression of stored values, and its end at a limit: a few bytes may stand for gigabytes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Compression", "check_compress", "compress", "decompress"]

Compression = Literal["zlib", "zstd"]

# The first byte of what is compressed says how.
_ZLIB: Final = b"\x01"
_ZSTD: Final = b"\x02"
# A cache compresses more often than an archive does: fast rather than small.
_ZLIB_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError as error:
        message = "compress='zstd' needs zstandard: pip install zstandard"
        raise ImportError(message) from error
    return zstandard


def check_compress(how: Compression | None) -> Callable[[bytes], bytes] | None:
    """
    Return what compresses that way; None: nothing does.

    Raises:
        ValueError: There is no such way.
        ImportError: What it needs is not installed.
    """
    if how is None:
        return None
    if how == "zlib":
        return lambda data: _ZLIB + zlib.compress(data, _ZLIB_LEVEL)
    if how == "zstd":
        pack = _zstd().compress
        return lambda data: _ZSTD + bytes(pack(data, _ZSTD_LEVEL))
    raise ValueError(f"compress must be 'zlib', 'zstd' or None, got {how!r}")


def compress(data: bytes, how: Compression) -> bytes:
    """Return *data* compressed, and how."""
    pack = check_compress(how)
    assert pack is not None
    return pack(data)


def decompress(data: bytes, limit: int) -> bytes:
    """
    Return what was compressed.

    Args:
        data: What `compress` returned.
        limit: How many bytes may come out.

    Raises:
        ValueError: It is damaged, of an unknown kind, or larger than that.
        ImportError: What it needs is not installed.

    Cost: the memory of *limit* at most, whatever *data* says.
    """
    kind, packed = data[:1], data[1:]
    if kind == _ZLIB:
        return _decompress_zlib(packed, limit)
    if kind == _ZSTD:
        return _decompress_zstd(packed, limit)
    raise ValueError("it is compressed in an unknown way")


def _decompress_zlib(packed: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        # One more, since 0 would be no limit, and to tell what is full from what is too large.
        data = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("it cannot be decompressed: its end is not where it should be")
    return data


def _decompress_zstd(packed: bytes, limit: int) -> bytes:
    zstd = _zstd()
    try:
        # What is said here is allocated at once.
        size: int = zstd.frame_content_size(packed)
        if not 0 <= size <= limit:
            raise ValueError(f"it is larger than {limit} bytes, or does not say how large it is")
        unpack = zstd.ZstdDecompressor().decompress
        return bytes(unpack(packed, allow_extra_data=False))
    except zstd.ZstdError as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
