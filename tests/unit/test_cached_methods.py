"""`cached` on methods, class methods and static methods."""

from __future__ import annotations

import asyncio
import functools

import pytest

from penstock import cached


class Service:
    """Counts its calls."""

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor
        self.calls: list[object] = []

    @cached
    def times(self, number: int, *, offset: int = 0) -> int:
        """Multiply."""
        self.calls.append(number)
        return self.factor * number + offset

    @cached
    async def times_later(self, number: int, *, offset: int = 0) -> int:
        """Multiply, later."""
        await asyncio.sleep(0)
        self.calls.append(number)
        return self.factor * number + offset

    @classmethod
    @cached
    def of_class(cls, number: int) -> tuple[str, int, object]:
        return cls.__name__, number, object()

    @staticmethod
    @cached
    def of_nobody(number: int) -> tuple[int, object]:
        return number, object()

    @classmethod
    @cached
    async def of_class_later(cls, number: int) -> tuple[str, int]:
        return cls.__name__, number

    @staticmethod
    @cached
    async def of_nobody_later(number: int) -> int:
        return number

    @property
    @cached
    def summary(self) -> object:
        return object()


class Child(Service):
    """Inherits everything."""


@pytest.fixture(autouse=True)
def _empty() -> None:
    for method in (Service.times, Service.times_later, Service.of_class, Service.of_nobody):
        method.cache_clear()


def test_result_belongs_to_the_instance() -> None:
    two, three = Service(2), Service(3)
    assert [two.times(5), three.times(5), two.times(5), three.times(5)] == [10, 15, 10, 15]
    assert two.calls == three.calls == [5]
    assert Service.times.cache_info() == (2, 2, 1024, 2)


def test_call_through_the_class_is_the_same_call() -> None:
    service = Service()
    assert service.times(5, offset=1) == Service.times(service, 5, offset=1) == 11
    assert service.calls == [5]


def test_bound_method_can_be_kept_and_called_later() -> None:
    service = Service()
    times = service.times
    assert [times(1), times(1), service.times(1)] == [2, 2, 2]
    assert list(map(times, range(3))) == [0, 2, 4]
    assert functools.partial(times, 1, offset=3)() == 5
    assert service.calls == [1, 0, 2, 1]


def test_bound_method_knows_its_instance_and_function() -> None:
    service = Service()
    assert service.times.__self__ is service
    assert service.times.__func__ is Service.times
    assert Service.times is Service.__dict__["times"]


def test_bound_methods_compare_as_bound_methods_do() -> None:
    one, other = Service(), Service()
    assert one.times == one.times
    assert not one.times != one.times
    assert one.times != other.times
    assert one.times != one.times_later
    assert one.times != Service.times
    assert one.times != 1
    assert hash(one.times) == hash(one.times)
    assert len({one.times, one.times, other.times}) == 2


def test_bound_methods_of_equal_instances_differ() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

        @cached
        def method(self) -> None: ...

    assert Equal().method != Equal().method  # as for every bound method


def test_bound_invalidate_forgets_the_result_of_this_instance_only() -> None:
    two, three = Service(2), Service(3)
    for service in (two, three):
        service.times(5, offset=1)
    assert two.times.invalidate(5, offset=1) is True
    assert two.times.invalidate(5, offset=1) is False
    two.times(5, offset=1)
    three.times(5, offset=1)
    assert [two.calls, three.calls] == [[5, 5], [5]]


def test_bound_refresh_loads_again() -> None:
    service = Service()
    assert service.times(5) == 10
    service.factor = 3
    assert service.times(5) == 10
    assert service.times.refresh(5) == 15
    assert service.times(5) == 15
    assert service.calls == [5, 5]


def test_bound_method_forwards_what_a_cached_function_has() -> None:
    service = Service()
    service.times(5)
    assert service.times.cache_info() == (0, 1, 1024, 1)
    assert service.times.cache_parameters() == {"maxsize": 1024, "typed": False}
    assert service.times.cache is Service.times.cache
    assert service.times.stats() == Service.times.stats()
    assert service.times.make_key(5) == Service.times.make_key(service, 5)
    service.times.cache_clear()
    assert Service.times.cache_info() == (0, 0, 1024, 0)
    with pytest.raises(AttributeError):
        service.times.nonsense


def test_wrapped_of_a_bound_method_is_the_bound_original() -> None:
    service = Service()
    assert service.times.__wrapped__(5) == 10
    assert service.times.__wrapped__(5) == 10
    assert service.calls == [5, 5]
    assert Service.times.__wrapped__(service, 5) == 10
    assert service.times.__wrapped__.__self__ is service


def test_class_method_is_cached_for_each_class() -> None:
    assert Service.of_class(1) is Service.of_class(1)
    assert Service.of_class(1) is Service().of_class(1)
    assert Service.of_class(1)[:2] == ("Service", 1)
    assert Child.of_class(1)[:2] == ("Child", 1)
    invalidate = Child.of_class.__func__.invalidate  # from CPython 3.13 on that of Child.of_class
    assert invalidate(Child, 1) is True
    assert invalidate(Child, 1) is False
    assert Service.of_class.cache_info().currsize == 1


def test_static_method_is_cached_for_all() -> None:
    assert Service.of_nobody(1) is Service().of_nobody(1) is Child.of_nobody(1)
    assert Service.of_nobody.invalidate(1) is True
    assert Service.of_nobody.cache_info().currsize == 0


def test_property_is_cached_for_each_instance() -> None:
    one, other = Service(), Service()
    assert one.summary is one.summary
    assert one.summary is not other.summary


def test_inherited_and_overridden_methods() -> None:
    class Loud(Service):
        @cached
        def times(self, number: int, *, offset: int = 0) -> int:
            return 100 * super().times(number, offset=offset)

    loud = Loud()
    assert [loud.times(1), loud.times(1)] == [200, 200]
    assert loud.calls == [1]
    child = Child(7)
    assert [child.times(1), child.times(1)] == [7, 7]
    assert child.calls == [1]


def test_method_assigned_after_the_class_is_bound() -> None:
    class Late:
        value = 3

    Late.method = cached(lambda self, number: self.value * number)
    assert [Late().method(2), Late().method(3)] == [6, 9]


def test_cached_function_on_an_instance_is_not_bound() -> None:
    service = Service()
    service.echo = cached(lambda *args: args)
    assert service.echo(1) == (1,)


def test_bound_cached_method_on_another_class_is_not_bound_again() -> None:
    service = Service()

    class Other:
        times = service.times

    assert Other().times(5) == 10
    assert Other.times(5) == 10


def test_awaited_method() -> None:
    async def main() -> None:
        two, three = Service(2), Service(3)
        results = await asyncio.gather(*[s.times_later(5) for s in (two, three, two, three)])
        assert results == [10, 15, 10, 15]
        assert two.calls == three.calls == [5]
        assert await two.times_later(5) == 10
        assert await Service.times_later(two, 5) == 10
        two.factor = 4
        assert await two.times_later.refresh(5) == 20
        assert await two.times_later(5) == 20
        assert two.times_later.invalidate(5) is True
        assert await two.times_later(5, offset=1) == 21
        assert await two.times_later.__wrapped__(5) == 20

    asyncio.run(main())


def test_awaited_class_and_static_methods() -> None:
    async def main() -> None:
        assert await Service.of_class_later(1) == await Service().of_class_later(1)
        assert await Child.of_class_later(1) == ("Child", 1)
        assert await Service.of_nobody_later(1) == await Service().of_nobody_later(1) == 1
        assert Service.of_class_later.cache_info() == (1, 2, 1024, 2)

    asyncio.run(main())


def test_get_takes_the_arguments_of_every_descriptor() -> None:
    service = Service()
    memo = Service.__dict__["times"]
    assert memo.__get__(service)(5) == memo.__get__(service, Service)(5) == 10
    assert memo.__get__(None, Service) is memo


def test_method_of_an_unhashable_instance_is_a_type_error() -> None:
    class Unhashable:
        __hash__ = None

        @cached
        def method(self) -> None: ...

        @cached(key=lambda self: id(self))  # noqa: PLW0108
        def method_with_key(self) -> str:
            return "value"

    with pytest.raises(TypeError, match="unhashable type: 'Unhashable'"):
        Unhashable().method()
    assert Unhashable().method_with_key() == "value"
