"""What errors say about the retries before them."""

from __future__ import annotations

from contextlib import suppress

__all__ = ["leave_note", "note_earlier"]


def leave_note(
    error: BaseException, name: str, attempts: int, elapsed: float, reason: str | None
) -> None:
    """
    Note on *error* how many attempts there were and why there is no other.

    An error that is raised again and again, by mocks or from a cache, gets one note, not one of
    each call.
    """
    start = f"retry of {name}: gave up after" if name else "retry: gave up after"
    note = f"{start} {attempts} attempt{'s' if attempts > 1 else ''}"
    if attempts > 1:
        note += f", {round(elapsed, 3):g} s after the first one failed"
    if reason is not None:
        note += f": {reason}"
    # Some exceptions cannot be changed: then they say nothing.
    with suppress(Exception):
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [
                one for one in notes if not (isinstance(one, str) and one.startswith(start))
            ]
        error.add_note(note)


def note_earlier(error: BaseException, attempt: int, earlier: BaseException) -> None:
    """Note on *error*, which cut an attempt off, what the attempt before it failed with."""
    with suppress(Exception):
        error.add_note(f"retry: attempt {attempt} failed with {earlier!r}")
