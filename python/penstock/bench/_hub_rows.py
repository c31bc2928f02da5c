"""WebSockets: what it takes to tell many clients something, and to answer each of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING, Final, Literal, cast

from penstock.bench._engine import Runner, interleave
from penstock.bench._flow_rows import in_loop, prepared
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["HUB_ROWS"]

_LISTENERS: Final = 200
_TALKERS: Final = 100
_ROUNDS: Final = 15
_NS: Final = 1e9
_US: Final = 1e3
#: What is said: a text of 100 bytes, and the same as frames of a server and of a client.
_MESSAGE: Final = "0123456789" * 10
_FRAME: Final = b"\x81" + bytes([len(_MESSAGE)]) + _MESSAGE.encode()
_MASKED: Final = b"\x81" + bytes([0x80 | len(_MESSAGE)]) + bytes(4) + _MESSAGE.encode()
_GOODBYE: Final = b"\x88\x82" + bytes(4) + b"\x03\xe8"
_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

_Operation = Literal["broadcast", "echo"]


class _Client(asyncio.Protocol):
    """A peer that costs next to nothing: it counts the bytes that come, and knows the frames."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._head = b""
        self._left = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._head += data
            if self._head.endswith(b"\r\n\r\n"):
                self._left = len(_FRAME)
                self._crowd.arrived()
            return
        self._left -= len(data)
        if self._left == 0:
            self._left = len(_FRAME)
            self._crowd.arrived()


def _same(client: _Client) -> _Client:
    return client


class _Crowd:
    """Some clients, and the wait until each of them was told something."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.clients: list[_Client] = []
        self._missing = 0
        self._done: asyncio.Future[None] | None = None

    def arrived(self) -> None:
        self._missing -= 1
        if self._missing == 0 and self._done is not None:
            self._done.set_result(None)

    def expect(self) -> asyncio.Future[None]:
        """Return what is done when all were told something."""
        self._missing = self.number
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    async def connect(self, port: int) -> None:
        loop, done = asyncio.get_running_loop(), self.expect()
        for _ in range(self.number):
            client = _Client(self)
            self.clients.append(client)
            await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        await done
        # The handlers of the last ones have begun by then.
        await asyncio.sleep(0.01)

    def close(self) -> None:
        for client in self.clients:
            if client.transport is not None:
                client.transport.write(_GOODBYE)
                client.transport.close()

    def speak(self) -> None:
        for client in self.clients:
            assert client.transport is not None
            client.transport.write(_MASKED)


class _HubRunner:
    """Tells all clients something, or has all of them be answered, again and again."""

    def __init__(
        self, crowd: _Crowd, tell: Callable[[], object], loop: AbstractEventLoop, plan: Plan
    ) -> None:
        self._crowd = crowd
        self._tell = tell
        self._event_loop = loop
        self._clock = plan.clock

    @property
    def operations(self) -> int:
        """How many messages arrive in a pass."""
        return self._crowd.number

    def __call__(self, passes: int) -> int:
        """Run *passes* passes; return the nanoseconds."""
        return self._event_loop.run_until_complete(self._run(passes))

    async def _run(self, passes: int) -> int:
        begin = self._clock()
        for _ in range(passes):
            done = self._crowd.expect()
            told = self._tell()
            if told is not None:
                await cast("Coroutine[None, None, None]", told)
            await done
        return self._clock() - begin


def _start(
    operation: _Operation,
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    plan: Plan,
) -> Runner:
    """Start a server, and connect the clients."""
    text = indent(contender.ops["broadcast"], " " * 4)
    telling = Contender(
        contender.name,
        contender.kinds,
        f"{contender.make}\nasync def tell():\n{text}\n",
        needs=contender.needs,
        backend=contender.backend,
    )
    made = prepared(telling, event_loop, seconds=0, message=_MESSAGE)
    start = cast("Callable[[], Coroutine[None, None, int]]", made["start"])
    end = cast("Callable[[], Coroutine[None, None, None]]", made["end"])
    port = event_loop.run_until_complete(start())
    stack.callback(lambda: event_loop.run_until_complete(end()))
    crowd = _Crowd(_LISTENERS if operation == "broadcast" else _TALKERS)
    stack.callback(crowd.close)
    event_loop.run_until_complete(crowd.connect(port))
    tell = cast("Callable[[], object]", made["tell"])
    return _HubRunner(crowd, tell if operation == "broadcast" else crowd.speak, event_loop, plan)


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    runners: dict[str, Runner] = {}
    with in_loop() as event_loop, ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            runner = _start(operation, contender, event_loop, stack, plan)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=min(plan.rounds, _ROUNDS), round_ns=plan.round_ns)
    if operation == "broadcast":
        figures = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
        table, title, unit, digits = f"WebSockets, {_LISTENERS} clients", "broadcast", "us", 1
    else:
        figures = {name: [_NS / spent for spent in spans] for name, spans in samples.items()}
        table, title, unit = f"WebSockets, {_TALKERS} clients", "round trips", "1/s"
        digits = 0
    # Half of it is the kernel's.
    result = Result(row.name, table, title, unit, figures, digits=digits, steady=False)
    outcome.results.append(result)


HUB_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "hub.broadcast",
        "hub",
        "a message sent to many clients, until each of them has it, per client",
        partial(_measure, "broadcast"),
    ),
    Row(
        "hub.echo",
        "hub",
        "messages that many clients send at once, each of which is answered",
        partial(_measure, "echo"),
    ),
)
