"""Dataclasses completed at their first instance."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from engine import values
from engine.values import dataclass, field


def test_an_instance_is_a_dataclass_in_every_way() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int
        y: int = 2
        names: list[str] = field(default_factory=list)

        def __post_init__(self) -> None:
            self.names.append("made")

    point = Point(1, names=["a"])
    assert point == Point(1, 2, ["a"])
    assert point != Point(2)
    assert repr(point).endswith("Point(x=1, y=2, names=['a', 'made'])")
    assert values.replace(point, x=5).x == 5
    assert [each.name for each in dataclasses.fields(point)] == ["x", "y", "names"]
    assert Point.__match_args__ == ("x", "y", "names")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(point, "x", 3)  # noqa: B010 - mypy would refuse the plain form
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]


def test_fields_of_bases_come_first() -> None:
    @dataclass
    class Base:
        a: int

    @dataclass
    class Derived(Base):
        b: int

    class Plain(Derived):
        def __init__(self) -> None:
            super().__init__(1, 2)

    assert (Plain().a, Plain().b) == (1, 2)
    assert Derived(3, b=4) == Derived(3, 4)
    assert Base(1) == Base(1)


def test_frozen_values_can_be_keys() -> None:
    @dataclass(frozen=True)
    class Key:
        name: str

    assert {Key("a"): 1}[Key("a")] == 1


def test_threads_that_make_the_first_instance_at_once() -> None:
    for _ in range(20):

        @dataclass(frozen=True)
        class Value:
            a: int
            b: int

        found: list[Value] = []
        start = threading.Barrier(4)

        def make(start: threading.Barrier = start, found: list[Value] = found) -> None:
            start.wait(5)
            found.append(Value(1, b=2))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [Value(1, 2)] * 4


def test_all_that_wait_can_be_completed() -> None:
    @dataclass
    class Waiting:
        a: int

    values.complete_all()
    assert [each.name for each in dataclasses.fields(Waiting)] == ["a"]
    assert Waiting(1).a == 1
