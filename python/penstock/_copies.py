"""Errors that several are told of: on one and the same, a traceback would have all their frames."""

from __future__ import annotations

from copy import copy

__all__ = ["copied"]


def copied(error: BaseException, *, chained: bool = False) -> BaseException:
    """
    Return another one of the same type, arguments and notes; or the same, where that fails.

    Args:
        error: Any.
        chained: Whether the copy comes from the error, and not from what that comes from.
    """
    try:
        other: object = copy(error)
        if type(other) is not type(error) or other is error:
            return error
        assert isinstance(other, BaseException)
        # A constructor may have made something else of them.
        other.args = error.args
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, list):
            other.__notes__ = notes.copy()
        other.__traceback__ = error.__traceback__
        other.__cause__ = error if chained else error.__cause__
    except Exception:  # it wants arguments of its own, or lets nobody change it
        return error
    return other
