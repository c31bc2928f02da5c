"""What dict.update takes: a mapping, something with keys, or pairs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias, TypeVar, cast

__all__ = ["HasKeys", "Source", "from_items", "from_update"]

K = TypeVar("K")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class HasKeys(Protocol[K, V_co]):
    """The least that dict.update takes for a mapping."""

    __slots__ = ()

    def keys(self) -> Iterable[K]: ...

    def __getitem__(self, key: K, /) -> V_co: ...


Source: TypeAlias = HasKeys[K, V] | Iterable[tuple[K, V]]


def from_update(other: Source[K, V]) -> Iterator[tuple[K, V]]:
    """Read the argument of update() as dict.update does; a cache is not used by reading it."""
    if not isinstance(other, Mapping) and hasattr(other, "keys"):
        source = cast("HasKeys[K, V]", other)
        return ((key, source[key]) for key in source.keys())  # noqa: SIM118  # not a mapping
    return from_items(cast("Mapping[K, V] | Iterable[tuple[K, V]]", other))


def from_items(items: Mapping[K, V] | Iterable[tuple[K, V]]) -> Iterator[tuple[K, V]]:
    """Read the argument of set_many()."""
    if isinstance(items, Mapping):
        return iter(cast("Mapping[K, V]", items).items())
    return _from_pairs(items)


def _from_pairs(pairs: Iterable[tuple[K, V]]) -> Iterator[tuple[K, V]]:
    for number, pair in enumerate(pairs):
        try:
            both = tuple(pair)
        except TypeError:
            message = f"cannot convert dictionary update sequence element #{number} to a sequence"
            raise TypeError(message) from None
        if len(both) != 2:
            raise ValueError(
                f"dictionary update sequence element #{number} has length {len(both)}; "
                "2 is required"
            )
        yield cast("tuple[K, V]", both)
