"""Filters: both JSON forms, and the ways a value matches."""

import pytest

from engine.errors import BadRequest
from engine.filters import Filters


@pytest.mark.parametrize("text", ['{"a": ["x", "y"]}', '{"a": {"x": true, "y": true, "z": false}}'])
def test_both_forms(text):
    assert sorted(Filters.parse(text).values("a")) == ["x", "y"]


@pytest.mark.parametrize("text", ["", "null", "{}", '{"a": []}'])
def test_nothing_filters_nothing(text):
    filters = Filters.parse(text)
    assert not filters
    assert filters.matches("a", "x")
    assert filters.fuzzy("a", "x")
    assert filters.labels({})


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"a": 1}', '{"a": [1]}', "[" * 100_000])
def test_malformed(text):
    with pytest.raises(BadRequest, match="invalid filter"):
        Filters.parse(text)


def test_unknown_key():
    with pytest.raises(BadRequest, match="^invalid filter 'x'$"):
        Filters({"x": ["1"]}).check({"a"})
    Filters({"a": ["1"]}).check({"a"})


def test_labels():
    labels = {"a": "1", "b": ""}
    assert Filters({"label": ["a", "b"]}).labels(labels)
    assert Filters({"label": ["a=1"]}).labels(labels)
    assert not Filters({"label": ["a=2"]}).labels(labels)
    assert not Filters({"label": ["a", "c"]}).labels(labels)
    assert not Filters({"label!": ["a"]}).labels(labels)
    assert Filters({"label!": ["a=2"]}).labels(labels)


def test_fuzzy_takes_prefixes_and_patterns():
    filters = Filters({"name": ["we", "^db$", "("]})
    assert [filters.fuzzy("name", name) for name in ("web", "db", "db2", "(x", "owe")] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert not filters.matches("name", "web")


def test_booleans():
    assert Filters({"d": ["true"]}).boolean("d")
    assert not Filters({"d": ["0"]}).boolean("d", default=True)
    assert Filters().boolean("d", default=True)
    for words in (["x"], ["true", "false"]):
        with pytest.raises(BadRequest, match="invalid filter 'd="):
            Filters({"d": words}).boolean("d")


@pytest.mark.parametrize(
    "pattern", ["(a*)*b", "(a|a)+b", "((a?){9}){9}b", "a*a*a*a*b", "a?" * 40 + "b", "(" * 600]
)
def test_patterns_that_never_end_are_refused(pattern):
    with pytest.raises(BadRequest, match="too complex"):
        Filters({"name": [pattern]}).fuzzy("name", "a" * 5000)


@pytest.mark.parametrize(
    "pattern", ["^/?web-[0-9]+$", "(web|db)-1", r"web-\d+", "w.*b.*1", "[*+?|(]?web"]
)
def test_usual_patterns_are_not(pattern):
    assert Filters({"name": [pattern]}).fuzzy("name", "web-1")
    assert not Filters({"name": [pattern + "$x"]}).fuzzy("name", "a" * 300)
