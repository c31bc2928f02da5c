"""Whether things die when they should, and whether memory grows."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import TYPE_CHECKING

from tests.stress.harness import collect, resident_bytes, rounds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CALLS", "Growth", "Node", "check_dies", "check_no_growth"]

#: Calls in one measured run; a leak of one small object for each is many times what is allowed.
CALLS = rounds(10_000)


class Node:
    """Something to refer to other things with."""

    def __init__(self, **links: object) -> None:
        self.__dict__.update(links)


def check_dies(make: Callable[[], object]) -> None:
    """Assert that what *make* returns is garbage, and that its cycle is collected."""
    thing = make()
    died = weakref.ref(thing)
    collect()
    assert died() is thing, "it was collected while in use"
    del thing
    collect()
    assert died() is None, f"it leaks: {gc.get_referrers(died())}"


class Growth:
    """What there is more of since it was made."""

    def __init__(self) -> None:
        gc.collect()
        self._blocks = sys.getallocatedblocks()
        self._bytes = resident_bytes()

    def check(self, calls: int) -> None:
        """Assert that *calls* calls have left hardly any objects and bytes behind."""
        gc.collect()
        blocks = sys.getallocatedblocks() - self._blocks
        assert blocks < calls / 15 + 200, f"{blocks} objects are left after {calls} calls"
        # An entry is some 50 bytes of Rust; allocators do not give back every page.
        memory = resident_bytes() - self._bytes
        assert memory < 16 * calls + 500_000, f"{memory} bytes are left after {calls} calls"


def check_no_growth(run: Callable[[int], object], calls: int = CALLS) -> None:
    """Assert that run(calls) leaves neither objects nor memory behind."""
    run(calls)  # whatever is kept for reuse is kept now
    growth = Growth()
    for _ in range(3):
        run(calls)
    growth.check(3 * calls)
