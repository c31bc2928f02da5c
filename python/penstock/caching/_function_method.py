"""A cached coroutine function as the method of an object."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from penstock.caching._function_options import signature_of

if TYPE_CHECKING:
    import inspect
    from collections.abc import Awaitable, Coroutine

    from penstock.caching._function import TieredFunction

__all__ = ["TieredMethod"]

P = ParamSpec("P")
R = TypeVar("R")


class TieredMethod(Generic[P, R]):
    """
    A cached coroutine function that is called with one object as its first argument.
    """

    __slots__ = ("__self__", "__weakref__", "_function")

    __self__: object

    def __init__(self, function: TieredFunction[..., R], instance: object, /) -> None:
        self._function: Any = function  # a descriptor, to type checkers
        self.__self__ = instance

    @property
    def __func__(self) -> TieredFunction[..., R]:
        """
        The function, without its first argument.
        """
        return cast("TieredFunction[..., R]", self._function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return cast("Coroutine[Any, Any, R]", self._function(self.__self__, *args, **kwargs))

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """
        Return the key under which the result of this call is kept.
        """
        return cast("str", self._function.key(self.__self__, *args, **kwargs))

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """
        Run the method now, keep what it returns, and return that.
        """
        answer = self._function.refresh(self.__self__, *args, **kwargs)
        return cast("Coroutine[Any, Any, R]", answer)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[bool]:
        """
        Forget the result of this call in all tiers.
        """
        return cast("Awaitable[bool]", self._function.invalidate(self.__self__, *args, **kwargs))

    @property
    def __signature__(self) -> inspect.Signature:
        return signature_of(self._function, skip=1)

    def __reduce__(self) -> tuple[Any, ...]:
        # As a bound method is: by its object, and its name there.
        return getattr, (self.__self__, self._function.__name__)

    def __deepcopy__(self, memo: dict[int, Any]) -> TieredMethod[P, R]:
        return TieredMethod(self._function, deepcopy(self.__self__, memo))

    def __getattr__(self, name: str) -> Any:
        if name in TieredMethod.__slots__:  # it is being made
            raise AttributeError(name)
        # Everything else is the function's: statistics, enable(), invalidate_all(), its name ...
        return getattr(self._function, name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not TieredMethod:
            return NotImplemented
        return self.__self__ is other.__self__ and self._function is other._function

    def __hash__(self) -> int:
        return hash((id(self.__self__), id(self._function)))

    def __repr__(self) -> str:
        return f"<bound {self._function!r} of {self.__self__!r}>"
