"""What may be asked for in one statement: transactions are the pool's business."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Kind", "kind_in_group", "kind_of"]

#: "plain" goes into a transaction, "alone" cannot; "nested" is about savepoints.
Kind = Literal["plain", "alone", "nested"]

_FIRST = re.compile(r"(?:[\s;\ufeff]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*(\w*)", re.DOTALL)
_ROLLBACK_TO = re.compile(r"\brollback\b(?:\s+transaction)?\s+to\b", re.IGNORECASE)
_ALONE = frozenset({"PRAGMA", "VACUUM"})
_SAVEPOINTS = frozenset({"RELEASE", "SAVEPOINT"})
_BORDERS = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK"})
_ATTACHES = frozenset({"ATTACH", "DETACH"})
_MANY = 1000

#: Of statements that were looked at already; programs have few, and ask for them often.
_known: dict[str, Kind] = {}


def kind_of(sql: str) -> Kind:
    """
    Return how a statement is to be run.

    Raises:
        TypeError: It is no str.
        ValueError: It begins or ends a transaction, or concerns one connection only.
    """
    try:
        return _known[sql]
    except KeyError:
        pass
    except TypeError:  # not hashable
        pass
    if not isinstance(sql, str):
        raise TypeError(f"sql must be a str, got {type(sql).__name__}")
    kind = _classify(sql)
    if len(_known) >= _MANY:
        _known.clear()
    _known[sql] = kind
    return kind


def kind_in_group(sql: str) -> Kind:
    """
    Return how a statement is to be run that nobody else knows anything of.

    Raises:
        TypeError, ValueError: See `kind_of`; or it is about a savepoint, which others would share.
    """
    kind = kind_of(sql)
    if kind == "nested":
        raise ValueError("savepoints are for blocks of read() and write()")
    return kind


def _classify(sql: str) -> Kind:
    match = _FIRST.match(sql)
    word = "" if match is None else match[1].upper()
    if word in _ALONE:
        return "alone"
    if word in _SAVEPOINTS or (word == "ROLLBACK" and _ROLLBACK_TO.search(sql)):
        return "nested"
    if word in _BORDERS:
        message = f"{word}: transactions are begun and ended by the pool, see read() and write()"
        raise ValueError(message)
    if word in _ATTACHES:
        raise ValueError(f"{word}: it would concern one connection only, use on_connect=")
    return "plain"
