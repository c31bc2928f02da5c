"""A file that is being read in a thread, and who may wait for it instead of reading it again."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Generic, TypeVar

from penstock.files._reading import is_settled

if TYPE_CHECKING:
    from concurrent.futures import Future

    from penstock.files._reading import Reading, Signature

__all__ = ["Flight"]

T = TypeVar("T")


class Flight(Generic[T]):
    """
    One load.

    Args:
        signature: That of the file when it was asked for.
    """

    __slots__ = ("_is_settled", "_signature", "begun", "job")

    job: Future[Reading[T]]

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._is_settled = is_settled(signature[0], time_ns())
        #: Whether it has begun to read.
        self.begun = False

    def serves(self, signature: Signature) -> bool:
        """Tell whether what it reads is as new as the file that now has this signature."""
        return not self.begun or (self._is_settled and signature == self._signature)
