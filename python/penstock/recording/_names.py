"""Names of tables and columns, and declared types: checked, and quoted for SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import Final

__all__ = [
    "IMPORTS",
    "check_columns",
    "check_indexes",
    "check_table",
    "fold",
    "is_text",
    "quote",
    "same_type",
]

#: The table that remembers what is imported.
IMPORTS: Final = "penstock_imports"
_TO_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)

# A type is words with at most one pair of parentheses, as SQLite reads it; what may follow are
# the constraints that fit in one column. No comment, no semicolon, no second column gets through.
_LITERAL: Final = r"(?:[+-]?\d+(?:\.\d+)?|'(?:[^']|'')*'|NULL|CURRENT_(?:TIMESTAMP|DATE|TIME))"
_DECLARED: Final = re.compile(
    r"(?P<type>(?:(?!NOT\b|NULL\b|UNIQUE\b|PRIMARY\b|DEFAULT\b|COLLATE\b)[A-Z_][A-Z0-9_]*\s*)*"
    r"(?:\(\s*\d+\s*(?:,\s*\d+\s*)?\))?)"
    r"(?:\s*(?:NOT\s+NULL|NULL|UNIQUE|PRIMARY\s+KEY(?:\s+AUTOINCREMENT)?"
    rf"|DEFAULT\s+{_LITERAL}|COLLATE\s+[A-Z]+))*\s*",
    re.IGNORECASE,
)


def fold(name: str) -> str:
    """Return what names have in common that are the same to SQLite: it knows the case of ASCII."""
    return name.translate(_TO_LOWER)


def quote(name: str) -> str:
    """Return a name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _check_name(what: str, name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a str, got {type(name).__name__}")
    if not name.strip():
        raise ValueError(f"{what} must not be empty")
    if not name.isprintable():  # NUL ends a statement, and half a surrogate is no UTF-8
        raise ValueError(f"{what} must be printable, got {name!r}")
    return name


def check_table(table: object) -> str:
    """
    Accept the name of a table.

    Raises:
        TypeError: It is no str.
        ValueError: It is empty, not printable, or one that SQLite or an import has for itself.
    """
    name = _check_name("table", table)
    if fold(name).startswith("sqlite_"):
        raise ValueError(f"table must not begin with 'sqlite_', got {name!r}")
    if fold(name) == IMPORTS:
        raise ValueError(f"table must not be {IMPORTS!r}, where imports are remembered")
    return name


def check_columns(columns: object) -> dict[str, str]:
    """
    Accept names of columns, and how each is declared.

    Raises:
        TypeError: *columns* is no mapping of str to str.
        ValueError: There are none, two differ in case only, or a declaration is not understood.
    """
    if not isinstance(columns, Mapping):
        got = type(columns).__name__
        raise TypeError(f"columns must map names to SQL types, got {got}")
    if not columns:
        raise ValueError("columns must not be empty")
    checked: dict[str, str] = {}
    seen: dict[str, str] = {}
    for given, declared in columns.items():
        name = _check_name("a column", given)
        other = seen.setdefault(fold(name), name)
        if other is not name:
            raise ValueError(f"columns {other!r} and {name!r} are the same to SQLite")
        if not isinstance(declared, str):
            got = type(declared).__name__
            raise TypeError(f"the type of column {name!r} must be a str, got {got}")
        if _DECLARED.fullmatch(declared.strip()) is None:
            raise ValueError(f"the type of column {name!r} is not understood: {declared!r}")
        checked[name] = declared.strip()
    return checked


def check_indexes(indexes: object, columns: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """
    Accept what is to be indexed: a name of a column, or several, for each index.

    Raises:
        TypeError: *indexes* is a str, or is made of something else.
        ValueError: There is no such column.
    """
    if isinstance(indexes, str) or not isinstance(indexes, Iterable):
        raise TypeError(f"indexes must be a sequence, got {type(indexes).__name__}")
    known = set(columns)
    found: list[tuple[str, ...]] = []
    for index in indexes:
        if not isinstance(index, str | list | tuple):
            got = type(index).__name__
            raise TypeError(f"an index must be a column or a tuple of columns, got {got}")
        names = (index,) if isinstance(index, str) else tuple(index)
        if not names:
            raise ValueError("an index must have a column")
        for name in names:
            if name not in known:
                raise ValueError(f"an index names {name!r}, which is no column")
        found.append(names)
    return tuple(found)


def is_text(declared: str) -> bool:
    """Whether a column makes texts of numbers, by the rules of SQLite."""
    match = _DECLARED.fullmatch(declared)
    kind = (declared if match is None else match["type"]).upper()
    return "INT" not in kind and any(part in kind for part in ("CHAR", "CLOB", "TEXT"))


def same_type(asked: str, there: str) -> bool:
    """Whether a table has the type that is asked for, of which the constraints are no part."""
    match = _DECLARED.fullmatch(asked)
    wanted = asked if match is None else match["type"]
    return _plain(wanted) == _plain(there)


def _plain(declared: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\s*([(),])\s*", r"\1", declared)).strip().upper()
