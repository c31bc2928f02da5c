"""What only the pure twin of Ring has to be watched for: who comes in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.interrupts import at_every_step
from tests.rings import bind, fill, make_ring

from penstock import _pure


def test_what_was_taken_is_not_swept_before_the_twin_has_forgotten_it() -> None:
    ring = make_ring(_pure)
    (promise,) = fill(ring, "a")
    core = ring._core
    entry = core.entries[0]
    assert core.remove(core.find(1, None))
    promise.is_done = True
    assert ring._sweep() == 0
    assert core.drop(0, entry) is False
    assert ring._counts() == (1, 1, 0)


class Subject:
    """A ring of the twin with some items in it, some of which are given up."""

    def __init__(self) -> None:
        self.got: list[object] = []
        self.names = 0
        self.ring = make_ring(_pure, 7)
        bind(self.ring)
        self.done = {"b", "c", "e"}
        for name, promise in zip("abcdef", fill(self.ring, *"abcdef"), strict=True):
            promise.is_done = name in self.done
        self.pushed = list("abcdef")
        self.ring.told.clear()
        self.ring._listen(7, None)

    def put(self) -> None:
        self.names += 1
        name = f"new {self.names}"
        if self.ring._push(name, None, 1, False):
            self.pushed.append(name)

    def submit(self) -> None:
        self.names += 1
        name = f"submitted {self.names}"
        if self.ring.submit(name) is not None:
            self.pushed.append(name)

    def take(self) -> None:
        batch = self.ring._take(3, 3)
        if batch is not None:
            self.got += batch[0]

    def drop(self) -> None:
        dropped = self.ring._drop_oldest()
        if dropped is not None:
            self.got.append(dropped[0])

    def check(self) -> None:
        ring, core = self.ring, self.ring._core
        inside = [core.entries[number] for number in range(core.head, core.tail)
                  if number in core.entries]  # fmt: skip
        assert ring.pending == len(inside)
        assert ring.pending_weight == len(inside)
        assert len(core.entries) == len(inside), "something taken is kept"
        assert ring.pending <= 7
        pushed, taken, skipped = ring._counts()
        assert pushed == len(self.pushed) == taken + skipped + len(inside)
        assert taken == len(self.got)
        assert ring.told.count(("wake",)) <= 1
        while (batch := ring._take(1, None)) is not None:
            self.got += batch[0]
        assert sorted(map(str, self.got)) == sorted(set(self.pushed) - self.done)
        assert ring._head == ring._tail


STEPS: dict[str, Callable[[Subject], object]] = {
    "put": Subject.put,
    "submit": Subject.submit,
    "take": Subject.take,
    "drop": Subject.drop,
    "sweep": lambda subject: subject.ring._sweep(),
    "look": lambda subject: (subject.ring._head, subject.ring._age()),
    "listen": lambda subject: subject.ring._listen(100, None),
    "bind": lambda subject: bind(subject.ring),
}


@pytest.mark.parametrize("inner", STEPS)
@pytest.mark.parametrize("outer", STEPS)
def test_whoever_comes_in_between_loses_nothing(outer: str, inner: str) -> None:
    subjects: list[Subject] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        subject = Subject()
        subjects[:] = [subject]
        return lambda: STEPS[outer](subject), lambda: STEPS[inner](subject)

    steps = 0
    for _ in at_every_step("penstock._pure", prepare):
        subjects[0].check()
        steps += 1
    assert steps > 3
