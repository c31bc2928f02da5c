"""Old records, and their way into the table ``events``."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from tests.recording import recorder

from penstock.recording import import_json

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.recording import ImportReport

__all__ = ["bring", "lines", "record", "row"]


def bring(
    path: Path, *sources: Path, options: dict[str, object] | None = None, **more: object
) -> ImportReport:
    """Import files into a new recorder of the table ``events``."""

    async def main() -> ImportReport:
        async with recorder(path, **(options or {})) as events:
            return await import_json(sources, events, **more)  # type: ignore[arg-type]

    return asyncio.run(main())


def record(number: int, **more: object) -> dict[str, object]:
    return {"ts": number + 0.5, "path": f"/{number}", "status": number, **more}


def row(number: int) -> tuple[object, ...]:
    return (number + 0.5, f"/{number}", number)


def lines(*values: object) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)
