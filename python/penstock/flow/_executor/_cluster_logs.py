"""Keeping dask quiet while we close what it would complain about."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]

_NOISY = ("distributed", "tornado")


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what dask logs in this thread; other threads, with clients of the user's, log on."""
    here = get_ident()

    def is_of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != here

    # A filter of a logger is not asked about records of the loggers below it.
    names = [name for name in list(logging.root.manager.loggerDict) if _is_noisy(name)]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_of_another_thread)


def _is_noisy(name: str) -> bool:
    return name.partition(".")[0] in _NOISY
