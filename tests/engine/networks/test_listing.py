"""Filters of the list and of prune."""

import json

import pytest

from engine.errors import BadRequest
from engine.filters import Filters
from engine.networks.listing import matches, prune_moment
from engine.networks.network import Network

WEB = Network("abc" + "0" * 61, "web_default", "bridge", "2024", labels={"project": "web"})
NONE = Network("fff" + "0" * 61, "none", "null", "2024")


def shown(network: Network, used: bool = False, **filters: list[str]) -> bool:
    words = {key.replace("_not", "!"): value for key, value in filters.items()}
    return matches(network, Filters.parse(json.dumps(words)), used)


def test_names_and_ids_by_their_beginning() -> None:
    assert shown(WEB, name=["web"])
    assert shown(WEB, name=["nope", "web_default"])
    assert not shown(WEB, name=["nope"])
    assert shown(WEB, id=["abc0"])
    assert not shown(NONE, id=["abc0"])


def test_type_driver_scope_labels() -> None:
    assert shown(WEB, type=["custom"], driver=["bridge"], scope=["local"])
    assert not shown(WEB, type=["builtin"])
    assert not shown(WEB, scope=["swarm"])
    assert shown(WEB, label=["project=web"])
    assert not shown(WEB, label=["project=other"])
    assert not shown(NONE, driver=["bridge"])
    with pytest.raises(BadRequest, match="'type'='odd'"):
        shown(WEB, type=["odd"])


def test_dangling_is_a_user_network_without_containers() -> None:
    assert shown(WEB, dangling=["true"])
    assert not shown(WEB, used=True, dangling=["true"])
    assert not shown(NONE, dangling=["true"])
    assert shown(NONE, dangling=["false"])


def test_prune_until() -> None:
    assert prune_moment(Filters.parse("")) is None
    assert prune_moment(Filters.parse('{"until":["1000"]}')) == 1000 * 10**9
    with pytest.raises(BadRequest, match="more than one until filter"):
        prune_moment(Filters.parse('{"until":["1000","2000"]}'))
