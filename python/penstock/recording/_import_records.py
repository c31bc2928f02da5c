"""Finds the records in a file of JSON: one to a line, in an array, or one after another."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Record", "records_of"]

# A line that is longer is no record, and must not fill the memory.
_MAX_LINE: Final = 256 * 2**20
# How far the end of an object is looked for that does not end in the first line.
_MAX_FIRST: Final = 16 * 2**20
_BOM: Final = b"\xef\xbb\xbf"
# What is left where an object is cut off: nothing, or a part of a string, a number, a word.
_CUT_OFF: Final = re.compile(r'(?:"(?:[^"\\\n]|\\.)*\\?|[-+.\w]*)\s*')
_SPACE: Final = re.compile(r"[ \t\r\n]*")


_KINDS: Final[dict[type, str]] = {
    bool: "a boolean", float: "a number", int: "a number", list: "an array", str: "a string",
}  # fmt: skip


class Record(NamedTuple):
    """
    A record, or what is wrong with it.

    Attributes:
        line: Where it begins, from 1.
        end: The byte after it.
        value: The object; None if it is broken.
        reason: Why it is.
        is_done: Whether *end* is behind it; else it is to be looked at again next time.
    """

    line: int
    end: int
    value: dict[str, object] | None
    reason: str = ""
    is_done: bool = True


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


# Not penstock.json: only this decoder stops at the end of a value and says where that is. One
# decoder for all forms refuses the same things in all of them.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def records_of(file: BinaryIO, start: int = 0, line: int = 1) -> Iterator[Record]:
    """
    Yield the records of a file.

    Args:
        file: Open for reading; anywhere.
        start: The byte to begin at, which is the end of a record.
        line: The line that it is on.
    """
    if _is_document(file):
        return _of_document(file, start, line)
    return _of_lines(file, start, line)


def _is_document(file: BinaryIO) -> bool:
    """
    Whether the file is an array, or objects that go over several lines.

    Else each line is a record of its own: what is wrong with one says nothing of the next.
    """
    file.seek(0)
    first = b""
    while not first:
        text = file.readline(_MAX_LINE)
        if not text:
            return False
        first = text.removeprefix(_BOM).strip()
    if first.startswith(b"["):
        return True
    if not first.startswith(b"{") or _parsed(first)[1] == "":
        return False
    # The first line is no whole object: either it goes on, or it is broken.
    return _goes_on(first, file)


def _goes_on(first: bytes, file: BinaryIO) -> bool:
    """
    Whether the object that begins in the first line ends in a later one.

    So does one that the end of the file cuts off: somebody may be about to write the rest.
    """
    rest = file.read(_MAX_FIRST)
    text = f"{first.decode('utf-8', 'replace')}\n{rest.decode('utf-8', 'replace')}"
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        is_whole = len(rest) < _MAX_FIRST
        return is_whole and _CUT_OFF.fullmatch(text, error.pos) is not None
    except (ValueError, RecursionError):
        return False
    return True


def _of_lines(file: BinaryIO, start: int, number: int) -> Iterator[Record]:
    file.seek(start)
    end = start
    while True:
        text = file.readline(_MAX_LINE)
        if not text:
            return
        end += len(text)
        whole = text.endswith(b"\n")
        if not whole and len(text) == _MAX_LINE:
            end += _skip_line(file)
            yield Record(number, end, None, f"it is longer than {_MAX_LINE:,} bytes")
        else:
            bare = (text.removeprefix(_BOM) if end == len(text) else text).strip()
            if bare:
                value, reason = _parsed(bare)
                # Somebody may be about to write the rest of the last line.
                is_done = whole or not reason
                upto = end if is_done else end - len(text)
                yield Record(number, upto, value, reason, is_done)
        number += 1


def _skip_line(file: BinaryIO) -> int:
    skipped = 0
    while True:
        text = file.readline(2**20)
        skipped += len(text)
        if not text or text.endswith(b"\n"):
            return skipped


def _parsed(text: bytes) -> tuple[dict[str, object] | None, str]:
    """Return the object that *text* is, or why it is none."""
    try:
        value = _DECODER.decode(text.decode())
    except UnicodeDecodeError as error:
        return None, f"it is no UTF-8, at byte {error.start}"
    except (ValueError, RecursionError) as error:
        return None, _why(error)
    return _object(value)


def _object(value: object) -> tuple[dict[str, object] | None, str]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value), ""
    return None, f"a record must be an object, got {_KINDS.get(type(value), 'null')}"


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, at character {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _of_document(file: BinaryIO, start: int, line: int) -> Iterator[Record]:
    """
    Yield the values of an array, or those that follow one another.

    After a broken one it goes on where a line begins as the broken one's did; without such a line
    the rest cannot be told apart.
    """
    file.seek(start)
    # What is no UTF-8 stays in the text as it is, and is refused with the record that it is in.
    text = file.read().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    skipped = len(_BOM) if start == 0 and _has_bom(file) else 0
    place = _Place(text, start + skipped, line)
    at = 0
    while (at := _next(text, at)) < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            begins = place.line_of(at)
            reason = error.msg if isinstance(error, json.JSONDecodeError) else _why(error)
            resumed = _resume(text, at)
            if resumed is None:
                # Not done: when the file is mended, an import goes on here.
                reason += "; nothing after it can be read"
                yield Record(begins, place.byte_of(at), None, reason, is_done=False)
                return
            end = resumed
            yield Record(begins, place.byte_of(end), None, reason)
        else:
            record, reason = _object(value)
            yield Record(place.line_of(at), place.byte_of(end), record, reason)
        at = end


def _has_bom(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(len(_BOM)) == _BOM


def _next(text: str, at: int) -> int:
    """Skip what is between values."""
    while True:
        match = _SPACE.match(text, at)
        at = at if match is None else match.end()
        if at >= len(text) or text[at] not in "[,]":
            return at
        at += 1


def _resume(text: str, at: int) -> int | None:
    """Return where a line begins in the same way as the one of a broken record, or None."""
    begin = text.rfind("\n", 0, at) + 1
    indent = text[begin:at]
    if indent.strip():
        return None  # it is not the first in its line
    found = text.find(f"\n{indent}{text[at]}", at)
    return None if found < 0 else found + 1


class _Place:
    """Counts bytes and lines up to a place that only moves forward."""

    __slots__ = ("_byte", "_byte_at", "_line", "_line_at", "_text")

    def __init__(self, text: str, byte: int, line: int) -> None:
        self._text = text
        self._byte = byte
        self._byte_at = 0
        self._line = line
        self._line_at = 0

    def byte_of(self, at: int) -> int:
        self._byte += len(self._text[self._byte_at : at].encode("utf-8", "surrogateescape"))
        self._byte_at = at
        return self._byte

    def line_of(self, at: int) -> int:
        self._line += self._text.count("\n", self._line_at, at)
        self._line_at = at
        return self._line
