"""A bounded queue of items that are taken in batches, and of the futures of their results."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from penstock._pure.backlog import Backlog, Batch, Entry, is_done
from penstock._pure.convert import check_weight
from penstock._pure.holders import LOCK, read_clock

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from penstock._pure.backlog import Binding

__all__ = ["Ring"]


class Ring:
    """
    A bounded queue of items that are taken in batches, and of the futures of their results.

    Subclassed by what is public: what becomes of the items is up to the subclass.
    """

    __slots__ = ("_core",)

    _core: Backlog

    if TYPE_CHECKING:  # methods of the subclass

        def _refuse(self, item: Any, weight: int) -> Any: ...
        def _submit(self, item: Any, at_once: bool, /) -> Future[Any]: ...
        def _wake(self) -> None: ...
        def _elsewhere(self) -> None: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._core = Backlog(None, None, None, False, True)
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _init(
        self,
        capacity: int | None,
        weigher: Callable[[Any], int] | None = None,
        timer: Callable[[], float] | None = None,
        overfill: bool = False,
        plain: bool = True,
    ) -> None:
        self._core = Backlog(capacity, weigher, timer, overfill, plain)

    def _bind(
        self,
        event_loop: "AbstractEventLoop | None",
        create_future: "Callable[[], Future[Any]] | None",
        running: Callable[[], object] | None,
        ambient: Callable[[], object] | None,
    ) -> None:
        """
        Make the futures of what is submitted in this event loop from now on.
        """
        core, binding = self._core, None
        if event_loop is not None:
            binding = cast("Binding", (event_loop, create_future, running, ambient))
        with LOCK:
            # What is replaced lives on until the lock is free.
            binding, core.binding = core.binding, binding

    @property
    def _loop(self) -> "AbstractEventLoop | None":
        """
        The event loop that futures are of, or None.
        """
        binding = self._core.binding
        return None if binding is None else binding[0]

    @property
    def pending(self) -> int:
        """
        How many items are in it.
        """
        return self._core.pending

    @property
    def pending_weight(self) -> int:
        """
        What they weigh together.
        """
        return self._core.weight

    def put_nowait(self, item: Any) -> None:
        """
        Put an item in whose result nobody waits for.

        Args:
            item: Anything.

        Cost: O(1); any thread.
        """
        core = self._core
        _look_around(self, core)
        weight = _weigh(core, item)
        if not _push(self, core, Entry(item, None, weight, read_clock(core.timer)), False):
            refused: None = self._refuse(item, weight)
            return refused
        return None

    def submit(self, item: Any) -> "Future[Any]":
        """
        Put an item in, and return the future of its result.

        Args:
            item: Anything.

        Returns:
            A future of the running loop.

        Cost: O(1) and one future.
        """
        core = self._core
        future = _submit(self, core, item, core.overfill)
        return self._submit(item, False) if future is None else future

    def submit_nowait(self, item: Any) -> "Future[Any]":
        """
        Put an item in if there is room, and return the future of its result.

        Args:
            item: Anything.

        Returns:
            A future of the running loop.

        Cost: O(1) and one future.
        """
        future = _submit(self, self._core, item, False)
        return self._submit(item, True) if future is None else future

    def _push(self, item: Any, future: object, weight: int, force: bool) -> bool:
        """
        Put an item in; False if there is no room, or if it is closed.
        """
        core = self._core
        return _push(self, core, Entry(item, future, weight, read_clock(core.timer)), force)

    def _weigh(self, item: Any) -> int:
        """
        Return what an item weighs.
        """
        return _weigh(self._core, item)

    def _listen(self, items: int | None, weight: int | None) -> bool:
        """
        Wake at so many items, or at so much weight; True if that is there already.
        """
        core = self._core
        with LOCK:
            return core.listen(items, weight)

    def _take(
        self, items: int, weight: int | None
    ) -> tuple[list[Any], list[Any], int, float, float] | None:
        """
        Take the oldest items, without those whose future is done.
        """
        core = self._core
        now = read_clock(core.timer)
        batch = _remove(core, items, weight)
        if not batch.picked:
            return None
        ages = [max(now - entry.since, 0) for entry in batch.picked]
        return (
            [entry.item for entry in batch.picked],
            [entry.future for entry in batch.picked],
            batch.weight,
            max(ages) / 1e9,
            sum(ages) / 1e9,
        )

    def _drop_oldest(self) -> tuple[Any, Any, int] | None:
        """
        Take the oldest item whose future is not done.
        """
        batch = _remove(self._core, 1, None)
        if not batch.picked:
            return None
        entry = batch.picked[0]
        return entry.item, entry.future, entry.weight

    def _sweep(self) -> int:
        """
        Take out all whose future is done, and return how many these were.
        """
        core = self._core
        found = []
        for number, entry in list(core.entries.items()):
            if number >= core.head and is_done(entry):
                found.append((number, entry))
        swept = 0
        for number, entry in found:
            with LOCK:
                swept += core.drop(number, entry)
        with LOCK:
            core.first()  # what was swept from the head is passed by now
        return swept

    def _age(self) -> float | None:
        """
        Return for how many seconds the oldest has been there, or None.
        """
        core = self._core
        now = read_clock(core.timer)
        with LOCK:
            entry = core.entries.get(core.first())
        return None if entry is None else max(now - entry.since, 0) / 1e9

    @property
    def _head(self) -> int:
        """
        The number of the oldest.
        """
        with LOCK:
            return self._core.first()

    @property
    def _tail(self) -> int:
        """
        How many were ever put in.
        """
        return self._core.tail

    def _close(self) -> None:
        """
        Refuse whatever comes from now on.
        """
        self._core.closed = True

    @property
    def _closed(self) -> bool:
        """
        Whether it refuses whatever comes.
        """
        return self._core.closed

    def _counts(self) -> tuple[int, int, int]:
        """
        How many were put in, taken, and skipped because they were done.
        """
        core = self._core
        with LOCK:
            return core.tail, core.taken, core.skipped


# Functions, since a subclass may have methods of any name.


def _push(ring: Ring, core: Backlog, entry: Entry, force: bool) -> bool:
    with LOCK:
        outcome = core.push(entry, force)
    if outcome == 2:
        try:
            ring._wake()
        except BaseException:
            # The next push will tell.
            core.wake_items, core.wake_weight = 1, None
            raise
    return outcome > 0


def _submit(ring: Ring, core: Backlog, item: Any, force: bool) -> "Future[Any] | None":
    """Push with a future of the running loop, or return None if that is not to be had."""
    binding = core.binding
    if not core.plain or binding is None:
        return None
    loop, create_future, running, ambient = binding
    if core.closed or (core.pending >= core.capacity and not force):
        return None
    if running() is not loop or ambient() is not None:
        return None
    future = create_future()
    weight = _weigh(core, item)
    pushed = _push(ring, core, Entry(item, future, weight, read_clock(core.timer)), force)
    return future if pushed else None


def _look_around(ring: Ring, core: Backlog) -> None:
    """Tell the subclass of another loop that runs here."""
    if core.binding is not None:
        loop, _, running, _ = core.binding
        here = running()
        if here is not None and here is not loop:
            ring._elsewhere()


def _remove(core: Backlog, items: int, weight: int | None) -> Batch:
    """Take out the oldest ones."""
    while True:
        # Nothing is held while futures are asked: what was found counts unless somebody else has
        # removed something since.
        batch = core.find(items, weight)
        if not batch.seen:
            return batch
        with LOCK:
            removed = core.remove(batch)
        if removed:
            core.forget(batch)
            return batch


def _weigh(core: Backlog, item: Any) -> int:
    if core.weigher is None:
        return 1
    return check_weight(core.weigher(item))
