"""Who has a connection that does not come back."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.pools._pool_link import Link

__all__ = ["here", "report"]

logger = logging.getLogger("penstock.pools")

#: How many calls of a stack are kept.
_DEPTH = 16


def here() -> traceback.StackSummary:
    """Return the stack, without that of the pool; the source is read when it is shown."""
    frames = traceback.walk_stack(sys._getframe(1))
    outside = ((frame, line) for frame, line in frames if not _is_ours(frame.f_code.co_filename))
    stack = traceback.StackSummary.extract(outside, limit=_DEPTH, lookup_lines=False)
    stack.reverse()
    return stack


def _is_ours(path: str) -> bool:
    return "_pool_" in path and path.startswith(_HERE)


_HERE = __file__.rpartition("_pool_")[0]


def report(link: Link[Any], seconds: float) -> None:
    """Say who has it."""
    link.is_told = True
    where = "" if link.stack is None else "".join(link.stack.format())
    logger.warning("a connection is in use for %.3g s; it was acquired at\n%s", seconds, where)
