"""Which function of a cache has which prefix: two with the same one would share results."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from penstock.flow._callables import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.caching._tiered import TieredCache

__all__ = ["claim"]


class _Owner(NamedTuple):
    """Who has a prefix. It holds no function: that may go, and what it has stored is there."""

    name: str
    #: Whether another one of that name may do something else: it is bound to objects.
    has_state: bool


class _Claims(NamedTuple):
    """The prefixes of one cache; a function that is gone has left its results."""

    owners: dict[str, _Owner]
    #: What stands before a colon in a prefix, and one such prefix.
    stems: dict[str, str]


_claims: Final[WeakKeyDictionary[TieredCache, _Claims]] = WeakKeyDictionary()


def claim(cache: TieredCache, prefix: str, fn: Callable[..., object]) -> None:
    """
    Let *fn* have a prefix of *cache*, for as long as there is that cache.

    The same plain function may come once more: its module was imported anew.

    Raises:
        ValueError: Another function has it, or had it: equal arguments would be taken for one call.
            Or one has a prefix that begins with this one and a colon, or the other way round.

    Cost: O(colons); a prefix is remembered for as long as its cache.
    """
    claims = _claims.setdefault(cache, _Claims({}, {}))
    owner = _Owner(f"{fn.__module__}.{name_of(fn)}", _has_state(fn))
    there = claims.owners.get(prefix)
    if there is not None:
        if there == owner and not owner.has_state:
            return
        what = f"prefix {prefix!r} of this cache is that of another function, {there.name}"
        why = "whose results are kept under it though it may be gone"
        raise ValueError(f"{what}, {why}; give {fn!r} a prefix= of its own, or make it only once")
    stems = [prefix[:at] for at, character in enumerate(prefix) if character == ":"]
    # A key of one, where it has a colon, may be one of the other.
    other = claims.stems.get(prefix) or next((s for s in stems if s in claims.owners), None)
    if other is not None:
        what = f"prefix {prefix!r} and {other!r}, that of {claims.owners[other].name}, overlap"
        raise ValueError(f"{what}: none may begin with another one and a colon")
    claims.owners[prefix] = owner
    claims.stems.update(dict.fromkeys(stems, prefix))


def _has_state(fn: Callable[..., object]) -> bool:
    """Whether another one of its name may do something else."""
    if not inspect.isfunction(fn) or fn.__closure__:
        return True
    # What a method does depends on its class, and a function may make many of one name.
    _, is_local, rest = name_of(fn).rpartition("<locals>.")
    return bool(is_local) and "." in rest
