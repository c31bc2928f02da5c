"""Errors that callers tell apart; everything else is a builtin."""

from __future__ import annotations

__all__ = ["PenstockError", "RecursiveLoad"]


class PenstockError(Exception):
    """
    The base of every error of penstock's own.
    """


class RecursiveLoad(PenstockError, RuntimeError):
    """
    A load asks, directly or through others, for the value that it is loading.
    """
