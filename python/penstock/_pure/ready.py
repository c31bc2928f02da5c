"""An awaitable that has its result already."""

from types import TracebackType
from typing import Generic, NoReturn, TypeVar, final

__all__ = ["Ready"]

T_co = TypeVar("T_co", covariant=True)


@final
class Ready(Generic[T_co]):
    """
    An awaitable that is already done: awaiting it returns *value* at once.

    Args:
        value: What awaiting it gives.
    """

    __module__ = "penstock"
    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: T_co, /) -> None:
        #: The value until it is used, then nothing: it may be the last reference.
        self._value: tuple[T_co] | None = (value,)

    def __await__(self) -> "Ready[T_co]":
        return self

    def __next__(self) -> NoReturn:
        raise StopIteration(self._spend())

    def send(self, value: object, /) -> NoReturn:
        """
        Raise StopIteration with the value.

        Args:
            value: Ignored.

        Raises:
            StopIteration: Always, with the result as its value.
            RuntimeError: It has been awaited, closed or thrown into before.
        """
        raise StopIteration(self._spend())

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: object = None,
        tb: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """
        Drop the value and raise the error.

        Args:
            typ: An exception, or its class.
            val: With a class: the exception, its argument or the tuple of its arguments.
            tb: Its traceback.

        Raises:
            RuntimeError: It has been awaited, closed or thrown into before.
        """
        error = _exception(typ, val)
        if tb is not None:
            if not isinstance(tb, TracebackType):
                raise TypeError("throw() third argument must be a traceback object")
            error = error.with_traceback(tb)
        self._spend()
        raise error

    def close(self) -> None:
        """
        Drop the value.
        """
        self._value = None

    def _spend(self) -> T_co:
        if self._value is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        (value,) = self._value
        self._value = None
        return value


def _exception(typ: object, val: object) -> BaseException:
    """Make the exception that the arguments of throw() describe."""
    if isinstance(typ, BaseException):
        if val is not None:
            raise TypeError("instance exception may not have a separate value")
        return typ
    if not (isinstance(typ, type) and issubclass(typ, BaseException)):
        name = type(typ).__name__
        raise TypeError(
            f"exceptions must be classes or instances deriving from BaseException, not {name}"
        )
    if isinstance(val, typ):
        return val
    if val is None:
        return typ()
    return typ(*val) if isinstance(val, tuple) else typ(val)
