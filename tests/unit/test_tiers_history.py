"""What the checker of histories says about short ones: it must not be blind, nor see ghosts."""

from __future__ import annotations

import json
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from tests.stress.tiers_history import Event, History, read_history

if TYPE_CHECKING:
    from pathlib import Path


def put(value: str, start: float, end: float, *, by: int = 1, **rest: Any) -> Event:
    return Event(by, "set", ("k",), start, end, value, **rest)


def made(value: str, start: float, end: float, *, by: int = 1, **rest: Any) -> Event:
    return Event(by, "made", ("k",), start, end, value, **rest)


def got(value: str | None, start: float, *, by: int = 1, kind: str = "get") -> Event:
    return Event(by, kind, ("k",), start, start + 0.5, value)


def gone(start: float, end: float, *, by: int = 1, ok: bool = True) -> Event:
    return Event(by, "delete", ("k",), start, end, ok=ok)


GOOD = {
    "nothing": [],
    "absent is always true": [put("a", 1, 2), got(None, 3)],
    "what was written": [put("a", 1, 2), got("a", 3)],
    "while it is written": [put("a", 1, 9), got("a", 3, by=2)],
    "written by who was killed": [put("a", 1, inf), got("a", 30, by=2)],
    "either of two at once": [put("a", 1, 3), put("b", 2, 4), got("a", 5), got("b", 6)],
    "before the delete is over": [put("a", 1, 2), gone(3, 5), got("a", 4, by=2)],
    "written during the delete": [gone(1, 3), put("a", 2, 4), got("a", 5)],
    "another's delete that failed": [put("a", 1, 2), gone(3, 4, by=2, ok=False), got("a", 5)],
    "made after the delete": [gone(1, 2), made("a", 3, 4), got("a", 5)],
    "made during the delete": [gone(1, 3), made("a", 2, 4), got("a", 5)],
    "other keys": [put("a", 1, 2), Event(1, "delete", ("l",), 3, 4), got("a", 5)],
    "other tags": [put("a", 1, 2, tags=("t",)), Event(1, "tags", ("u",), 3, 4), got("a", 5)],
    "other patterns": [put("a", 1, 2), Event(1, "patterns", ("l*",), 3, 4), got("a", 5)],
    "joined a load while another deletes": [
        Event(1, "load", ("k",), 0.5, 6.5, "a"),
        made("a", 1, 6),
        gone(2, 3, by=2),
        got("a", 4, kind="load"),
    ],
    "joined a read while another deletes": [
        put("a", 1, 2),
        Event(1, "get", ("k",), 3, 7, "a"),
        gone(4, 5, by=2),
        got("a", 6),
    ],
}

BAD = {
    "never written": [put("a", 1, 2), got("b", 3)],
    "read before it was written": [got("a", 1), put("a", 3, 4)],
    "older than one's own": [put("a", 1, 2), put("b", 3, 4), got("a", 5)],
    "older than another's": [put("a", 1, 2), put("b", 3, 4), got("a", 5, by=2)],
    "deleted": [put("a", 1, 2), gone(3, 4), got("a", 5, by=2)],
    "one's own delete that failed": [put("a", 1, 2), gone(3, 4, ok=False), got("a", 5)],
    "a set that failed and came late": [put("a", 1, 2, ok=False), gone(3, 4), got("a", 5)],
    "a load from before the delete": [made("a", 1, 9), gone(3, 4), got("a", 5, by=2)],
    "joined a load from before one's own delete": [made("a", 1, 9), gone(3, 4), got("a", 5)],
    "a read that was over when another deleted": [
        put("a", 1, 2),
        Event(1, "get", ("k",), 3, 5.5, "a"),
        gone(4, 5, by=2),
        got("a", 6),
    ],
    "joined a read from before one's own delete": [
        put("a", 1, 2),
        Event(1, "get", ("k",), 3, 7, "a"),
        gone(4, 5),
        got("a", 6),
    ],
    "its tag": [put("a", 1, 2, tags=("t",)), Event(1, "tags", ("t",), 3, 4), got("a", 5, by=2)],
    "its prefix": [put("a", 1, 2), Event(1, "patterns", ("k*",), 3, 4), got("a", 5, by=2)],
    "a delete that a later one hides": [
        put("a", 3.5, 3.7),
        gone(1, 8),
        gone(4, 5),
        got("a", 9, by=2),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_true_is_let_pass(name: str) -> None:
    assert History(GOOD[name]).problems() == []


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_true_is_found(name: str) -> None:
    (problem,) = History(BAD[name]).problems()
    assert "by" in problem


def test_what_others_do_is_to_be_seen_after_the_bound() -> None:
    events = [put("a", 1, 2), gone(3, 4, by=2)]
    assert not History([*events, got("a", 8)], bound=5).problems()
    assert History([*events, got("a", 9.5)], bound=5).problems()
    assert History([*events, got("a", 4.1, by=2)], bound=5).problems()


def test_or_after_a_barrier() -> None:
    events = [put("a", 1, 2), gone(3, 4, by=2), Event(1, "passed", ("5",), 5, 6)]
    assert not History([*events, got("a", 5.5)], bound=None).problems()
    assert History([*events, got("a", 6.5)], bound=None).problems()
    assert not History([*events, got("a", 6.5, by=3)], bound=None).problems()


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = [
        {"n": 1, "process": 1, "kind": "set", "names": ["k"], "start": 1, "value": "a"},
        {"n": 2, "process": 1, "kind": "get", "names": ["k", "l"], "start": 2},
        {"n": 2, "end": 3, "found": {"k": "a", "l": None}},
        {"n": 3, "process": 1, "kind": "get", "names": ["k"], "start": 4},
    ]
    path = tmp_path / "1"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"n": 1, "en')
    assert read_history([path]) == [
        Event(1, "set", ("k",), 1, value="a"),
        Event(1, "get", ("k",), 2, 3, "a"),
        Event(1, "get", ("l",), 2, 3),
    ]
