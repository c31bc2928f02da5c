"""Whose words about dask are dropped while a connection is closed, and whose are not."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from tests.threads import spawn

from penstock.flow._executor._cluster_logs import quiet

LOGGERS = ["distributed", "distributed.made_up.for_tests", "tornado.made_up_for_tests"]


@pytest.mark.parametrize("name", LOGGERS)
def test_only_this_thread_is_quiet(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(name)
    # Those of dask do not propagate, once it is imported, and those of tornado say little.
    logger.addHandler(caplog.handler)
    try:
        with quiet():
            logger.critical("from here")
            spawn(lambda: logger.critical("from there")).result()
        logger.critical("afterwards")
    finally:
        logger.removeHandler(caplog.handler)
    assert list(dict.fromkeys(caplog.messages)) == ["from there", "afterwards"]


def test_others_are_never_quiet(caplog: pytest.LogCaptureFixture) -> None:
    with quiet():
        logging.getLogger("distributed_systems").error("something else")
    assert caplog.messages == ["something else"]


def test_nothing_is_left_on_the_loggers() -> None:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [list(logger.filters) for logger in loggers]
    with suppress(LookupError), quiet():
        assert all(logger.filters for logger in loggers)
        raise LookupError
    assert [list(logger.filters) for logger in loggers] == before
