"""Reading JSON as strictly as orjson does, with the scanner of the standard library."""

from __future__ import annotations

import json
import re
from json import JSONDecodeError, decoder
from math import isinf
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode"]

#: Of arrays and objects inside one another.
_MAX_DEPTH: Final = 1024
#: No int of so many digits has 64 bits; that many are quick to read.
_MAX_DIGITS: Final = 20
#: An escaped surrogate pair, half of one, or any other escape.
_ESCAPES: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL
)
#: A string without an end goes to that of the text, so that it is looked at once.
_STRINGS_AND_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_scan_string: Final[Callable[[str, int, bool], tuple[str, int]]] = decoder.scanstring  # type: ignore[attr-defined]  # public there, but in no stub
_WORDS: Final = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


def _int(digits: str) -> int | float:
    """Read an int; beyond 64 bits it is a float."""
    if len(digits) <= _MAX_DIGITS:
        number = int(digits)
        if -(2**63) <= number < 2**64:
            return number
    return _float(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise JSONDecodeError("number is too large", digits, 0)
    return number


def _constant(word: str) -> NoReturn:
    raise JSONDecodeError(f"{word} is not JSON", word, 0)


_scanner: Final = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_constant)


def decode(data: object) -> Any:
    """Return what a JSON document says."""
    text = _text(data)
    if text.count("[") + text.count("{") > _MAX_DEPTH:
        _check_depth(text)
    try:
        found = _scanner.decode(text)
    except RecursionError:
        found = _Parser(text).parse()
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(text)
    return found


def _text(data: object) -> str:
    # Exact types only, as in orjson.
    if type(data) is str:
        try:
            data.encode()
        except UnicodeEncodeError as error:
            raise JSONDecodeError("not valid UTF-8", "", 0) from error
        return data
    if type(data) is memoryview and data.c_contiguous:
        data = data.tobytes()
    if type(data) not in {bytes, bytearray}:
        message = f"expected str, bytes, bytearray or a contiguous memoryview, got {type(data)}"
        raise JSONDecodeError(message, "", 0)
    try:
        return cast("bytes", data).decode()
    except UnicodeDecodeError as error:
        raise JSONDecodeError("not valid UTF-8", "", 0) from error


def _check_depth(text: str) -> None:
    """Raise if brackets are nested too deep; what else is wrong is found by the scanner."""
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        first = found[0][0]
        if first in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                message = f"more than {_MAX_DEPTH} levels"
                raise JSONDecodeError(message, text, found.start())
        elif first != '"':
            depth -= 1


def _check_surrogates(text: str) -> None:
    """Raise if half of a surrogate pair is escaped; the scanner lets it pass."""
    for found in _ESCAPES.finditer(text):
        if found["half"]:
            raise JSONDecodeError("half of a surrogate pair", text, found.start())


class _Parser:
    """
    Reads without recursion what is nested too deep for the stack that is left.

    The depth of the document is checked already.
    """

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> object:
        """Return what the document says."""
        # Each level: the container, and under which key the next value goes there.
        levels: list[tuple[list[Any] | dict[str, Any], str]] = []
        value, opened = self._value()
        while True:
            if opened:
                key = self._next(value, "")
                if key is not None:
                    levels.append((value, key))
                    value, opened = self._value()
                    continue
            if not levels:
                break
            container, key = levels.pop()
            if isinstance(container, list):
                container.append(value)
            else:
                container[key] = value
            value, opened = container, False
            following = self._next(container, ",")
            if following is not None:
                levels.append((container, following))
                value, opened = self._value()
        if self._peek():
            self._fail("extra data")
        return value

    def _peek(self) -> str:
        self._at = cast("re.Match[str]", _SPACE.match(self._text, self._at)).end()
        return self._text[self._at : self._at + 1]

    def _take(self, expected: str) -> None:
        if self._peek() != expected:
            self._fail(f"expected {expected!r}")
        self._at += 1

    def _fail(self, message: str) -> NoReturn:
        raise JSONDecodeError(message, self._text, self._at)

    def _value(self) -> tuple[Any, bool]:
        """Read a scalar, or the opening bracket of a container; whether it was the latter."""
        first = self._peek()
        if first in {"[", "{"}:
            self._at += 1
            return ([] if first == "[" else {}), True
        if first == '"':
            return self._string(), False
        word, meaning = _WORDS.get(first, ("", None))
        if word and self._text.startswith(word, self._at):
            self._at += len(word)
            return meaning, False
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._fail("expected a value")
        self._at = number.end()
        is_float = number[1] or number[2]
        return (_float(number[0]) if is_float else _int(number[0])), False

    def _string(self) -> str:
        text, self._at = _scan_string(self._text, self._at + 1, True)
        return text

    def _next(self, container: list[Any] | dict[str, Any], comma: str) -> str | None:
        """Read what comes before the next value: its key, or ""; None at the end."""
        is_list = isinstance(container, list)
        if self._peek() == ("]" if is_list else "}"):
            self._at += 1
            return None
        if comma:
            self._take(comma)
        if is_list:
            return ""
        if self._peek() != '"':
            self._fail("expected a key")
        key = self._string()
        self._take(":")
        return key
