"""The crew of the checker of tiers: who dies or hangs is noticed, and says why."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from tests.stress import tiers_crew
from tests.stress.tiers_crew import Arrangement, hired


def arrangement(**options: object) -> Arrangement:
    return Arrangement(redis=False, sqlite=True, options=options)


def test_who_cannot_begin_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        async with hired(arrangement(ttl="long"), tmp_path, 1, size=1):
            pass

    with pytest.raises(AssertionError, match=r"(?s)ended with 1:.*Traceback.*TypeError: ttl"):
        asyncio.run(main())


def test_who_fails_at_work_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        async with hired(arrangement(ttl=60.0), tmp_path, 1, size=1) as crew:
            await crew.tell("go nowhere")

    with pytest.raises(AssertionError, match=r"(?s)ended with 1:.*Traceback.*ValueError.*nowhere"):
        asyncio.run(main())


def test_who_hangs_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with hired(arrangement(ttl=60.0), tmp_path, 1, size=1) as crew:
            monkeypatch.setattr(tiers_crew, "_LIMIT", 0.1)
            monkeypatch.setattr(tiers_crew, "_GRACE", 0.5)
            # It does nothing before it is told something.
            (member,) = crew._members
            await member.hear("done")

    with pytest.raises(AssertionError, match=rf"(?s)ended with -{signal.SIGABRT.value}:.*select"):
        asyncio.run(main())
