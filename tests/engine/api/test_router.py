"""Routes: fixed before open, slashes where the pattern allows them."""

import pytest

from engine.api.router import Route, Router, split_version
from engine.errors import BadRequest, NotFound


async def handler(request):
    return None


def router(*patterns: str) -> Router:
    async def other(request):
        return None

    return Router(
        [Route("GET", pattern, handler) for pattern in patterns]
        + [Route("POST", "/images/{name:path}/push", other)]
    )


def test_names_with_slashes():
    routes = router("/images/json", "/images/{name:path}/json", "/containers/{id}/json")
    assert routes.find("GET", "/images/json")[1] == {}
    assert routes.find("GET", "/images/a/b/c:1/json")[1] == {"name": "a/b/c:1"}
    assert routes.find("GET", "/containers/x/json")[1] == {"id": "x"}
    with pytest.raises(NotFound, match="page not found"):
        routes.find("GET", "/containers/x/y/json")


def test_the_method_counts():
    assert router("/a").find("POST", "/images/x/push")[0] is not handler
    with pytest.raises(NotFound, match="page not found"):
        router("/a").find("POST", "/a")


def test_patterns_are_literal():
    with pytest.raises(NotFound):
        router("/a.b/{x}").find("GET", "/aab/1")


def test_versions():
    assert split_version("/v1.30/info") == ((1, 30), "/info")
    assert split_version("/info") == ((1, 51), "/info")
    assert split_version("/v2") == ((1, 51), "/v2")
    for path in ("/v1.99/info", "/v2.0/info", "/v1.9/info"):
        with pytest.raises(BadRequest, match="client version"):
            split_version(path)
