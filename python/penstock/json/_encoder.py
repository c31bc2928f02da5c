"""Writing JSON, byte for byte as orjson does, with the standard library."""

from __future__ import annotations

from enum import EnumMeta
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NoReturn

from penstock.json import _numpy
from penstock.json._texts import BARE, QUOTED, int_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["encode"]

#: Of containers inside one another, and of calls of `default` for one value.
_MAX_DEPTH: Final = 254
_WRONG_KEY: Final = "Dict key must be a str or something that JSON can show as one"


def encode(
    obj: object, default: Callable[[Any], object] | None, sort_keys: bool, indent: bool
) -> bytes:
    """Return *obj* as JSON."""
    try:
        return _Encoder(default, sort_keys, indent).write(obj).encode()
    except UnicodeEncodeError:
        raise TypeError("str is not valid UTF-8: surrogates not allowed") from None


def _scalar(obj: Any) -> str | None:
    """Write what has no parts; None for anything else."""
    kind = type(obj)
    if kind is str:
        return encode_basestring(obj)
    bare = BARE.get(kind)
    if bare is not None:
        return bare(obj)
    quoted = QUOTED.get(kind)
    if quoted is not None:
        return f'"{quoted(obj)}"'
    if issubclass(kind, str):
        return encode_basestring(obj)
    if issubclass(kind, int):
        return int_text(obj)
    # Not a container: it is no level of its own.
    return "[]" if kind is tuple and not obj else _numpy.text(obj)


def _key(key: Any) -> str:
    """Return a key as the text that it becomes."""
    for _ in range(_MAX_DEPTH):
        kind = type(key)
        if issubclass(kind, str):
            return str.__str__(key)
        if kind in BARE:
            return BARE[kind](key)
        if kind in QUOTED:
            return QUOTED[kind](key)
        if issubclass(kind, int):
            return int_text(key)
        if type(kind) is not EnumMeta:
            break
        key = key.value
    raise TypeError(_WRONG_KEY)


class _Encoder:
    """Writes one document, without recursion: the stack may be nearly used up already."""

    __slots__ = ("_default", "_indents", "_levels", "_out", "_sorts")

    def __init__(
        self, default: Callable[[Any], object] | None, sort_keys: bool, indent: bool
    ) -> None:
        self._default = default
        self._sorts = sort_keys
        self._indents = indent
        self._out: list[str] = []
        # Each level: what is left of it, how it ends, and how often `default` was called for it.
        self._levels: list[tuple[Iterator[tuple[str, Any]], str, int]] = []

    def write(self, obj: object) -> str:
        """Return the document."""
        out, levels = self._out, self._levels
        self._put(obj, 0)
        while levels:
            items, end, calls = levels[-1]
            for prefix, value in items:
                out.append(prefix)
                if self._put(value, calls):
                    break
            else:
                out.append(end)
                levels.pop()
        return "".join(out)

    def _put(self, obj: Any, calls: int) -> bool:
        """Write a scalar, or begin a container; whether it was the latter."""
        while True:
            text = _scalar(obj)
            if text is not None:
                self._out.append(text)
                return False
            kind = type(obj)
            if issubclass(kind, list):
                return self._begin([("", item) for item in list.copy(obj)], "[]", calls)
            if kind is tuple:
                return self._begin([("", item) for item in obj], "[]", calls)
            if issubclass(kind, dict):
                return self._begin_pairs(self._pairs(obj), calls)
            if type(kind) is EnumMeta:
                obj = obj.value
            elif "__dataclass_fields__" in vars(kind):
                return self._begin_pairs(_attributes(obj), calls)
            elif (items := _numpy.items(obj)) is not None:
                return self._begin([("", item) for item in items], "[]", calls)
            else:
                obj, calls = self._replaced(obj, calls), calls + 1

    def _replaced(self, obj: Any, calls: int) -> object:
        """Let the caller say what to write for it."""
        default = self._default
        if default is None:
            _refuse(obj)
        if calls > _MAX_DEPTH:
            raise TypeError("default serializer exceeds recursion limit")
        try:
            return default(obj)
        except Exception as error:
            _refuse(obj, error)

    def _pairs(self, obj: dict[Any, Any]) -> list[tuple[str, Any]]:
        pairs = [(_key(key), value) for key, value in list(dict.items(obj))]
        if self._sorts:
            pairs.sort(key=lambda pair: pair[0])
        return pairs

    def _begin_pairs(self, pairs: list[tuple[str, Any]], calls: int) -> bool:
        colon = ": " if self._indents else ":"
        named = [(encode_basestring(key) + colon, value) for key, value in pairs]
        return self._begin(named, "{}", calls)

    def _begin(self, items: list[tuple[str, Any]], brackets: str, calls: int) -> bool:
        depth = len(self._levels)
        if depth >= _MAX_DEPTH:
            raise TypeError("Recursion limit reached")
        if not items:
            self._out.append(brackets)
            return False
        opening, end = brackets[0], brackets[1]
        comma = ","
        if self._indents:
            line = "\n" + "  " * (depth + 1)
            opening, comma, end = opening + line, comma + line, f"\n{'  ' * depth}{end}"
        self._levels.append((_joined(items, opening, comma), end, calls))
        return True


def _joined(items: list[tuple[str, Any]], opening: str, comma: str) -> Iterator[tuple[str, Any]]:
    """Put before each item what separates it from the one before."""
    before = opening
    for prefix, value in items:
        yield before + prefix, value
        before = comma


def _attributes(obj: Any) -> list[tuple[str, Any]]:
    """Return what is written of a dataclass: its fields, or all of its __dict__ if it has one."""
    kind = type(obj)
    if "__slots__" in vars(kind) or not hasattr(obj, "__dict__"):
        fields: dict[str, Any] = kind.__dataclass_fields__
        names = [name for name, field in fields.items() if field._field_type.name == "_FIELD"]
        pairs = [(name, getattr(obj, name)) for name in names if name[:1] != "_"]
    else:
        pairs = list(vars(obj).items())
        if any(type(name) is not str for name, _ in pairs):
            raise TypeError("Dict key must be str")
    return [(name, value) for name, value in pairs if name[:1] != "_"]


def _refuse(obj: object, cause: Exception | None = None) -> NoReturn:
    kind = type(obj)
    reason = _numpy.reason(obj)
    raise TypeError(reason or f"Type is not JSON serializable: {kind.__name__}") from cause
