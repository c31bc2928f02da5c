"""The weak registry of named components, and how to read the statistics of each kind of them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar, cast
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Entry",
    "Field",
    "Kind",
    "Tracked",
    "describe",
    "enter",
    "entries",
    "kinds",
    "on_describe",
    "stats_of",
    "track",
]

T = TypeVar("T")

FieldType = Literal["counter", "gauge"]


class Tracked(Protocol):
    """What can be tracked."""

    def stats(self) -> object:
        """Return the figures of now."""
        ...


class Field(NamedTuple):
    """One figure of a kind of components."""

    attribute: str
    type: FieldType
    documentation: str


class Kind(NamedTuple):
    """How the statistics of one kind of components are read."""

    name: str
    stats_class: type
    fields: tuple[Field, ...]
    labelled: bool


class Entry(ref[object]):
    """A weak reference to a component, and the name under which it is shown."""

    __slots__ = ("at", "name", "number")

    #: The id of the component, which is its alone while it lives.
    at: int
    name: str
    #: Never used again, unlike the id.
    number: int


# Every change of these is one operation on a dict or list, which no thread and no finalizer can
# come in between of. There is no lock: an entry is forgotten wherever the collector happens to run.
_entries: dict[int, Entry] = {}
_numbers = count()
_kinds: dict[type, Kind] = {}
_listeners: list[Callable[[Kind], object]] = []


def _forget(entry: Entry) -> None:
    if _entries.get(entry.at) is entry:
        del _entries[entry.at]


def _put(component: object, name: str) -> None:
    entry = Entry(component, _forget)
    entry.at, entry.name, entry.number = id(component), name, next(_numbers)
    _entries[entry.at] = entry


def enter(component: object) -> None:
    """
    Show *component* under its own ``name`` for as long as it lives.

    Args:
        component: With ``name`` and ``stats()``. One without a name, or with an empty one, is left
            alone.

    Cost: one weak reference; no statistics are read.
    """
    name = cast("str | None", getattr(component, "name", None))
    if name:
        _put(component, name)


def track(component: T, name: str) -> T:
    """
    Show the statistics of *component* among the metrics, under *name*, for as long as it lives.

    Args:
        component: Anything of penstock with ``stats()``: a cache, a cached function or method, ...
            Only a weak reference is kept.
        name: The value of the label ``name``. A component has one: that given last replaces the one
            before it and the one given to its constructor. Components of the same name are summed.

    Returns:
        The component.

    Raises:
        TypeError: *name* is not a str; *component* has no ``stats()``, one whose result is not
            known, or cannot be weakly referenced.
        ValueError: *name* is empty.

    Cost: reads the statistics once; nothing is added to any operation of the component.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
    if not name:
        raise ValueError("name must not be empty")
    owner = _owner(component)
    stats_of(owner)
    entry = _entries.get(id(owner))
    if entry is None or entry.name != name:
        try:
            _put(owner, name)
        except TypeError:
            message = f"cannot track {type(owner).__name__}: it cannot be weakly referenced"
            raise TypeError(message) from None
    return component


def stats_of(component: Tracked) -> tuple[Kind, object]:
    """
    Read the statistics of a component.

    Raises:
        TypeError: They are of no kind that is described. Whatever ``stats()`` raises is passed on.
    """
    # Without side effects, where a component has it: a scrape reclaims nothing and calls nobody.
    stats = getattr(component, "_figures", component.stats)()
    for cls in type(stats).__mro__:
        kind = _kinds.get(cls)
        if kind is not None:
            return kind, stats
    what = f"its stats() returns {type(stats).__name__}, which is not known"
    raise TypeError(f"cannot track {type(component).__name__}: {what}")


def _owner(component: object) -> Tracked:
    """
    Return whose statistics those of *component* are.

    A cached function has those of its cache, and each access to a cached method makes a new object
    that has the same ones: the cache is what lives, and what must not be counted twice.
    """
    if isinstance(component, type):
        raise TypeError(f"cannot track the class {component.__name__}, only objects of it")
    stats = getattr(component, "stats", None)
    if not callable(stats):
        raise TypeError(f"cannot track {type(component).__name__}: it has no stats()")
    owner: object = getattr(stats, "__self__", None)
    # A function of a module has a __self__ too.
    is_method_of_owner = owner is not None and getattr(owner, "stats", None) == stats
    return cast("Tracked", owner if is_method_of_owner else component)


def describe(
    kind: str,
    stats_class: type,
    fields: Iterable[tuple[str, FieldType, str]],
    *,
    labelled: bool = True,
) -> None:
    """
    Say how the statistics of a kind of components become metrics.

    Args:
        kind: Figures are shown as ``penstock_<kind>_<attribute>``, counters with ``_total``.
        stats_class: What ``stats()`` of such a component returns; subclasses count as it.
        fields: Attributes of *stats_class*, ``"counter"`` or ``"gauge"``, and a line of
            documentation. An attribute that is None is left out.
        labelled: Whether each name has series of its own; otherwise all components are summed in
            one without labels.

    Raises:
        ValueError: The kind is described already with another class, or the class as another kind;
            a type is neither of the two.
    """
    described = Kind(kind, stats_class, tuple(Field(*field) for field in fields), labelled)
    for field in described.fields:
        if field.type not in {"counter", "gauge"}:
            raise ValueError(f"type must be 'counter' or 'gauge', got {field.type!r}")
    for known in kinds():
        if (known.name == kind) is not (known.stats_class is stats_class):
            of = known.stats_class.__name__
            raise ValueError(f"{of} is described already, as kind {known.name!r}")
    _kinds[stats_class] = described
    for listener in _listeners:
        listener(described)


def on_describe(listener: Callable[[Kind], object]) -> None:
    """Call *listener* with each kind that is described from now on."""
    _listeners.append(listener)


def kinds() -> list[Kind]:
    """Return all kinds, in the order in which they were described."""
    return list(_kinds.values())


def entries() -> list[Entry]:
    """Return what is tracked now, in the order in which it was entered."""
    return list(_entries.values())
