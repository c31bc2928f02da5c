"""Ring: futures that use the ring while it asks them whether they are done."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.rings import fill, make_ring

USES: dict[str, Callable[[Any], object]] = {
    "put": lambda ring: ring.put_nowait("new"),
    "take": lambda ring: ring._take(1, None),
    "drop": lambda ring: ring._drop_oldest(),
    "listen": lambda ring: ring._listen(100, None),
    "close": lambda ring: ring._close(),
    "bind": lambda ring: ring._bind(None, None, None, None),
    "look": lambda ring: (ring.pending, ring._head, ring._age(), ring._counts()),
    "sweep": lambda ring: ring._sweep(),
    "init": lambda ring: ring._init(5),
}


#: Those that ask the second future of three, of which the last is done.
ASKS = {
    "_take": lambda ring: ring._take(3, None),
    "_drop_oldest": lambda ring: ring._drop_oldest() and ring._drop_oldest(),
    "_sweep": lambda ring: ring._sweep(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ASKS)
def test_a_future_may_use_the_ring_when_it_is_asked(
    backend: ModuleType, name: str, use: str
) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abc")
    used: list[object] = []

    def act() -> None:
        promises[1].act = None
        used.append(USES[use](ring))

    promises[1].act = act
    promises[2].is_done = True
    ASKS[name](ring)
    assert len(used) == 1
    while ring._take(1, None) is not None:
        pass
    assert (ring.pending, ring.pending_weight, ring._head) == (0, 0, ring._tail)


@pytest.mark.parametrize("use", ["take", "drop", "look", "sweep"])
def test_nothing_is_taken_twice_by_a_future_that_takes(backend: ModuleType, use: str) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abcdef")
    got: list[object] = []

    def act() -> None:
        promises[2].act = None
        match use:
            case "take":
                got.extend(ring._take(2, None)[0])
            case "drop":
                got.append(ring._drop_oldest()[0])
            case "sweep":
                promises[0].is_done = True
                got.extend("a" * ring._sweep())
            case _:
                assert (ring.pending, ring.pending_weight, ring._head) == (6, 6, 0)

    promises[2].act = act
    got += ring._take(9, None)[0]
    assert sorted(map(str, got)) == list("abcdef")
    assert (ring.pending, ring.pending_weight) == (0, 0)
