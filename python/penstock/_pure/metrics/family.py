"""What the four kinds of metrics share: names, labels and the table of children."""

from typing import Any, ClassVar, Final, Generic, NoReturn, Self, TypeVar, cast

from penstock._pure.metrics.amounts import to_text
from penstock._pure.metrics.lock import LOCK
from penstock._pure.metrics.tally import Tally

__all__ = ["OVERFLOW", "Cell", "Family", "Shared"]

#: Every label value of the series that stands for all beyond ``max_series``.
OVERFLOW: Final = "__overflow__"


class Cell:
    """The numbers of one series."""

    __slots__ = ()


CellT = TypeVar("CellT", bound=Cell)


class Shared(Generic[CellT]):
    """What a family and its children have in common."""

    __slots__ = ("documentation", "labelnames", "max_series", "name", "tally", "unit")

    def __init__(
        self,
        name: str,
        documentation: str,
        unit: str,
        labelnames: tuple[str, ...],
        max_series: int | None,
    ) -> None:
        self.name: Final = name
        self.documentation: Final = to_text(documentation)
        self.unit: Final = to_text(unit)
        self.labelnames: Final = labelnames
        self.max_series: Final = max_series
        self.tally: Final = Tally(name)

    def new_cell(self) -> CellT:
        """Make the numbers of a new series."""
        raise NotImplementedError


SharedT = TypeVar("SharedT", bound=Shared[Any])


class Family(Generic[SharedT, CellT]):
    """
    What all metrics are: a name, labels, and a table of children.

    Not made by callers: subclasses are, and ``labels`` makes children.
    """

    __slots__ = ("__weakref__", "_cell", "_children_by_values", "_shared", "_values")

    _KIND: ClassVar[str]

    _shared: SharedT | None
    _values: tuple[str, ...]
    #: None for a parent: without label values there is nothing to count in.
    _cell: CellT | None
    _children_by_values: dict[tuple[str, ...], Self]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._shared = None
        return self

    def __str__(self) -> str:
        return f"{self._type}:{self._name}"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def _name(self) -> str:
        return self._ready().name

    @property
    def _documentation(self) -> str:
        return self._ready().documentation

    @property
    def _unit(self) -> str:
        return self._ready().unit

    @property
    def _type(self) -> str:
        self._ready()
        return self._KIND

    @property
    def _labelnames(self) -> tuple[str, ...]:
        return self._ready().labelnames

    @property
    def _labelvalues(self) -> tuple[str, ...]:
        self._ready()
        return self._values

    @property
    def _max_series(self) -> int | None:
        return self._ready().max_series

    def labels(self, *labelvalues: object, **labelkwargs: object) -> Self:
        """
        Return the series with these label values; it is made when it is not there.

        Args:
            labelvalues: A value for each label, in the order of the label names.
            labelkwargs: The same by name.

        Returns:
            The same object for the same values; once there are *max_series* children, the one
            child that counts for all other values.

        Raises:
            ValueError: Names or the number of values are not those of the metric.

        Cost: one look-up. Thread-safe.
        """
        return self._child(self._key(labelvalues, labelkwargs))

    def remove(self, *labelvalues: object) -> None:
        """
        Remove the series with these label values, if it is there.

        Args:
            labelvalues: A value for each label.

        Raises:
            ValueError: Their number is not that of the labels.
        """
        names = self._require_labels()
        if len(labelvalues) != len(names):
            raise ValueError(f"Incorrect label count (expected {len(names)}, got {labelvalues})")
        values = tuple([to_text(value) for value in labelvalues])
        with LOCK:
            removed = self._children_by_values.pop(values, None)
        del removed  # it may die here, after the lock

    def clear(self) -> None:
        """
        Remove all series of a metric with labels.
        """
        self._ready()
        empty: dict[tuple[str, ...], Self] = {}
        with LOCK:
            removed, self._children_by_values = self._children_by_values, empty
        del removed

    def _children(self) -> list[Self]:
        self._ready()
        with LOCK:
            return list(self._children_by_values.values())

    def _remove_where(self, positions: dict[int, str]) -> None:
        """
        Remove the series that have these values at these positions.
        """
        self._ready()
        wanted = {at: to_text(value) for at, value in positions.items()}
        for child in self._children():
            values = child._values
            if all(values[at] == value for at, value in wanted.items()):
                with LOCK:
                    if self._children_by_values.get(values) is child:
                        del self._children_by_values[values]

    def _set_up(self, shared: SharedT) -> None:
        """Become a metric: what the ``_init`` of every kind ends with."""
        if self._shared is not None:
            raise RuntimeError("metric is already initialised")
        self._become(shared, ())

    def _become(self, shared: SharedT, values: tuple[str, ...]) -> None:
        is_parent = bool(shared.labelnames) and not values
        self._values = values
        self._children_by_values = {}
        self._cell = None if is_parent else cast("CellT", shared.new_cell())
        self._shared = shared

    def _ready(self) -> SharedT:
        """Return what the family shares; the first step of every use."""
        if self._shared is None:
            raise RuntimeError("metric is not initialised")
        return self._shared

    def _observable(self) -> CellT:
        """Return the numbers of the series; the first step of every use of them."""
        self._ready()
        if self._cell is None:
            raise ValueError(f"{self._KIND} metric is missing label values")
        return self._cell

    def _require_labels(self) -> tuple[str, ...]:
        names = self._ready().labelnames
        if not names:
            raise ValueError(f"No label names were set when constructing {self}")
        return names

    def _key(self, values: tuple[object, ...], named: dict[str, object]) -> tuple[str, ...]:
        """Check the arguments of ``labels``, in prometheus_client's order, and make them texts."""
        names = self._require_labels()
        if self._values:
            labels = dict(zip(names, self._values, strict=True))
            raise ValueError(
                f"{self} already has labels set ({labels}); can not chain calls to .labels()"
            )
        if values and named:
            raise ValueError("Can't pass both *args and **kwargs")
        if named:
            if sorted(named) != sorted(names):
                raise ValueError("Incorrect label names")
            values = tuple([named[name] for name in names])
        elif len(values) != len(names):
            raise ValueError("Incorrect label count")
        return tuple([to_text(value) for value in values])

    def _child(self, values: tuple[str, ...]) -> Self:
        found = self._children_by_values.get(values)
        if found is not None:
            return found
        shared = self._ready()
        overflow = (OVERFLOW,) * len(values)
        fresh = super().__new__(type(self))
        fresh._become(shared, values)
        with LOCK:
            children = self._children_by_values
            room = values == overflow or not self._is_full(children, overflow)
            # Exact strings: comparing them runs nobody's code. setdefault looks and adds in one.
            found = children.setdefault(values, fresh) if room else children.get(values)
        if found is not None:
            return found
        shared.tally.count_overflow()
        return self._child(overflow)

    def _is_full(self, children: dict[tuple[str, ...], Self], overflow: tuple[str, ...]) -> bool:
        limit = self._ready().max_series
        return limit is not None and len(children) - (overflow in children) >= limit
