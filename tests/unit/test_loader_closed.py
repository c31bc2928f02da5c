"""`Loader`: odd errors, and a closing that was cancelled."""

from __future__ import annotations

import asyncio

from tests.keyed import HeldSource
from tests.loading import settle
from tests.steps import run

from penstock import BatchCancelled, ClosedError, Loader


def test_error_that_cannot_be_changed_reaches_all() -> None:
    class Fixed(Exception):
        __cause__ = property(lambda self: None)  # type: ignore[assignment]

    async def fail(keys: list[int]) -> list[int]:
        raise Fixed

    async def main() -> None:
        loader = Loader(fail)
        found = await asyncio.gather(*map(loader.load, range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [Fixed] * 3
        await loader.aclose()

    run(main())


def test_closing_that_was_cancelled_is_begun_anew() -> None:
    async def main() -> None:
        loader = Loader(HeldSource())
        future = loader.load(1)
        await settle()
        first = asyncio.create_task(loader.aclose())
        await settle()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:  # type: ignore[operator]
            task.cancel()
        await asyncio.wait([first])
        await settle()
        await loader.aclose()
        assert isinstance(future.exception(), ClosedError | BatchCancelled)
        assert first.cancelled()

    run(main())
