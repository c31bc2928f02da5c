"""Work in a forked child."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from tests.threads import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_child"]


def in_child(work: Callable[[], object]) -> bool:
    """Run *work* in a forked child; whether it ended well, and in time."""
    child = os.fork()
    if not child:
        signal.alarm(int(LIMIT))
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            sys.stderr.write(f"in the child: {error!r}\n")
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
