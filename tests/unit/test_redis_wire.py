"""The wire to Redis: to whom which reply goes, whatever comes, in whatever pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from tests.steps import now, run

from penstock.errors import StoreTimeout, StoreUnavailable
from penstock.stores._redis_stats import Counts

hiredis = pytest.importorskip("hiredis")

from penstock.stores._redis_errors import Refusal  # noqa: E402
from penstock.stores._redis_wire import Wire, forsake  # noqa: E402

TIMEOUT = 0.25
PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
#: Replies of every kind, and what is made of them.
REPLIES: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b":7\r\n", 7),
    (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"_\r\n", None),
    (b"#f\r\n", False),
    (b"*2\r\n$1\r\nx\r\n*1\r\n:1\r\n", [b"x", [1]]),
    (b"*0\r\n", []),
    (b"%1\r\n$1\r\na\r\n$1\r\nb\r\n", {b"a": b"b"}),
]


class Output:
    """Takes what a wire writes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = 0
        self.waiting = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted += 1

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1234) if name == "sockname" else None


class Made:
    """A wire that is open, and all that happens to it."""

    def __init__(self) -> None:
        self.pushes: list[list[Any]] = []
        self.lost: list[str] = []
        self.counts = Counts()
        loop = asyncio.get_running_loop()
        pushed: Callable[[Wire, list[Any]], None] = lambda _, push: self.pushes.append(push)  # noqa: E731
        self.wire = Wire(loop, "host:1", TIMEOUT, self.counts, pushed)
        self.output = Output()
        self.wire.connection_made(self.output)  # type: ignore[arg-type]  # as much as it needs
        self.wire.on_lost = self.lost.append

    def ask(self, count: int) -> list[asyncio.Future[Any]]:
        return [self.wire.ask(b"PING %d" % number) for number in range(count)]


def is_refused(future: asyncio.Future[Any]) -> bool:
    return future.done() and isinstance(future.exception(), StoreUnavailable)


def test_replies_go_to_who_has_asked_in_whatever_pieces_they_come() -> None:
    stream = PUSH.join(each for each, _ in REPLIES) + PUSH

    async def main() -> None:
        for size in (1, 2, 3, 7, len(stream)):
            made = Made()
            futures = made.ask(len(REPLIES))
            for at in range(0, len(stream), size):
                made.wire.data_received(stream[at : at + size])
            assert [future.result() for future in futures] == [value for _, value in REPLIES]
            assert made.pushes == [[b"invalidate", [b"k"]]] * len(REPLIES)
            assert made.counts.bytes_in == len(stream)
            assert made.counts.calls == len(REPLIES)
            assert not made.output.aborted

    run(main())


def test_a_connection_that_is_lost_at_any_byte_leaves_whole_replies_only() -> None:
    stream = b"".join(each for each, _ in REPLIES)
    ends = [len(b"".join(each for each, _ in REPLIES[: n + 1])) for n in range(len(REPLIES))]

    async def main() -> None:
        for cut in range(len(stream)):
            made = Made()
            futures = made.ask(len(REPLIES))
            made.wire.data_received(stream[:cut])
            made.wire.connection_lost(ConnectionResetError("reset"))
            for future, end, (_, value) in zip(futures, ends, REPLIES, strict=True):
                if end <= cut:
                    assert future.result() == value
                else:
                    assert is_refused(future)
            assert made.lost == ["reset"]
            assert is_refused(made.wire.ask(b"PING"))

    run(main())


def test_refusals_are_results_of_their_own_call() -> None:
    async def main() -> None:
        made = Made()
        futures = made.ask(3)
        made.wire.data_received(b":1\r\n-ERR no\r\n:2\r\n")
        one, refused, two = (future.result() for future in futures)
        assert (one, two) == (1, 2)
        assert isinstance(refused, Refusal)
        assert (str(refused), refused.code) == ("ERR no", "ERR")

    run(main())


@pytest.mark.parametrize("cancelled", list(product([False, True], repeat=4)))
def test_who_is_cancelled_shifts_nobody_elses_reply(cancelled: tuple[bool, ...]) -> None:
    async def main() -> None:
        made = Made()
        futures = made.ask(4)
        for future, is_gone in zip(futures, cancelled, strict=True):
            if is_gone:
                future.cancel()
        made.wire.data_received(b":0\r\n:1\r\n:2\r\n:3\r\n")
        for number, (future, is_gone) in enumerate(zip(futures, cancelled, strict=True)):
            assert future.cancelled() if is_gone else future.result() == number

    run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"x", b"HTTP/1.1 400\r\n", b"$x\r\n", b":1x\r\n", b"$-2\r\n", b"*-5\r\n", b"\r\n", b"\0\0",
        b"$99999999999999999999\r\n", b"*1\r\n!", b"#x\r\n",
    ],
)  # fmt: skip
def test_whatever_is_no_reply_ends_the_connection(garbage: bytes) -> None:
    async def main() -> None:
        made = Made()
        futures = made.ask(3)
        made.wire.data_received(b":0\r\n" + garbage)
        assert futures[0].result() == 0
        assert [is_refused(future) for future in futures[1:]] == [True, True]
        assert made.output.aborted == 1
        assert len(made.lost) == 1
        made.wire.data_received(b":1\r\n")  # nobody listens any more
        made.wire.connection_lost(None)
        assert len(made.lost) == 1
        assert made.wire.ended.done()

    run(main())


def test_a_reply_that_nobody_has_asked_for_ends_the_connection() -> None:
    async def main() -> None:
        made = Made()
        (future,) = made.ask(1)
        made.wire.data_received(b":0\r\n:1\r\n")
        assert future.result() == 0
        assert made.output.aborted == 1
        assert "nobody had asked" in made.lost[0]

    run(main())


def test_a_late_reply_is_nobody_elses() -> None:
    async def main() -> None:
        made = Made()
        (late,) = made.ask(1)
        await asyncio.sleep(0.2)
        (timely,) = made.ask(1)
        with pytest.raises(StoreTimeout, match=r"within 0\.25 s"):
            await late
        assert now() - 1000 == pytest.approx(0.25)
        made.wire.data_received(b":0\r\n:1\r\n")
        assert await timely == 1
        assert made.counts.timeouts == 1
        assert not made.output.aborted

    run(main())


def test_each_has_its_own_time() -> None:
    async def main() -> None:
        made = Made()
        started = now()
        ends: list[float] = []

        def ended(future: asyncio.Future[Any]) -> None:
            assert isinstance(future.exception(), StoreTimeout)
            ends.append(now())

        for _ in range(5):
            made.ask(1)[0].add_done_callback(ended)
            await asyncio.sleep(0.04)
        futures = made.ask(1)
        with pytest.raises(StoreTimeout):
            await futures[0]
        expected = [0.25 + 0.04 * n for n in range(5)]
        assert [end - started for end in ends] == pytest.approx(expected)
        made.wire.abort("done")

    run(main())


def test_who_asks_while_nothing_comes_waits_no_longer() -> None:
    async def main() -> None:
        made = Made()
        for _ in range(3):
            started = now()
            with pytest.raises(StoreTimeout):
                await made.ask(1)[0]
            assert now() - started == pytest.approx(TIMEOUT)
        made.wire.data_received(b":1\r\n" * 3)
        assert not made.output.aborted

    run(main())


def test_a_loop_that_was_kept_from_running_reads_before_it_gives_up() -> None:
    async def main() -> None:
        made = Made()
        loop = asyncio.get_running_loop()
        (future,) = made.ask(1)
        loop.jump(5.0)  # type: ignore[attr-defined]  # something has blocked it
        await asyncio.sleep(0.01)
        assert not future.done()
        made.wire.data_received(b":1\r\n")
        assert await future == 1
        (late,) = made.ask(1)
        loop.jump(0.5)  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        assert isinstance(late.exception(), StoreTimeout)
        assert not made.output.aborted

    run(main())


def test_silence_ends_the_connection() -> None:
    async def main() -> None:
        made = Made()
        (future,) = made.ask(1)
        await asyncio.sleep(0.9)
        assert isinstance(future.exception(), StoreTimeout)
        assert not made.output.aborted
        await asyncio.sleep(0.2)
        assert made.output.aborted == 1
        assert made.lost == ["it answered nobody in time for 1 s"]

    run(main())


def test_bytes_are_no_answer() -> None:
    async def main() -> None:
        made = Made()
        futures = made.ask(1)
        for byte in b"$2":
            await asyncio.sleep(0.4)
            made.wire.data_received(bytes([byte]))
        assert isinstance(futures[0].exception(), StoreTimeout)
        assert not made.output.aborted
        await asyncio.sleep(0.21)
        assert made.output.aborted == 1

    run(main())


def test_nobody_who_waits_for_nothing_is_silent() -> None:
    async def main() -> None:
        made = Made()
        futures = made.ask(1)
        made.wire.data_received(b":1\r\n")
        await asyncio.sleep(100)
        assert futures[0].result() == 1
        futures = made.ask(1)
        await asyncio.sleep(0.3)
        assert not made.output.aborted
        forsake(futures)
        made.wire.data_received(b":1\r\n")

    run(main())


def test_more_than_the_server_takes_in_is_refused() -> None:
    async def main() -> None:
        made = Made()
        made.output.waiting = 10**9
        (future,) = made.ask(1)
        with pytest.raises(StoreUnavailable, match="nothing more"):
            await future
        made.output.waiting = 0
        (future,) = made.ask(1)
        made.wire.data_received(b":1\r\n")
        assert await future == 1

    run(main())


def test_a_push_may_confirm_what_was_asked() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        wire = Wire(loop, "host:1", TIMEOUT, Counts(), Wire.answer)
        output = Output()
        wire.connection_made(output)  # type: ignore[arg-type]  # as much as it needs
        first, second = wire.ask(b"SUBSCRIBE a"), wire.ask(b"PING")
        wire.data_received(b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n+PONG\r\n")
        assert await first == [b"subscribe", b"a", 1]
        assert await second == b"PONG"
        wire.data_received(b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        assert output.aborted == 1

    run(main())


def test_what_the_other_end_is_called() -> None:
    async def main() -> None:
        made = Made()
        assert made.wire.name == "127.0.0.1:1234"
        made.output.get_extra_info = lambda name: ("::1", 5, 0, 0)  # type: ignore[method-assign]
        assert made.wire.name == "[::1]:5"
        made.output.get_extra_info = lambda name: ""  # type: ignore[method-assign]  # unix
        assert made.wire.name is None

    run(main())
