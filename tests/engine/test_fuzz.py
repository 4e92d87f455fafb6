"""Filters and times: whatever a client sends is taken or refused, in little time."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.filters import Filters
from engine.times import format_time, parse_duration, parse_time
from tests.support.fuzz import effort

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=10,
)
PATTERNS = st.text(alphabet="ab*+?()[]{}|\\^$.,0123-:<>=!P", max_size=40)
LABELS = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=4)


@given(st.text(max_size=60) | JSON.map(json.dumps))
@effort(25)
def test_filters_of_any_text(text: str) -> None:
    try:
        filters = Filters.parse(text)
    except BadRequest:
        return
    for key in filters.keys():
        assert all(isinstance(value, str) for value in filters.values(key))
    assert isinstance(filters.labels({"a": "b"}), bool)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3), max_size=4))
@effort(12)
def test_both_forms_say_the_same(values: dict[str, list[str]]) -> None:
    new = Filters.parse(json.dumps(values))
    old = Filters.parse(
        json.dumps({key: dict.fromkeys(some, True) for key, some in values.items()})
    )
    for key, some in values.items():
        assert new.values(key) == some
        assert set(old.values(key)) == set(some)


@given(PATTERNS, st.text(alphabet="ab", max_size=200))
@effort(37)
def test_no_pattern_takes_long(pattern: str, name: str) -> None:
    filters = Filters({"name": [pattern]})
    began = time.process_time()
    try:
        found = filters.fuzzy("name", name)
    except BadRequest:
        return
    finally:
        assert time.process_time() - began < 0.5
    assert found or not name.startswith(pattern)


@given(LABELS, st.lists(st.text(max_size=6), max_size=3))
@effort(12)
def test_labels_hold_all_or_not(labels: dict[str, str], wanted: list[str]) -> None:
    def holds(one: str) -> bool:
        key, equals, value = one.partition("=")
        return key in labels and (not equals or labels[key] == value)

    assert Filters({"label": wanted}).labels(labels) is all(map(holds, wanted))


@given(st.text(max_size=30) | st.from_regex(r"[0-9:TZ.+\-]{1,30}", fullmatch=True))
@effort(37)
def test_times_of_any_text(text: str) -> None:
    found: list[Any] = []
    for parse in (parse_time, parse_duration):
        try:
            found.append(parse(text))
        except BadRequest:
            continue
    assert all(isinstance(one, int) for one in found)


@given(st.integers(1, 4 * 10**18))
@effort(12)
def test_a_moment_survives_its_text(moment: int) -> None:
    assert parse_time(format_time(moment)) == moment
    seconds, rest = divmod(moment, 10**9)
    assert parse_time(f"{seconds}.{rest:09d}") == moment
