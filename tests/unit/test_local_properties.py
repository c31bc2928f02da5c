"""Local against a model that remembers everything and looks through it each time."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.model_tiers import Tier1

from penstock.stores import Record

KEYS = ["a", "ab", "b", "[", "a*"]
keys = st.sampled_from(KEYS)
some_keys = st.lists(keys, max_size=2)
TAGS = ["s", "t"]
some_tags = st.lists(st.sampled_from(TAGS), max_size=2)
some_patterns = st.lists(st.sampled_from(["a*", "?", "b", "[[]", "*b", "[!a]*", "*"]), max_size=2)
#: Halves cannot meet whole numbers, so that nothing depends on what happens at the very moment.
seconds = st.sampled_from([0.5, 3.5, 10.5, 30.5])
lives = st.sampled_from([4.0, 20.0, None])


@dataclass
class Known:
    """What the model knows of an entry."""

    record: Record
    #: How many events there were before it was loaded, and before it was stored.
    begun: int
    stored: int
    fresh_until: float
    refresh_at: float
    ends_at: float


@dataclass
class Token:
    """Of a load, or of a read."""

    #: How many events there were then.
    begun: int
    #: What the other side says.
    given: int


class LocalMachine(RuleBasedStateMachine):
    """Loads begin and end, things are invalidated, time passes and is set back."""

    #: Whether all that was invalidated is remembered one by one.
    is_exact = True
    limits: dict[str, int] = {}  # noqa: RUF012  # read only

    def __init__(self) -> None:
        super().__init__()
        self.l1 = Tier1(**self.limits)
        self.events: list[tuple[str, list[str]]] = []
        self.tokens: list[Token] = [Token(0, 0)]
        self.known: dict[str, Known] = {}

    # --- the model ---

    def kills(self, event: tuple[str, list[str]], key: str, tags: tuple[str, ...]) -> bool:
        kind, names = event
        if kind in {"drop", "revoke"}:
            return key in names
        if kind == "tags":
            return any(tag in names for tag in tags)
        if kind == "patterns":
            return any(fnmatchcase(key, pattern) for pattern in names)
        return kind == "clear"

    def killed(self, key: str, tags: tuple[str, ...], since: int, but: str = "") -> bool:
        return any(self.kills(e, key, tags) for e in self.events[since:] if e[0] != but)

    def flushed(self, since: int) -> bool:
        return any(kind == "flush" for kind, _ in self.events[since:])

    def expected(self, key: str) -> str:
        known, now = self.known.get(key), self.l1.timer.now
        if known is None or now >= known.ends_at:
            return "gone"
        # Who revokes a key leaves what is there.
        if self.killed(key, known.record.tags, known.stored, but="revoke"):
            return "gone"
        if now >= known.fresh_until or self.flushed(known.begun):
            return "stale" if known.record.stale_for else "gone"
        return "fresh" if now < known.refresh_at else "refresh"

    def store(self, key: str, record: Record, begun: int, options: dict[str, Any]) -> None:
        if self.killed(key, record.tags, begun):
            return
        now, wall = self.l1.timer.now, self.l1.wall.now
        age = max(0.0, wall - record.born)
        left = inf if record.ttl is None else record.ttl - age
        if left + record.stale_for <= 0:
            return
        if self.flushed(begun):
            there = self.known.get(key)
            is_newer = there is not None and there.begun > begun and self.is_there(key)
            if not record.stale_for or is_newer:
                return
        fresh = min(left, options["l1_ttl"] or inf)
        soft = min(
            fresh, inf if options["refresh_after"] is None else options["refresh_after"] - age
        )
        self.known[key] = Known(
            record,
            begun,
            len(self.events),
            now + fresh,
            now + soft,
            now + min(fresh + record.stale_for, left + record.stale_for),
        )

    def is_there(self, key: str) -> bool:
        """Whether it takes up room, be it invalid or not."""
        known = self.known[key]
        gone = any(
            kind == "clear" or (kind == "drop" and key in names)
            for kind, names in self.events[known.stored :]
        )
        return not gone and self.l1.timer.now < known.ends_at

    # --- what happens ---

    @rule()
    def begin(self) -> None:
        self.tokens.append(Token(len(self.events), self.l1.local.token()))

    @rule(
        key=keys,
        which=st.integers(0, 100),
        ttl=lives,
        stale_for=st.sampled_from([0.0, 0.0, 20.0]),
        tags=some_tags,
        l1_ttl=lives,
        refresh_after=st.sampled_from([None, None, 0.0, 2.0, 15.0]),
        age=st.sampled_from([0.0, 0.0, 3.0, -5.0]),
    )
    def end(self, key: str, which: int, age: float, **more: Any) -> None:
        token = self.tokens[-1 - which % min(len(self.tokens), 4)]
        record = Record(
            object(),
            self.l1.wall.now - age,
            more["ttl"],
            more["stale_for"],
            tuple(more["tags"]),
        )
        options = {name: more[name] for name in ("l1_ttl", "refresh_after")}
        self.l1.local.fill(key, record, token.given, **options)
        self.store(key, record, token.begun, options)

    @rule(names=some_keys)
    def drop(self, names: list[str]) -> None:
        self.l1.local.drop(names)
        self.events.append(("drop", names))

    @rule(names=some_keys)
    def revoke(self, names: list[str]) -> None:
        self.l1.local.revoke(names)
        self.events.append(("revoke", names))

    @rule(tags=some_tags)
    def invalidate_tags(self, tags: list[str]) -> None:
        self.l1.local.invalidate_tags(tags)
        self.events.append(("tags", tags))

    @rule(patterns=some_patterns)
    def invalidate_patterns(self, patterns: list[str]) -> None:
        self.l1.local.invalidate_patterns(patterns)
        self.events.append(("patterns", patterns))

    @precondition(lambda self: len(self.events) % 3 == 0)
    @rule()
    def flush(self) -> None:
        self.l1.local.flush()
        self.events.append(("flush", []))

    @precondition(lambda self: len(self.events) % 5 == 0)
    @rule()
    def clear(self) -> None:
        self.l1.local.clear()
        self.events.append(("clear", []))

    @rule(seconds=seconds)
    def pass_time(self, seconds: float) -> None:
        self.l1.advance(seconds)

    @rule(seconds=st.sampled_from([-100.5, 100.5]))
    def set_clock(self, seconds: float) -> None:
        self.l1.wall.advance(seconds)

    @rule(key=keys)
    def get(self, key: str) -> None:
        """What the front answers without asking is fresh, and the newest that was stored."""
        expected = self.expected(key)
        answer = self.l1.front.get(key)
        if not isinstance(answer, tuple):
            assert expected == "fresh"
            return
        entry: Any = answer[1]
        state = "gone" if entry is None else self.l1.local.state(entry, self.l1.timer.now)
        self.compare(state, expected)
        if state in {"fresh", "refresh", "stale"}:
            assert entry is not None
            assert entry.value is self.known[key].record.value

    def compare(self, state: str, expected: str) -> None:
        state = state.replace("invalid", "gone")
        assert state == expected or (state == "gone" and not self.is_exact)

    @rule(key=keys, which=st.integers(0, 100), tags=some_tags)
    def ask(self, key: str, which: int, tags: list[str]) -> None:
        token = self.tokens[which % len(self.tokens)]
        permitted = self.l1.local.permits(key, tags, token.given)
        valid = self.l1.local.valid(key, tags, token.given)
        expected = not self.killed(key, tuple(tags), token.begun)
        if self.is_exact:
            assert permitted == expected
        assert permitted <= expected
        assert valid == (permitted and not self.flushed(token.begun))

    @invariant()
    def nothing_is_served_that_must_not_be(self) -> None:
        now = self.l1.timer.now
        for key, entry in self.l1.local.entries():
            self.compare(self.l1.local.state(entry, now), self.expected(key))


class ForgetfulMachine(LocalMachine):
    """The same with little memory: more may be gone, never less."""

    is_exact = False
    limits = {"max_keys": 2, "max_tags": 1}  # noqa: RUF012

    def store(self, key: str, record: Record, begun: int, options: dict[str, Any]) -> None:
        # What it did not store, though it might have, is not known to be there.
        entry = self.l1.cache.peek(key)
        if entry is not None and entry.note.record is record:
            super().store(key, record, begun, options)
            assert self.known[key].record is record


def test_it_does_as_one_that_looks_through_all_that_ever_happened() -> None:
    run_state_machine_as_test(LocalMachine)


def test_with_little_memory_it_forgets_and_never_remembers_what_is_gone() -> None:
    run_state_machine_as_test(ForgetfulMachine)
