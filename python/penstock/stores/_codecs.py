"""How values become bytes and come back: the codec, the compression and the secret of a store."""

from __future__ import annotations

import pickle
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal

from penstock import json
from penstock.flow._checks import check_int
from penstock.stores._compression import check_compress, decompress
from penstock.stores._signing import check_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.stores._compression import Compression

__all__ = ["MAX_VALUE", "PLAIN", "Codec", "Coding", "Undecodable", "key_bytes", "shorten"]

Codec = Literal["json", "msgpack", "pickle"]

#: Bytes that a value has at most, unless a store is told otherwise.
MAX_VALUE: Final = 16 * 2**20
_THRESHOLD: Final = 4096

_BYTES, _STR, _JSON, _MSGPACK, _PICKLE = range(5)
#: The number of what is stored as it is.
PLAIN: Final = _BYTES
_SHOWN: Final = 60


class Undecodable(ValueError):
    """What is stored was written by something else, by another version, or was tampered with."""


def shorten(key: str) -> str:
    """Return *key* as messages show it."""
    return repr(key) if len(key) <= _SHOWN else f"{key[:_SHOWN]!r}..."


def key_bytes(key: str) -> bytes:
    """
    Return a key, or a tag, as bytes.

    Raises:
        TypeError: It is no str.
        ValueError: It has surrogates, which no UTF-8 can say.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key must be a str, got {type(key).__name__}")
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a key must be text, got {shorten(key)}: {error.reason}") from None


def _msgpack() -> Any:
    try:
        import msgpack  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError("codec='msgpack' needs msgpack: pip install msgpack") from error
    return msgpack


def _dump_msgpack() -> Callable[[object], bytes]:
    pack = _msgpack().packb
    return lambda value: bytes(pack(value, datetime=True))


def _load_msgpack(data: bytes) -> Any:
    # What says how long it is cannot be longer than the data, that is msgpack's own limit.
    return _msgpack().unpackb(data, strict_map_key=False, timestamp=3)


def _dump_pickle(value: object) -> bytes:
    return pickle.dumps(value, 5)


_OTHERS: Final = {
    "json": "store bytes or str, or use codec='msgpack', or codec='pickle' with a secret",
    "msgpack": "store bytes or str, or use codec='pickle' with a secret",
    "pickle": "store bytes or str",
}


class Coding:
    """
    How a store writes values.

    Args:
        codec: For values that are neither bytes nor str, which are stored as they are. ``"json"``
            gives lists for tuples, text for datetimes, as JSON does. ``"pickle"`` needs a secret.
        secret: At least 16 bytes, the same in all processes that share the store. What is written
            is signed with it, and what is not signed, or not rightly, is not read.
        compress: ``"zlib"`` or ``"zstd"`` (needs zstandard), where that makes a value smaller.
            Either is read, whatever is said here.
        threshold: How many bytes a value has at least to be compressed.
        max_value: How many bytes a value may have.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range; pickle without a secret.
        ImportError: The codec or the compression is not installed.
    """

    __slots__ = ("_compress", "_dump", "_number", "codec", "max_value", "secret", "threshold")

    def __init__(
        self,
        *,
        codec: Codec = "json",
        secret: bytes | None = None,
        compress: Compression | None = None,
        threshold: int = _THRESHOLD,
        max_value: int = MAX_VALUE,
    ) -> None:
        check_secret(secret)
        self._dump: Callable[[object], bytes]
        if codec == "json":
            self._number, self._dump = _JSON, json.dumps
        elif codec == "msgpack":
            self._number, self._dump = _MSGPACK, _dump_msgpack()
        elif codec == "pickle":
            if secret is None:
                message = "codec='pickle' needs a secret: whoever can write to the store could "
                raise ValueError(f"{message}have any code executed")
            self._number, self._dump = _PICKLE, _dump_pickle
        else:
            raise ValueError(f"codec must be 'json', 'msgpack' or 'pickle', got {codec!r}")
        self.codec = codec
        self.secret = secret
        self.max_value = check_int("max_value", max_value, 1)
        self._compress = check_compress(compress)
        #: How many bytes a payload has at least to be compressed.
        self.threshold: float = check_int("threshold", threshold, 1)
        if self._compress is None:
            self.threshold = inf

    def encode(self, key: str, value: object) -> tuple[int, bytes]:
        """
        Return a value as bytes, and the number of the codec that wrote them.

        Raises:
            TypeError: The codec cannot write it.
            ValueError: It is too large, nested too deeply, or text that is none.
        """
        # Those of subclasses would not come back as such.
        if isinstance(value, str) and type(value) is str:
            number, data = _STR, self._text(key, value)
        elif isinstance(value, bytes) and type(value) is bytes:
            number, data = _BYTES, value
        else:
            number = self._number
            try:
                data = self._dump(value)
            except Exception as error:
                raise self._refusal(key, value, error) from error
        if len(data) > self.max_value:
            size = f"it has {len(data)} bytes, max_value is {self.max_value}"
            raise ValueError(f"the value of {shorten(key)} is too large: {size}")
        return number, data

    def compress(self, data: bytes) -> bytes | None:
        """Return *data* compressed; None if it is to be stored as it is."""
        if self._compress is None or len(data) < self.threshold:
            return None
        packed = self._compress(data)
        return packed if len(packed) < len(data) else None

    def decompress(self, data: bytes) -> bytes:
        """
        Return what `compress` was given, by whichever process.

        Raises:
            Undecodable: It is damaged, or too large.
        """
        try:
            return decompress(data, self.max_value)
        except (ValueError, ImportError) as error:
            raise Undecodable(str(error)) from error

    def decode(self, number: int, data: bytes) -> Any:
        """
        Return a value.

        Args:
            number: Of the codec that wrote it.
            data: What it wrote. Whether it is signed has been looked at by now.

        Raises:
            Undecodable: It cannot be read, or not by this coding.
        """
        try:
            if number == _JSON:
                return json.loads(data)
            if number == _STR:
                return data.decode()
            if number == _BYTES:
                return data
            if number == _MSGPACK:
                return _load_msgpack(data)
            if number == _PICKLE and self._number == _PICKLE:
                return pickle.loads(data)
        except Exception as error:
            raise Undecodable(f"codec {number}: {error}") from error
        raise Undecodable(f"codec {number} is not read by codec={self.codec!r}")

    def _text(self, key: str, value: str) -> bytes:
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the str of {shorten(key)} is no text: {error.reason}") from None

    def _refusal(self, key: str, value: object, error: Exception) -> Exception:
        """Return what the caller is told of a value that cannot be written."""
        # Of text that is none orjson says that its type is wrong.
        is_value = isinstance(error, ValueError | RecursionError) or "surrogates" in str(error)
        kind = ValueError if is_value else TypeError
        what = f"codec {self.codec!r} cannot store the {type(value).__name__} of {shorten(key)}"
        return kind(f"{what}: {error}; {_OTHERS[self.codec]}")

    def __repr__(self) -> str:
        signed = "" if self.secret is None else ", signed"
        return f"Coding({self.codec!r}{signed})"
