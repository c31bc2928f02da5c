"""Keys of calls: one text for the same arguments, in every process and version of Python."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ArgumentKeys", "digest"]

#: Part of what is hashed: another encoding must not find the results of this one.
_FORMAT: Final = b"1"
_DIGEST_BYTES: Final = 16
#: Keys that are remembered, for arguments that are no longer than that.
_REMEMBERED: Final = 8192
_SHORT: Final = 256
#: Equal ones of the same type have the same key. But for zeros: 0.0 == -0.0.
_PLAIN: Final = frozenset({str, int, bytes, bool, float, type(None)})


class _Unkeyable(Exception):
    """A value that has no encoding; its argument says what is wrong."""


def _sized(tag: bytes, content: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(content), content)


def _text(tag: bytes, text: str) -> bytes:
    return _sized(tag, text.encode("utf-8", "surrogatepass"))


def _type(tag: bytes, cls: type) -> bytes:
    return _text(tag, f"{cls.__module__}.{cls.__qualname__}")


def _decimal(value: Decimal) -> bytes:
    # Not str(): that depends on the context of the thread.
    sign, digits, exponent = value.as_tuple()
    return _text(b"m", f"{sign} {exponent} {''.join(map(str, digits))}")


def _datetime(value: datetime) -> bytes:
    zone = ""
    if value.tzinfo is not None:
        # Zones with rules have a name; without it two of them may look the same on this day.
        zone = str(getattr(value.tzinfo, "key", None) or value.tzname())
    return _text(b"T", f"{value.isoformat()} {value.fold} {zone}")


def _sequence(tag: bytes, values: tuple[object, ...] | list[object]) -> bytes:
    return b"%b%d:%b" % (tag, len(values), b"".join(map(_encode, values)))


def _set(tag: bytes, values: set[object] | frozenset[object]) -> bytes:
    return b"%b%d:%b" % (tag, len(values), b"".join(sorted(map(_encode, values))))


def _dict(values: dict[object, object]) -> bytes:
    # Those that are equal are the same, in whatever order.
    items = sorted(_encode(key) + _encode(value) for key, value in values.items())
    return b"d%d:%b" % (len(items), b"".join(items))


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"n",
    bool: lambda value: b"t" if value else b"f",
    # In hexadecimal: there is no limit to its digits.
    int: lambda value: _text(b"i", f"{value:x}"),
    float: lambda value: _text(b"r", repr(value)),
    str: lambda value: _text(b"s", value),
    bytes: lambda value: _sized(b"b", value),
    tuple: lambda value: _sequence(b"u", value),
    list: lambda value: _sequence(b"l", value),
    dict: _dict,
    set: lambda value: _set(b"S", value),
    frozenset: lambda value: _set(b"Z", value),
    date: lambda value: _text(b"D", value.isoformat()),
    datetime: _datetime,
    UUID: lambda value: _sized(b"U", value.bytes),
    Decimal: _decimal,
}


def _encode(value: object) -> bytes:
    """Return what stands for *value*; it says itself where it ends."""
    # By the exact type: what a subclass has besides, nobody here can know.
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if isinstance(value, Enum):
        return _type(b"e", type(value)) + _member(value)
    if is_dataclass(value) and not isinstance(value, type):
        compared = [field.name for field in fields(value) if field.compare]
        parts = [_text(b"s", name) + _encode(getattr(value, name)) for name in compared]
        return _type(b"c", type(value)) + b"%d:%b" % (len(parts), b"".join(parts))
    raise _Unkeyable(f"{type(value).__module__}.{type(value).__qualname__}")


def _member(value: Enum) -> bytes:
    # What a combination of flags is called depends on the version of Python.
    return _encode(value.value) if isinstance(value, Flag) else _text(b"s", value.name)


def _encode_argument(name: str, value: object, function: str) -> bytes:
    try:
        return _encode(value)
    except _Unkeyable as error:
        what = f"is or holds a {error}"
    except RecursionError:
        what = "is nested too deeply"
    message = f"argument {name!r} of {function}() {what}, which no key is made of"
    raise TypeError(f"{message}; say what identifies the call with key=") from None


def _hash(content: bytes) -> str:
    return blake2b(_FORMAT + content, digest_size=_DIGEST_BYTES).hexdigest()


def digest(name: str, value: object, function: str) -> str:
    """
    Return the hash of a value: 32 hexadecimal digits.

    Args:
        name: What an error calls it.
        value: Of the types that keys are made of.
        function: Whose argument it is.

    Raises:
        TypeError: It is, or holds, something else.
    """
    return _hash(_encode_argument(name, value, function))


class ArgumentKeys:
    """
    The keys of the calls of one function.

    Args:
        prefix: What its keys begin with.
        function: What errors call it.
        signature: Of its arguments, without self.
        key: key(*args, **kwargs), which gets self too, in place of the arguments.
        skip: 1 where the first argument is self or a class, else 0.
        home: Module and name of the class that defines it, where there is one.
    """

    __slots__ = (
        "_function", "_home", "_key", "_owner", "_prefix", "_signature", "remembered", "skip"
    )  # fmt: skip

    def __init__(
        self,
        prefix: str,
        function: str,
        signature: inspect.Signature,
        key: Callable[..., object] | None,
        skip: int,
        home: str = "",
    ) -> None:
        self._prefix = f"{prefix}:"
        self._function = function
        self._signature = signature
        self._key = key
        #: By arguments and their types; none where key= says what identifies a call.
        self.remembered: dict[tuple[object, ...], str] = {}
        self.skip = skip
        self._home = f"O{home}"
        #: The class of that name, once an object of it was seen.
        self._owner: type | None = None

    def of(self, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
        """
        Return the key of a call.

        Raises:
            TypeError: The arguments do not fit, or no key can be made of them.

        Cost: 0.2 us when a call with these few, short, plain arguments is remembered; else to bind
            the arguments and to hash them, about 10 us.
        """
        if self._key is not None:
            return self._prefix + self._chosen(self._key(*args, **kwargs))
        whose = ""
        if self.skip and args:
            if type(args[0]) is not self._owner:
                whose = self._whose(args[0])
            args = args[1:]
        flat: tuple[object, ...]
        if kwargs:
            flat = (args, tuple(kwargs.items()), *map(type, args), *map(type, kwargs.values()))
        elif len(args) == 1:  # the most usual, and faster so
            flat = (args[0], type(args[0]))
        else:
            flat = (*args, *map(type, args))
        if whose:
            flat = (flat, whose)
        try:
            found = self.remembered.get(flat)
        except TypeError:  # not hashable
            found = None
        return self._make(flat, whose, args, kwargs) if found is None else found

    def _whose(self, first: object) -> str:
        """Return what tells subclasses apart; nothing for objects of the class that defines it."""
        if isinstance(first, type):
            return f"C{first.__module__}.{first.__qualname__}"
        cls = type(first)
        name = f"O{cls.__module__}.{cls.__qualname__}"
        if name != self._home:
            return name
        self._owner = cls
        return ""

    def _make(
        self,
        flat: tuple[object, ...],
        whose: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> str:
        content = _text(whose[:1].encode(), whose[1:]) if whose else b""
        made = self._prefix + _hash(content + self._bound(args, kwargs))
        if all(map(_is_plain, (*args, *kwargs.values()))):
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            self.remembered[flat] = made
        return made

    def _chosen(self, key: object) -> str:
        """Return what key= gave if it is a text, which can be read then, or its hash."""
        if type(key) is str:
            return key
        if inspect.iscoroutine(key):
            key.close()
        try:
            return _hash(_encode(key))
        except (_Unkeyable, RecursionError):
            what = type(key).__name__
            raise TypeError(f"key= of {self._function}() returned a {what}, not a str") from None

    def _bound(self, args: tuple[object, ...], kwargs: dict[str, object]) -> bytes:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._function}() {error}") from None
        bound.apply_defaults()
        return b"".join(
            _text(b"s", name) + _encode_argument(name, value, self._function)
            for name, value in bound.arguments.items()
        )


def _is_plain(value: object) -> bool:
    """Whether what is equal to it, and of its type, has its key; and whether it is short."""
    if type(value) not in _PLAIN:
        return False
    if isinstance(value, str | bytes):
        return len(value) <= _SHORT
    return not isinstance(value, float) or value != 0
