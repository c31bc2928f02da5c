"""Patterns of keys that were invalidated, and when: few of them, since broad ones cover others."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    #: The version of the rule for all keys; those of keys; those of prefixes, and their lengths;
    #: what matches other patterns, and their versions.
    _Index: TypeAlias = tuple[
        int,
        dict[str, int],
        dict[str, int],
        list[int],
        list[tuple[Callable[[str], object], int]],
    ]

__all__ = ["EVERYTHING", "MAX_RULES", "Rules", "escape", "prefix_pattern"]

#: The pattern of all keys.
EVERYTHING: Final = "*"
#: Beyond so many, they become one for all keys.
MAX_RULES: Final = 1000
_SPECIAL: Final = re.compile(r"[*?[]")


class _Pattern(NamedTuple):
    """A pattern in the form in which it is looked for."""

    text: str
    #: What each key that matches begins with.
    literal: str
    #: Whether any key that begins so matches.
    is_prefix: bool
    #: Whether no other key than the literal matches.
    is_exact: bool
    #: Only where it is neither.
    match: Callable[[str], object] | None


def escape(text: str) -> str:
    """Return the pattern that matches *text* alone."""
    return _SPECIAL.sub(r"[\g<0>]", text)


def prefix_pattern(prefix: str) -> str:
    """Return the pattern of all keys that begin with *prefix*."""
    return f"{escape(prefix)}*"


class Rules:
    """
    Which patterns of keys were invalidated, and the version of each.

    Patterns are those of `fnmatch.fnmatchcase`. One that is covered by another, a prefix that is
    shorter or the same pattern, of the same version or a newer one, is dropped; beyond 1,000 all
    become one that covers every key. So more may be invalid than was said, never less.

    Args:
        patterns: Those that are known already, with their versions.

    Cost: `newest` is O(1) without rules, O(different lengths of prefixes) with only these, and a
        regular expression for each other pattern. `add` is O(rules). Any thread may ask for the
        `newest` meanwhile, and finds what was there before, at least.
    """

    __slots__ = ("_index", "_rules")

    def __init__(self, patterns: Mapping[str, int] | None = None) -> None:
        self._rules: dict[str, tuple[_Pattern, int]] = {}
        # Put in place as a whole: whoever looks meanwhile finds all rules.
        self._index: _Index = 0, {}, {}, [], []
        if patterns:
            self.replace(patterns)

    def replace(self, patterns: Mapping[str, int]) -> None:
        """Forget all, and know *patterns* instead."""
        other = Rules()
        parsed = [(_parse(text), version) for text, version in patterns.items()]
        # Broad ones first: what comes later covers none of those that are there.
        parsed.sort(key=lambda each: (len(each[0].literal), not each[0].is_prefix))
        for pattern, version in parsed:
            if other._covering(pattern) < version:
                other._rules[pattern.text] = pattern, version
                other._index = _entered(other._index, pattern, version)
        other._bound()
        self._rules, self._index = other._rules, other._index

    def add(self, pattern: str, version: int) -> None:
        """
        Make keys that match *pattern* invalid up to *version*.

        Args:
            pattern: With ``*``, ``?`` and ``[abc]``.
            version: Records that are older are not valid any more.
        """
        rule = _parse(pattern)
        if self._covering(rule) >= version:
            return
        covered = self._covered_by(rule, version) if rule.is_prefix else []
        for text in covered:
            del self._rules[text]
        self._rules[rule.text] = rule, version
        if covered or rule.match is not None:
            self._index_anew()
        else:
            self._index = _entered(self._index, rule, version)
        self._bound()

    def newest(self, key: str) -> int:
        """Return the version of the newest rule that matches *key*; 0 if none does."""
        newest, exact, prefixes, lengths, globs = self._index
        if exact:
            newest = max(newest, exact.get(key, 0))
        for length in lengths:
            newest = max(newest, prefixes.get(key[:length], 0))
        for match, version in globs:
            if version > newest and match(key) is not None:
                newest = version
        return newest

    def items(self) -> list[tuple[str, int]]:
        """Return the patterns that are left, and their versions."""
        return [(text, version) for text, (_, version) in self._rules.items()]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rules))

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        return f"Rules({dict(self.items())!r})"

    def _covering(self, pattern: _Pattern) -> int:
        """Return the newest version among the rules that match all that *pattern* matches."""
        known = self._rules.get(pattern.text)
        everything, _, prefixes, lengths, _ = self._index
        newest = max(everything, 0 if known is None else known[1])
        for length in lengths:
            if length > len(pattern.literal):
                break
            newest = max(newest, prefixes.get(pattern.literal[:length], 0))
        return newest

    def _covered_by(self, prefix: _Pattern, version: int) -> list[str]:
        return [
            text
            for text, (pattern, old) in self._rules.items()
            if old <= version and pattern.literal.startswith(prefix.literal)
        ]

    def _bound(self) -> None:
        """Have one rule for all keys instead of too many."""
        if len(self._rules) > MAX_RULES:
            newest = max(version for _, version in self._rules.values())
            self._rules = {EVERYTHING: (_parse(EVERYTHING), newest)}
            self._index_anew()

    def _index_anew(self) -> None:
        """Sort the rules by how keys are looked for among them."""
        index: _Index = 0, {}, {}, [], []
        for pattern, version in self._rules.values():
            index = _entered(index, pattern, version)
        self._index = index


def _entered(index: _Index, pattern: _Pattern, version: int) -> _Index:
    """Return *index* with one more rule, or a newer one; it may be changed."""
    everything, exact, prefixes, lengths, globs = index
    literal = pattern.literal
    if pattern.is_exact:
        exact[literal] = max(version, exact.get(literal, 0))
    elif pattern.match is not None:
        globs.append((pattern.match, version))
    elif not literal:
        return version, exact, prefixes, lengths, globs
    else:
        prefixes[literal] = version
        if len(literal) not in lengths:
            # A new list: whoever goes through the old one is not disturbed.
            return everything, exact, prefixes, sorted([*lengths, len(literal)]), globs
    return index


@lru_cache(2 * MAX_RULES)
def _parse(text: str) -> _Pattern:
    """Return a pattern in the form in which it is looked for."""
    literal, rest = _split(text)
    is_prefix = bool(rest) and not rest.strip("*")
    if is_prefix:  # several stars are as good as one
        text = prefix_pattern(literal)
    match = None if is_prefix or not rest else re.compile(translate(text)).match
    return _Pattern(text, literal, is_prefix, not rest, match)


def _split(pattern: str) -> tuple[str, str]:
    """Return what each key that matches begins with, and the rest of the pattern."""
    parts: list[str] = []
    place, end = 0, len(pattern)
    while place < end:
        char = pattern[place]
        if char in "*?":
            break
        if char == "[":
            # One character in brackets stands for itself, unless it is the one that negates.
            if place + 2 < end and pattern[place + 1] != "!" and pattern[place + 2] == "]":
                parts.append(pattern[place + 1])
                place += 3
                continue
            if pattern.find("]", place + 2) >= 0:
                break
        parts.append(char)
        place += 1
    return "".join(parts), pattern[place:]
