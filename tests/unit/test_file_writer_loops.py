"""File writers: closed by more than one event loop, and files that have two names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.filing import Disk

from penstock import FileWriter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_closing_that_ended_with_its_loop_goes_on_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, held=True)
    writer = FileWriter(window=0)

    async def leave() -> None:
        writer.write(tmp_path / "a", b"1")
        await asyncio.to_thread(disk.wait)  # a thread is at it
        writer.write(tmp_path / "a", b"2")
        closing = asyncio.ensure_future(writer.aclose())
        await asyncio.sleep(0)
        assert not closing.done()

    asyncio.run(leave())  # which cancels what is left of it
    disk.gate.set()
    asyncio.run(writer.aclose())  # type: ignore[arg-type]
    assert disk.contents == [b"1", b"2"]
    assert (tmp_path / "a").read_bytes() == b"2"
    assert writer.stats().pending == writer.stats().failed == 0


def test_file_with_two_names_has_two_windows_and_one_whole_content(tmp_path: Path) -> None:
    target, link = tmp_path / "a", tmp_path / "b"
    link.symlink_to(target)

    async def main() -> None:
        async with FileWriter(window=0) as writer:
            contents = (b"1" * 10_000, b"2" * 20_000)
            for _ in range(20):
                both = zip((link, target), contents, strict=True)
                await asyncio.gather(*[writer.write(*each) for each in both])
                assert target.read_bytes() in contents
            assert writer.stats().written == 40
        assert link.is_symlink()

    asyncio.run(main())
