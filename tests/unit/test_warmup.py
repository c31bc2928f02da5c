"""`warmup`: what is called, how many at a time, and what is told of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.loading import HeldLoader, settle
from tests.steps import run, steps_of, tasks_left

from penstock import warmup
from penstock.caching import WarmupReport

if TYPE_CHECKING:
    from collections.abc import Callable


async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def test_everything_is_loaded_and_told_of() -> None:
    told: list[tuple[int, int, str]] = []
    called: list[str] = []

    async def load(name: str) -> None:
        called.append(name)

    async def main() -> WarmupReport:
        loaders: dict[str, Callable[[], object]] = {
            "a": partial(load, "a"),
            "b": lambda: load("b"),
            "c": lambda: called.append("c"),
        }
        return await warmup(loaders, progress=lambda *args: told.append(args))

    report = run(main())
    assert called == ["a", "b", "c"]
    assert sorted(report.loaded) == ["a", "b", "c"]
    assert [done for done, _, _ in told] == [1, 2, 3]
    assert {total for _, total, _ in told} == {3}
    assert (report.ok, report.total, report.failed, report.unfinished) == (True, 3, {}, ())
    assert report.seconds >= 0


def test_so_many_run_at_once() -> None:
    async def main() -> None:
        held = HeldLoader()
        task = asyncio.create_task(
            warmup({str(n): partial(held, n) for n in range(5)}, concurrency=2)
        )
        await settle()
        assert held.calls == [0, 1]
        held.release(1)
        await settle()
        assert held.calls == [0, 1, 2]
        while not task.done():
            held.release()
            await settle()
        assert (await task).ok

    run(main())


def test_what_fails_is_told_and_stops_nothing() -> None:
    async def fail() -> None:
        raise OSError("no disk")

    def fail_at_once() -> None:
        raise KeyError("nothing")

    told: list[str] = []

    async def main() -> WarmupReport:
        loaders = {"bad": fail, "worse": fail_at_once, "good": partial(sleep, 1)}
        return await warmup(loaders, progress=lambda done, total, name: told.append(name))

    report = run(main())
    assert sorted(report.loaded) == ["good"]
    assert {name: type(error) for name, error in report.failed.items()} == {
        "bad": OSError,
        "worse": KeyError,
    }
    assert not report.ok
    assert told == ["bad", "worse", "good"]


def test_first_error_is_raised_if_that_is_asked_for() -> None:
    async def main() -> None:
        held = HeldLoader()

        async def fail() -> None:
            await asyncio.sleep(1)
            raise OSError("no disk")

        with pytest.raises(OSError, match="no disk"):
            await warmup({"slow": held, "bad": fail}, on_error="raise")
        assert held.cancelled == [1]
        assert tasks_left() == 0

    run(main())


def test_what_takes_too_long_is_cancelled_and_told() -> None:
    async def main() -> WarmupReport:
        loaders = {name: partial(sleep, seconds) for name, seconds in [("a", 1), ("b", 9)]}
        return await warmup(loaders | {"c": partial(sleep, 1)}, timeout=5, concurrency=1)

    report = run(main())
    assert list(report.loaded) == ["a"]
    assert report.unfinished == ("b", "c")
    assert not report.ok


def test_timeout_of_a_loader_is_its_own_error() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(2)

    async def main() -> None:
        report = await warmup({"a": impatient, "b": partial(sleep, 3)}, timeout=5)
        assert list(report.failed) == ["a"]
        assert list(report.loaded) == ["b"]
        with pytest.raises(TimeoutError):
            await warmup({"a": impatient}, timeout=5, on_error="raise")

    run(main())


def test_progress_that_raises_ends_it_all() -> None:
    def progress(done: int, total: int, name: str) -> None:
        raise RuntimeError(f"{name} {done}/{total}")

    async def main() -> None:
        held = HeldLoader()
        with pytest.raises(RuntimeError, match="a 1/2"):
            await warmup({"a": partial(sleep, 1), "b": held}, progress=progress)
        assert held.cancelled == [1]

    run(main())


async def of_a_cancelled_task() -> None:
    task = asyncio.create_task(sleep(9))
    await asyncio.sleep(1)
    task.cancel()
    await task


def test_what_waits_for_something_cancelled_has_failed() -> None:
    async def main() -> None:
        loaders = {"bad": of_a_cancelled_task, "good": partial(sleep, 2)}
        report = await warmup(loaders, concurrency=1)
        assert list(report.loaded) == ["good"]
        assert [repr(error) for error in report.failed.values()] == [
            "RuntimeError(\"loading 'bad' was cancelled\")"
        ]
        assert isinstance(report.failed["bad"].__cause__, asyncio.CancelledError)
        held = HeldLoader()
        with pytest.raises(RuntimeError, match="'bad' was cancelled"):
            await warmup({"bad": of_a_cancelled_task, "slow": held}, on_error="raise")
        assert held.cancelled == [1]

    run(main())


def test_nothing_to_do_is_no_error() -> None:
    report = run(warmup({}))
    assert (report.ok, report.total) == (True, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loaders": ["a"]}, TypeError, "loaders must be a mapping, got list"),
        ({"loaders": {1: sleep}}, TypeError, "names of loaders must be str, got int"),
        ({"loaders": {"a": 1}}, TypeError, "loader 'a' must be callable, got int"),
        ({"progress": 1}, TypeError, "progress must be callable, got int"),
        ({"progress": sleep}, TypeError, "progress must be a plain function, got a coroutine"),
        ({"concurrency": 0}, ValueError, "concurrency must be >= 1, got 0"),
        ({"concurrency": "8"}, TypeError, "concurrency must be an int, got str"),
        ({"timeout": 0}, ValueError, "timeout must be > 0"),
        ({"on_error": "skip"}, ValueError, "on_error must be 'collect' or 'raise', got 'skip'"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(warmup(**({"loaders": {}} | arguments)))


def test_cancelled_at_any_step_it_leaves_nothing_behind() -> None:
    async def program() -> WarmupReport:
        loaders = {str(n): partial(sleep, n) for n in range(4)}
        return await warmup(loaders, concurrency=2, timeout=60)

    ended = [task.cancelled() for _, task in steps_of(program)]
    assert any(ended)
    assert not ended[-1]
