"""Query parameters as Docker reads them."""

import pytest

from engine.api.query import Query
from engine.errors import BadRequest


def test_values():
    query = Query("a=1&b=x%20y&a=2&c")
    assert query.get("a") == "1"
    assert query.all("a") == ["1", "2"]
    assert query.get("b") == "x y"
    assert "c" in query
    assert query.get("d", "other") == "other"


@pytest.mark.parametrize("word", ["", "0", "no", "False", "none", "NONE"])
def test_false_words(word):
    assert Query(f"a={word}").flag("a", default=True) is False


def test_true_words():
    assert Query("a=1").flag("a")
    assert Query("a=anything").flag("a")
    assert Query("").flag("a", default=True)
    assert not Query("").flag("a")


def test_integers():
    assert Query("a=-3").integer("a", 1) == -3
    assert Query("a=").integer("a", 1) == 1
    with pytest.raises(BadRequest, match='"x" is not a whole number'):
        Query("a=x").integer("a", 1)
