"""What a `Limiter` is made of, and what it is not."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from penstock._backend import Ready
from penstock.flow._gradient import gradient
from penstock.flow._limiter import Limiter
from penstock.flow._policies import Fixed, Window, aimd, fixed


class Own:
    """A policy of somebody's own."""

    initial = 5
    max_limit = 9
    window: Any = (0.5, 3)

    def update(self, window: Window, limit: int) -> int:
        return limit


class Slotted(Own):
    """One that cannot be referred to weakly."""

    __slots__ = ()


def test_number_is_a_fixed_limit() -> None:
    limiter = Limiter(4)
    assert (limiter.limit, limiter.available, limiter.in_use, limiter.waiting) == (4, 4, 0, 0)
    assert isinstance(limiter.policy, Fixed)
    assert Limiter.fixed(4, name=None).limit == Limiter(fixed(4)).limit == 4


@pytest.mark.parametrize(
    ("limit", "error", "message"),
    [
        (0, ValueError, "limit must be >= 1, got 0"),
        (-3, ValueError, "limit must be >= 1, got -3"),
        (2**63, ValueError, f"limit must be <= {2**63 - 1}, got {2**63}"),
        (True, TypeError, "limit must be an int, got bool"),
        ("3", TypeError, "limit must be an int or a policy, got str"),
        (2.5, TypeError, "limit must be an int or a policy, got float"),
        (float("nan"), TypeError, "limit must be an int or a policy, got float"),
        (None, TypeError, "limit must be an int or a policy, got NoneType"),
        (Own, TypeError, "limit must be an int or a policy, got type"),
        ({}, TypeError, "limit must be an int or a policy, got dict"),
    ],
)
def test_limit_that_is_none_is_refused(limit: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        Limiter(limit)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": "random"}, ValueError, "order must be 'fifo', 'lifo' or 'priority', got 'rand"),
        ({"order": None}, ValueError, "order must be 'fifo', 'lifo' or 'priority', got None"),
        ({"order": []}, ValueError, r"order must be 'fifo', 'lifo' or 'priority', got \[\]"),
        ({"max_waiting": -1}, ValueError, "max_waiting must be >= 0, got -1"),
        ({"max_waiting": 1.5}, TypeError, "max_waiting must be an int, got float"),
        ({"max_waiting": True}, TypeError, "max_waiting must be an int, got bool"),
        ({"dropped": "TimeoutError"}, TypeError, "dropped must be exception types, got str"),
        ({"dropped": int}, TypeError, "dropped must be exception types, got int"),
        ({"dropped": (OSError, 3)}, TypeError, "dropped must be exception types, got int"),
        ({"dropped": [OSError]}, TypeError, "dropped must be exception types, got list"),
        ({"timer": 3}, TypeError, "timer must be callable, got int"),
        ({"name": 3}, TypeError, "name must be a str, got int"),
        ({"weight": 3}, TypeError, "weight"),
    ],
)
def test_option_that_is_none_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Limiter(3, **options)


def test_own_policy_sets_the_limit() -> None:
    policy = Own()
    limiter = Limiter(policy)
    assert limiter.limit == 5
    assert limiter.policy is policy


@pytest.mark.parametrize(
    ("attribute", "value", "error", "message"),
    [
        ("initial", 0, ValueError, "initial of the policy must be >= 1, got 0"),
        ("initial", 10, ValueError, "initial of the policy must be <= 9, got 10"),
        ("initial", "5", TypeError, "initial of the policy must be an int, got str"),
        ("max_limit", 0, ValueError, "max_limit of the policy must be >= 1, got 0"),
        ("max_limit", 9.0, TypeError, "max_limit of the policy must be an int, got float"),
        ("window", (-1, 3), ValueError, "interval of the policy must be >= 0, got -1"),
        ("window", ("1", 3), TypeError, "interval of the policy must be a number, got str"),
        ("window", (1, 0), ValueError, "samples of the policy must be >= 1, got 0"),
        ("window", (1, 3.0), TypeError, "samples of the policy must be an int, got float"),
        ("window", (float("inf"), 3), ValueError, "interval of the policy must be finite"),
    ],
)
def test_policy_that_is_none_is_refused(
    attribute: str, value: object, error: type[Exception], message: str
) -> None:
    policy = Own()
    setattr(policy, attribute, value)
    with pytest.raises(error, match=f"^{message}"):
        Limiter(policy)


@pytest.mark.parametrize("policy", [fixed(3), aimd(1.0), gradient(), Own(), Slotted()])
def test_policy_serves_one_limiter(policy: Any) -> None:
    limiter = Limiter(policy)
    with pytest.raises(ValueError, match=r"already serves another limiter, make another$"):
        Limiter(policy)
    assert limiter.try_acquire()


def test_policy_that_was_refused_serves_another_limiter() -> None:
    policy = fixed(3)
    with pytest.raises(ValueError, match="max_waiting"):
        Limiter(policy, max_waiting=-1)
    assert Limiter(policy).limit == 3


def test_policy_is_told_its_limiter() -> None:
    bound = []

    class Bound(Own):
        def bind(self, limiter: Limiter) -> None:
            bound.append((limiter, limiter.limit, limiter.name))
            limiter._resize_to(2)

    limiter = Limiter(Bound(), name="bound")
    assert bound == [(limiter, 5, "bound")]
    assert limiter.limit == 2


def test_limiter_of_a_policy_that_cannot_be_bound_does_not_come_to_be() -> None:
    class Failing(Own):
        def bind(self, limiter: Limiter) -> None:
            raise LookupError("no")

    policy = Failing()
    with pytest.raises(LookupError):
        Limiter(policy)
    gc.collect()
    with pytest.raises(LookupError):
        Limiter(policy)


def test_limiter_is_freed_with_its_policy() -> None:
    limiter = Limiter(Own())
    policy = weakref.ref(limiter.policy)
    watched = weakref.ref(limiter)
    del limiter
    gc.collect()
    assert watched() is None
    assert policy() is None


def test_class_methods_make_what_the_functions_make() -> None:
    limiter = Limiter.aimd(0.25, initial=4, min_limit=2, max_limit=8, name="a")
    assert (limiter.limit, limiter.name) == (4, "a")
    assert repr(limiter.policy) == "aimd(0.25, min_limit=2, max_limit=8)"
    limiter = Limiter.gradient(initial=4, min_limit=2, max_limit=8, order="lifo")
    assert (limiter.limit, limiter.order) == (4, "lifo")
    assert repr(limiter.policy) == "gradient(min_limit=2, max_limit=8)"
    limiter = Limiter.resources(max_limit=30, min_limit=5, max_waiting=3)
    assert (limiter.limit, limiter.max_waiting) == (30, 3)
    assert repr(limiter.policy) == "resources(max_limit=30, min_limit=5)"


def test_defaults_of_the_class_methods_are_those_of_the_functions() -> None:
    import inspect

    from penstock.flow._resource_policy import resources

    for function in (fixed, aimd, gradient, resources):
        method = getattr(Limiter, function.__name__)
        of_function = inspect.signature(function).parameters
        of_method = dict(inspect.signature(method).parameters)
        del of_method["options"]
        assert {name: one.default for name, one in of_function.items()} == {
            name: one.default for name, one in of_method.items()
        }


def test_limiter_that_was_not_initialised_harms_nobody() -> None:
    limiter = Limiter.__new__(Limiter)
    assert not limiter.try_acquire()
    assert (limiter.limit, limiter.in_use, limiter.waiting) == (0, 0, 0)


def test_limiter_is_subclassed() -> None:
    class Doubled(Limiter):
        def __init__(self, limit: int) -> None:
            super().__init__(limit * 2)

    limiter = Doubled(2)
    assert limiter.limit == 4
    assert isinstance(limiter.acquire(), Ready)
