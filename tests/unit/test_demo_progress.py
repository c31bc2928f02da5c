"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from penstock.demo._progress import Progress

if TYPE_CHECKING:
    import pytest


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_terminal_has_one_line_that_is_rewritten() -> None:
    stream, clock = _Terminal(), _Clock()
    progress = Progress(stream, clock)
    progress.stage("making")
    for done in (100, 200):
        clock.now += 1
        progress.update(done, 400)
    progress.clear()
    text = stream.getvalue()
    assert "\n" not in text
    assert "\rmaking: 100 of 400 (25 %)\rmaking: 200 of 400 (50 %)\r" in text
    assert text.endswith("\r" + " " * len("making: 200 of 400 (50 %)") + "\r")


def test_shorter_line_covers_the_longer_one_before_it() -> None:
    stream, clock = _Terminal(), _Clock()
    progress = Progress(stream, clock)
    progress.stage("a long stage")
    progress.stage("short")
    assert stream.getvalue().endswith("\rshort ...")
    assert "\r" + " " * len("a long stage ...") + "\r" in stream.getvalue()


def test_line_never_wraps_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = _Terminal()
    Progress(stream, _Clock()).stage("x" * 50)
    assert stream.getvalue() == "\r" + "x" * 19


def test_updates_in_quick_succession_write_nothing() -> None:
    stream = _Terminal()
    progress = Progress(stream, _Clock())
    progress.stage("making")
    before = stream.getvalue()
    progress.update(1, 10)
    assert stream.getvalue() == before


def test_other_streams_get_whole_lines_and_few_of_them() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = Progress(stream, clock)
    progress.stage("making")
    for second in range(1, 12):
        clock.now = second
        progress.update(second, 20)
    progress.clear()
    assert stream.getvalue() == ("making ...\nmaking: 5 of 20 (25 %)\nmaking: 10 of 20 (50 %)\n")


def test_nothing_to_do_is_no_division_by_zero() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = Progress(stream, clock)
    progress.stage("making")
    clock.now = 60
    progress.update(0, 0)
    assert "0 of 0 (0 %)" in stream.getvalue()
