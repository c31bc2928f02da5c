"""`TieredCache.cached` on methods, class methods and static methods."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle

import pytest
from prometheus_client import REGISTRY
from tests.steps import run

from penstock import TieredCache, metrics
from penstock.caching import FunctionStats
from penstock.caching._function_method import TieredMethod

cache = TieredCache(ttl=60)


class Service:
    """Counts its calls."""

    def __init__(self, tenant: str = "t") -> None:
        self.tenant = tenant
        self.calls: list[object] = []

    @cache.cached
    async def load(self, number: int, *, offset: int = 0) -> int:
        """Add."""
        self.calls.append(number)
        return number + offset

    @cache.cached(key=lambda self, number: f"{self.tenant}:{number}", tags=["{self.tenant}"])
    async def of_tenant(self, number: int) -> str:
        self.calls.append(number)
        return f"{self.tenant} {number}"

    @classmethod
    @cache.cached
    async def of_class(cls, number: int) -> tuple[str, int]:
        return cls.__name__, number

    @staticmethod
    @cache.cached
    async def of_nobody(number: int) -> tuple[int]:
        return (number,)

    @cache.cached
    async def odd(this, number: int) -> int:  # noqa: N805  # it may be called what it likes
        return number

    @property
    @cache.cached
    async def summary(self) -> str:
        self.calls.append("summary")
        return "all"

    table = "services"

    @cache.cached(tags=["{self.table}"])
    async def row(self, number: int) -> str:
        return f"{number} of {self.table}"


class Child(Service):
    """Inherits everything."""

    table = "children"

    async def row_above(self, number: int) -> str:
        return await super().row(number)


@pytest.fixture(autouse=True)
def _empty() -> None:
    run(_clear())


async def _clear() -> None:
    await cache.clear()


def test_self_is_no_part_of_the_key() -> None:
    async def main() -> None:
        one, other = Service(), Service()
        assert await one.load(1) == await other.load(1) == await Service.load(one, 1) == 1
        assert (one.calls, other.calls) == ([1], [])
        assert one.load.key(1) == Service.load.key(one, 1)
        assert await one.odd(1) == await other.odd(1) == 1

    run(main())


def test_subclasses_do_not_share_results() -> None:
    async def main() -> None:
        for _ in range(2):
            assert await Service().row(1) == await Service.row(Service(), 1) == "1 of services"
            assert await Child().row(1) == await Service.row(Child(), 1) == "1 of children"
            assert await Child().row_above(1) == "1 of children"

    run(main())


def test_what_is_done_to_a_method_reaches_those_it_is_about() -> None:
    def count() -> int:
        stats = Service.row.stats()
        return stats.runs + stats.bypassed

    async def ask() -> int:
        before = count()
        assert [await Service().row(1), await Child().row(1)] == ["1 of services", "1 of children"]
        return count() - before

    async def main() -> None:
        assert [await ask(), await ask()] == [2, 0]
        for forget, gone in [
            (lambda: Child().row.invalidate(1), 1),
            (lambda: Child.row.invalidate(Child(), 1), 1),
            (lambda: Service.row.invalidate(Service(), 1), 1),
            (Child.row.invalidate_all, 2),
            (Service().row.invalidate_all, 2),
            (lambda: cache.invalidate_tags("children"), 1),
        ]:
            assert await forget()
            assert [await ask(), await ask()] == [gone, 0]
        assert await Child().row.refresh(1) == "1 of children"
        assert await ask() == 0
        Child().row.disable()
        assert not Service.row.enabled
        assert await ask() == 2
        Service.row.enable()
        assert await ask() == 0
        assert Child().row.stats() == Service().row.stats() == Service.row.stats()

    run(main())


def test_key_gets_self_and_so_do_tags() -> None:
    async def main() -> None:
        one, other = Service("a"), Service("b")
        for _ in range(2):
            assert [await one.of_tenant(1), await other.of_tenant(1)] == ["a 1", "b 1"]
        await cache.invalidate_tags("a")
        await one.of_tenant(1)
        await other.of_tenant(1)
        assert (one.calls, other.calls) == ([1, 1], [1])

    run(main())


def test_classes_are_told_apart() -> None:
    async def main() -> None:
        for _ in range(2):
            assert await Service.of_class(1) == ("Service", 1)
            assert await Child.of_class(1) == ("Child", 1)
            assert await Service.of_nobody(1) == await Child().of_nobody(1) == (1,)

    run(main())


def test_properties_can_be_cached() -> None:
    async def main() -> None:
        service = Service()
        assert [await service.summary, await service.summary] == ["all", "all"]
        assert service.calls == ["summary"]

    run(main())


def test_methods_are_invalidated_and_refreshed() -> None:
    async def main() -> None:
        service = Service()
        await service.load(1)
        assert await service.load.invalidate(1)
        await service.load(1)
        await service.load.refresh(1)
        await service.load.invalidate_all()
        await service.load(1)
        assert service.calls == [1, 1, 1, 1]

    run(main())


def test_bound_methods_look_like_methods() -> None:
    one, other = Service(), Service()
    assert one.load.__self__ is one
    assert one.load.__func__ is Service.load is Service.__dict__["load"]
    assert one.load.__name__ == "load"
    assert list(inspect.signature(Service.load).parameters) == ["self", "number", "offset"]
    assert asyncio.iscoroutinefunction(one.load)
    assert one.load == one.load
    assert hash(one.load) == hash(one.load)
    assert one.load != other.load
    assert one.load != Service.load
    assert "Service.load" in repr(one.load)
    assert isinstance(one.load.stats(), FunctionStats)


def test_another_name_of_a_function_changes_nothing() -> None:
    @cache.cached(prefix="alias")
    async def double(number: int) -> int:
        return 2 * number

    class Other:
        source = double

    class Named:
        @cache.cached(prefix="named")
        async def load(this, number: int) -> int:  # noqa: N805
            return number

        alias = load

    async def main() -> None:
        assert [await double(1), await double(2), await Other.source(3)] == [2, 4, 6]
        with pytest.raises(TypeError):
            await Other().source(3)  # type: ignore[call-arg, misc]
        assert [await Named().load(1), await Named().alias(2)] == [1, 2]
        assert Named().load.key(1) == Named().alias.key(1)  # whatever the object

    run(main())


def test_bound_methods_can_be_copied() -> None:
    one = Service()
    assert copy.copy(one.load) == one.load
    other = copy.deepcopy(one.load)
    assert other.__self__ is not one
    assert other.__func__ is Service.load
    assert pickle.loads(pickle.dumps(one.load)).__func__ is Service.load
    assert list(inspect.signature(one.load).parameters) == ["number", "offset"]
    with pytest.raises(AttributeError):
        TieredMethod.__new__(TieredMethod).stats


def test_functions_of_a_cache_with_a_name_are_among_the_metrics() -> None:
    named = TieredCache(ttl=60, name="tools")

    @named.cached(prefix="search")
    async def search(text: str) -> str:
        return text

    async def main() -> None:
        for _ in range(3):
            await search("a")

    run(main())
    metrics.track(Service().load, "loads")  # by hand
    for figure, value in [("calls_total", 3), ("hits_total", 2), ("misses_total", 1)]:
        sample = f"penstock_cached_function_{figure}"
        assert REGISTRY.get_sample_value(sample, {"name": "search"}) == value
    assert REGISTRY.get_sample_value("penstock_cached_function_calls_total", {"name": "loads"})
