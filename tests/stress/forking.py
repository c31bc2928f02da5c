"""Code run in a fork of this process, which cannot outlive its limit."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_in_fork"]

#: Seconds after which a fork counts as hanging.
_LIMIT = 10


def check_in_fork(call: Callable[[], object]) -> None:
    """Run *call* in a fork and assert that it neither raised nor hung."""
    with warnings.catch_warnings():
        # From 3.12 on Python warns of what is the subject here: a fork while there are threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            # The kernel ends whatever hangs.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_LIMIT)
            call()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code != -signal.SIGALRM, "the fork hangs"
    assert code == 0, f"the fork ended with {code}"
