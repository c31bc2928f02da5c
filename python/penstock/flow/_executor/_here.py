"""Which worker the running thread is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.flow._executor._worker import Worker

__all__ = ["here"]


class _Here(threading.local):
    worker: Worker | None = None


here = _Here()
