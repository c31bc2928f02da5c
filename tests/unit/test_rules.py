"""Patterns that were invalidated: as `fnmatch.fnmatchcase` says, with few rules for many."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.stores import _rules
from penstock.stores._rules import EVERYTHING, MAX_RULES, Rules, escape, prefix_pattern

LETTERS = st.text("ab*?[]!-^\\\n", max_size=5)
ADDED = st.lists(st.tuples(LETTERS, st.integers(1, 5)), max_size=8)


def expected(added: list[tuple[str, int]], key: str) -> int:
    return max((version for text, version in added if fnmatchcase(key, text)), default=0)


@given(added=ADDED, keys=st.lists(LETTERS, max_size=5))
@example(added=[("[!]a]", 1)], keys=["b", "[!]a]"])
@example(added=[("[]]", 1), ("[!]", 2)], keys=["]", "[!]"])
@example(added=[("a**", 1), ("ab*", 2), ("a*", 3)], keys=["ab", "a"])
def test_the_newest_rule_is_that_of_fnmatch(added: list[tuple[str, int]], keys: list[str]) -> None:
    rules = Rules()
    for text, version in added:
        rules.add(text, version)
    again = Rules(dict(rules.items()))
    for key in [*keys, *(text for text, _ in added)]:
        assert rules.newest(key) == again.newest(key) == expected(added, key)


@given(text=st.text(), rest=st.text())
def test_what_is_escaped_matches_itself(text: str, rest: str) -> None:
    rules = Rules({escape(text): 3})
    assert rules.newest(text) == 3
    assert rules.newest(text + rest) == (0 if rest else 3)
    assert Rules({prefix_pattern(text): 3}).newest(text + rest) == 3


def test_broad_ones_cover_others() -> None:
    rules = Rules()
    rules.add("user:1", 1)
    rules.add("user:1:*", 2)
    rules.add("us?r*", 3)
    rules.add("user:9*", 9)
    assert len(rules) == 4
    rules.add("user:*", 5)
    assert dict(rules.items()) == {"us?r*": 3, "user:9*": 9, "user:*": 5}
    rules.add("user:5:*", 4)
    rules.add("user:5", 5)
    assert len(rules) == 3
    rules.add("user:5:*", 6)
    assert len(rules) == 4
    rules.add(EVERYTHING, 9)
    assert list(rules) == [EVERYTHING]
    rules.add("user:*", 9)
    assert len(rules) == 1


def test_the_same_pattern_is_one_rule() -> None:
    rules = Rules()
    for version in (3, 5, 4):
        rules.add("a?c", version)
        rules.add("abc", version)
        rules.add("b**", version)
    assert dict(rules.items()) == {"a?c": 5, "abc": 5, "b*": 5}


@pytest.mark.parametrize("form", ["{}", "{}*", "*{}"])
def test_too_many_become_one(form: str) -> None:
    rules = Rules()
    for number in range(MAX_RULES):
        rules.add(form.format(f"<{number:04}>"), number + 1)
    assert len(rules) == MAX_RULES
    assert rules.newest("<0007>") == 8
    assert rules.newest("other") == 0
    rules.add(form.format("one more"), 5)
    assert dict(rules.items()) == {EVERYTHING: MAX_RULES}
    assert rules.newest("other") == MAX_RULES


def test_others_can_take_their_place() -> None:
    rules = Rules({"a*": 1, "b": 2})
    rules.replace({"c?": 3})
    assert [rules.newest(key) for key in ("a", "b", "cc")] == [0, 0, 3]
    rules.replace({f"k{number}": number or 1 for number in range(MAX_RULES + 1)})
    assert dict(rules.items()) == {EVERYTHING: MAX_RULES}
    rules.replace({})
    assert not rules
    assert repr(rules) == "Rules({})"


def test_a_pattern_of_many_stars_does_not_take_for_ever() -> None:
    rules = Rules({"*a" * 40 + "b": 1})
    assert rules.newest("a" * 5000) == 0


class Watched(dict[str, Any]):
    """Looks for what is known whenever one more of its values is looked at."""

    def __init__(self, rules: Rules, key: str) -> None:
        super().__init__(rules._rules)
        self.rules = rules
        self.key = key
        self.found: list[int] = []

    def values(self) -> Any:
        for value in super().values():
            self.found.append(self.rules.newest(self.key))
            yield value
        self.found.append(self.rules.newest(self.key))


@pytest.mark.parametrize("pattern", ["b?", "ab*"])
def test_whoever_looks_meanwhile_finds_all_rules(pattern: str) -> None:
    rules = Rules({"x*": 7, "abc*": 1, "?y": 2, "z": 3})
    rules._rules = watched = Watched(rules, "xx")
    rules.add(pattern, 8)
    assert watched.found
    assert set(watched.found) == {7}


def test_whoever_looks_while_they_are_replaced_finds_all_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = Rules({"x*": 7})
    found: list[int] = []
    parse = _rules._parse

    def look(text: str) -> object:
        found.append(rules.newest("xx"))
        return parse(text)

    monkeypatch.setattr(_rules, "_parse", look)
    rules.replace({"x?": 8, "y": 9})
    assert found == [7, 7]
    assert rules.newest("xx") == 8
