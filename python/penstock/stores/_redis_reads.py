"""Reading from Redis: all keys in one command, and what was invalidated left out."""

from __future__ import annotations

from asyncio import CancelledError
from functools import partial
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from penstock.errors import StoreError
from penstock.stores._codecs import Undecodable
from penstock.stores._envelope import Tombstone, unpack
from penstock.stores._redis_scripts import TICK
from penstock.stores._redis_wire import forsake, pack_command
from penstock.stores._rules import Rules
from penstock.stores._store import Reading, Record

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Coroutine, Sequence

    from penstock.stores._redis_session import Session
    from penstock.stores._redis_wire import Reply, Wire

    Answered: TypeAlias = Callable[[Reading | None, BaseException | None], object]

__all__ = ["Reads"]

#: Keys that are asked for in one command: while it is done, nobody else is served.
_CHUNK: Final = 500
_NEWEST: Final = 2**63
#: Seconds by which the clocks of hosts may differ. What was born later than that from now was so
#: before the clock was set back, and how old it is cannot be told.
_AHEAD: Final = 60.0


class _State(NamedTuple):
    """The state of a store, as the scripts keep it."""

    clock: int
    rules: int
    floor: int
    tags: int
    old: int


class _Asked:
    """Who has asked without a task."""

    __slots__ = ("_answered", "_is_done", "_keys", "_reads", "_wire")

    def __init__(self, reads: Reads, wire: Wire, keys: Sequence[str], answered: Answered) -> None:
        self._reads = reads
        self._wire = wire
        self._keys = keys
        self._answered = answered
        self._is_done = False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, reply: Reply) -> None:
        self._is_done = True
        try:
            self._reads.replied(self._wire, self._keys, reply, self._answered)
        except Exception as error:
            self._reads.failed(error)

    def set_exception(self, error: BaseException) -> None:
        self._is_done = True
        try:
            self._answered(None, error)
        except Exception as failure:
            self._reads.failed(failure)


class Reads:
    """
    How a store reads.

    Args:
        session: On whose connection.
    """

    __slots__ = (
        "_floor",
        "_known",
        "_rules",
        "_rules_at",
        "_session",
        "_tasks",
        "_text",
        "_touch_at",
        "_wire",
    )

    def __init__(self, session: Session) -> None:
        self._session = session
        #: The state of the store as it was read last, and what was made of it.
        self._text: bytes | None = None
        self._known = _State(0, 0, 0, 0, 0)
        self._rules = Rules()
        self._tasks: set[Task[Reading]] = set()
        #: The tick at which the patterns had changed that are known, and the floor that goes with
        #: them: they may be newer than the state whose tick that is.
        self._rules_at = -1
        self._floor = 0
        self._touch_at = -inf
        #: The connection that all this is known from: behind the next one may be another server.
        self._wire: Wire | None = None

    async def get_many(self, keys: Sequence[str]) -> Reading:
        """Return the valid records of *keys*, and the clock."""
        link = self._session.link
        wire = link.wire or await link.connected()
        if wire is not self._wire:
            self._wire, self._text, self._rules_at, self._touch_at = wire, None, -1, -inf
            self._floor = 0
        now = monotonic()
        if now >= self._touch_at:
            # A base says when it was read only if the clock goes on; this is done before the read.
            options = self._session.options
            self._touch_at = now + options.tombstone_ttl / 4
            args = ("touch", int(options.tombstone_ttl * 250_000))
            # With its text: nobody sees that the script is not known any more.
            forsake((wire.ask(TICK.call_unknown(options.names.own, args)),))
        if len(keys) <= _CHUNK:
            reply = await wire.ask(self._command(keys))
            return await self._taken(wire, keys, reply)
        chunks = [keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK)]
        futures = [wire.ask(self._command(chunk)) for chunk in chunks]
        readings = []
        try:
            for chunk, future in zip(chunks, futures, strict=True):
                readings.append(await self._taken(wire, chunk, await future))  # shorter
        finally:
            forsake(futures)
        records = [record for reading in readings for record in reading.records]
        return Reading(records, readings[0].base)

    def _command(self, keys: Sequence[str]) -> bytes:
        names = self._session.options.names
        entry = names.entry
        return pack_command(("MGET", names.state, *[entry + key for key in keys]))

    def ask(self, keys: Sequence[str], answered: Answered) -> bool:
        """Ask for *keys* if that can be done at once; then *answered* is called with what came."""
        wire = self._session.link.wire
        if wire is None or wire is not self._wire or wire.is_full:
            return False
        if len(keys) > _CHUNK or monotonic() >= self._touch_at:
            return False
        try:
            command = self._command(keys)
        except UnicodeEncodeError:
            return False
        wire.send(command, _Asked(self, wire, keys, answered))
        return True

    def replied(self, wire: Wire, keys: Sequence[str], reply: Reply, answered: Answered) -> None:
        """Answer who has asked, at once unless more has to be asked."""
        try:
            found = self._found(wire, keys, reply)
        except Exception as error:
            answered(None, error)
            return
        if isinstance(found, Reading):
            answered(found, None)
            return
        task = self._session.loop.create_task(found)
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, answered))

    def _found(
        self, wire: Wire, keys: Sequence[str], reply: Reply
    ) -> Reading | Coroutine[Any, Any, Reading]:
        """Return what was found, or what asks for the rest."""
        self._check(wire, keys, reply)
        state = self._known if reply[0] == self._text else self._newer(reply[0])
        if state is None:
            return self._taken(wire, keys, reply)
        records, tagged = self._valid(wire, keys, reply, state)
        if tagged:
            return self._rest(wire, records, tagged, state)
        return self._counted(records, state)

    def _check(self, wire: Wire, keys: Sequence[str], reply: Reply) -> None:
        """Refuse what is no reply to what was asked."""
        if type(reply) is not list or len(reply) != len(keys) + 1:
            raise self._session.surprised(wire, reply)
        if type(reply[0]) is not bytes and reply[0] is not None:
            raise self._session.surprised(wire, reply[0])

    def _end(self, answered: Answered, task: Task[Reading]) -> None:
        self._tasks.discard(task)
        error = CancelledError() if task.cancelled() else task.exception()
        answered(task.result() if error is None else None, error)

    def failed(self, error: Exception) -> None:
        """Report what who was answered has raised: the connection has no part in it."""
        context = {"message": "who has asked a RedisStore has failed", "exception": error}
        self._session.loop.call_exception_handler(context)

    def close(self) -> None:
        """Ask nothing more."""
        for task in self._tasks:
            task.cancel()

    async def _taken(self, wire: Wire, keys: Sequence[str], reply: Reply) -> Reading:
        """Make records of what was found."""
        self._check(wire, keys, reply)
        state = self._known if reply[0] == self._text else await self._look_at(wire, reply[0])
        records, tagged = self._valid(wire, keys, reply, state)
        if not tagged:
            return self._counted(records, state)
        return await self._rest(wire, records, tagged, state)

    async def _rest(
        self, wire: Wire, records: list[Record | None], tagged: list[int], state: _State
    ) -> Reading:
        await self._drop_by_tags(wire, records, tagged, state)
        return self._counted(records, state)

    def _counted(self, records: list[Record | None], state: _State) -> Reading:
        missing = records.count(None)
        counts = self._session.counts
        counts.keys += len(records)
        counts.hits += len(records) - missing
        counts.misses += missing
        return Reading(records, state.clock)

    def _newer(self, text: bytes | None) -> _State | None:
        """Take in a state if nothing has to be asked for that, and return it."""
        state = None if text is None else _parsed(text)
        if state is None or state.rules != self._rules_at:
            return None
        self._text, self._known = text, state
        return state

    def _valid(
        self, wire: Wire, keys: Sequence[str], reply: list[Any], state: _State
    ) -> tuple[list[Record | None], list[int]]:
        """Return the records that are not too old, and the places of those that have tags."""
        coding = self._session.options.coding
        newest = self._rules.newest if self._rules_at else None
        floor, clock = max(state.floor, self._floor), state.clock
        now = time()
        latest = now + _AHEAD
        records: list[Record | None] = [None] * len(keys)
        tagged: list[int] = []
        for at, key in enumerate(keys):
            data = reply[at + 1]
            if data is None:
                continue
            if type(data) is not bytes:
                raise self._session.surprised(wire, data)
            try:
                record = unpack(key, data, coding)
            except Undecodable:
                self._session.counts.undecodable += 1
                continue
            if type(record) is Tombstone:
                continue
            _, born, ttl, stale_for, tags, version = record  # type: ignore[misc]  # no tombstone
            # Nothing is newer than the clock, unless that was lost and the server's set back.
            if version < floor or version > clock or born > latest:
                continue
            if ttl is not None and now - born >= ttl + stale_for:
                continue
            if newest is not None and newest(key) > version:
                continue
            if tags:
                tagged.append(at)
            records[at] = cast("Record", record)
        return records, tagged

    async def _drop_by_tags(
        self, wire: Wire, records: list[Record | None], tagged: list[int], state: _State
    ) -> None:
        """Leave out what has a tag that was invalidated."""
        of_each = {at: record.tags for at in tagged if (record := records[at]) is not None}
        fields = [f"={tag}" for tag in dict.fromkeys(t for tags in of_each.values() for t in tags)]
        begun = (state.tags, state.old) if state.old else (state.tags,)
        names = self._session.options.names
        futures = [
            wire.ask(pack_command(("HMGET", name, "#", *fields)))
            for name, _ in zip(names.tags, begun, strict=False)
        ]
        newest = dict.fromkeys(fields, state.old)
        known = True
        try:
            for tick, future in zip(begun, futures, strict=True):
                reply = await future
                if type(reply) is not list or len(reply) != len(fields) + 1:
                    raise self._session.surprised(wire, reply)
                if reply[0] is None:
                    # Evicted. Nobody knows what was in it: nothing is valid that is older than now.
                    await self._tick("forget")
                known = known and reply[0] is not None and _number(reply[0]) == tick
                for field, text in zip(fields, reply[1:], strict=True):
                    if text is not None:
                        newest[field] = max(newest[field], _number(text))
        finally:
            forsake(futures)
        for at, tags in of_each.items():
            record = records[at]
            assert record is not None
            if not known or any(newest[f"={tag}"] > record.version for tag in tags):
                records[at] = None

    # --- the state --------------------------------------------------------------------------------

    async def _look_at(self, wire: Wire, text: bytes | None) -> _State:
        """Take in a state that is not the one known, and return it."""
        state = None if text is None else _parsed(text)
        if text is None or state is None:
            # All was flushed, or this was: nothing is valid that is older than what begins now.
            text, state = await self._tick("")
        if state.rules != self._rules_at:
            rules, floor = await self._read_rules(wire) if state.rules else ({}, 0)
            if floor is None:
                # Evicted. Nobody knows what was in it: nothing is valid that is older than now.
                text, state = await self._tick("forget")
            self._rules.replace(rules)
            self._rules_at, self._floor = state.rules, floor or 0
        self._text, self._known = text, state
        return state

    async def _tick(self, how: str) -> tuple[bytes, _State]:
        text = await self._session.run(TICK, self._session.options.names.own, (how,), bytes)
        state = _parsed(text)
        if state is None:
            raise StoreError(f"Redis at {self._session.address} tells no time: {text[:80]!r}")
        return text, state

    async def _read_rules(self, wire: Wire) -> tuple[dict[str, int], int | None]:
        """
        Return the patterns, and the floor; None for that if patterns are missing.

        They are read after the state that led here, and some may have become part of the floor in
        between: it is read after them.
        """
        names = self._session.options.names
        commands = ("HGETALL", names.rules), ("GET", names.state)
        futures = [wire.ask(pack_command(command)) for command in commands]
        try:
            reply, text = [await future for future in futures]
        finally:
            forsake(futures)
        if type(reply) is not dict or not isinstance(text, bytes | None):
            raise self._session.surprised(wire, reply if type(reply) is not dict else text)
        later = None if text is None else _parsed(text)
        if later is None or (later.rules and not reply):
            return {}, None
        rules = {
            pattern.decode("utf-8", "surrogateescape"): _number(number)
            for pattern, number in reply.items()
        }
        return rules, later.floor


def _number(text: Reply) -> int:
    """Return a version; what is none is newer than everything."""
    return int(text) if type(text) is bytes and text.isdigit() else _NEWEST


def _parsed(text: bytes) -> _State | None:
    """Return a state, or None if it is none."""
    try:
        clock, rules, floor, tags, old = map(int, text.split(b" ")[:5])
    except ValueError:
        return None
    return _State(clock, rules, floor, tags, old)
