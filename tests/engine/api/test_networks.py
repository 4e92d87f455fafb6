"""Routes of networks on a backend in memory: what is asked, what is shown."""

import json
from typing import Any

import pytest

from engine.api.networks import routes
from engine.api.query import Query
from engine.errors import BadRequest, NotFound
from engine.networks import Endpoint, Network, Pool

SHOP = Network(
    "a" * 64,
    "shop",
    "bridge",
    "2026-01-02T03:04:05.000000006Z",
    pools=(Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", {"router": "10.0.0.9"}),),
    labels={"k": "v"},
)
HOST = Network("b" * 64, "host", "host", "2026-01-02T03:04:05.000000006Z")
MEMBER = ("c" * 64, "web", Endpoint("e" * 64, SHOP.id, "02:42:0a:00:00:02", "10.0.0.2", 24))


class Backend:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def resolve(self, name_or_id: str) -> Network:
        return HOST if name_or_id == "host" else SHOP

    def list(self, filters: Any) -> list[Network]:
        self.asked.append(filters.values("name"))
        return [SHOP]

    def members(self, network: Network) -> Any:
        return [MEMBER] if network is SHOP else []

    async def create(self, name: str, **settings: Any) -> Network:
        self.asked.append((name, settings))
        return SHOP

    async def remove(self, name_or_id: str) -> None:
        self.asked.append(name_or_id)

    async def prune(self, filters: Any) -> Any:
        return ["one"] if filters.values("label") else []

    async def connect_container(self, network: str, container: str, **settings: Any) -> None:
        self.asked.append((network, container, settings))

    async def disconnect_container(self, network: str, container: str, *, force: bool) -> None:
        self.asked.append((network, container, force))


class Request:
    version = (1, 51)

    def __init__(self, body: Any = None, query: str = "", **params: str) -> None:
        self.body = body or {}
        self.query = Query(query)
        self.params = params

    async def json(self) -> Any:
        return self.body


async def ask(backend: Backend, line: str, **request: Any) -> tuple[int, Any]:
    method, pattern = line.split()
    (handler,) = [
        one.handler for one in routes(backend) if (one.method, one.pattern) == (method, pattern)
    ]
    answer = await handler(Request(**request))
    return answer.status, json.loads(answer.body) if answer.body else None


async def test_inspect_shows_what_docker_shows() -> None:
    status, shown = await ask(Backend(), "GET /networks/{id}", id="shop")
    assert status == 200
    assert shown == {
        "Name": "shop",
        "Id": "a" * 64,
        "Created": "2026-01-02T03:04:05.000000006Z",
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [
                {
                    "Subnet": "10.0.0.0/24",
                    "IPRange": "10.0.0.128/25",
                    "Gateway": "10.0.0.1",
                    "AuxiliaryAddresses": {"router": "10.0.0.9"},
                }
            ],
        },
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            "c" * 64: {
                "Name": "web",
                "EndpointID": "e" * 64,
                "MacAddress": "02:42:0a:00:00:02",
                "IPv4Address": "10.0.0.2/24",
                "IPv6Address": "",
            }
        },
        "Options": {},
        "Labels": {"k": "v"},
    }


async def test_a_gateway_that_nobody_asked_for_is_not_shown() -> None:
    class Own(Backend):
        def resolve(self, name_or_id: str) -> Network:
            pool = Pool("10.0.0.0/24", "10.0.0.1", own_gateway=True)
            return Network("a" * 64, "own", "bridge", "", pools=(pool,), ipam_options={"a": "b"})

    _, shown = await ask(Own(), "GET /networks/{id}", id="own")
    assert shown["IPAM"] == {
        "Driver": "default",
        "Options": {"a": "b"},
        "Config": [{"Subnet": "10.0.0.0/24"}],
    }


async def test_predefined_networks_have_no_ipam_options() -> None:
    _, shown = await ask(Backend(), "GET /networks/{id}", id="host")
    assert shown["IPAM"] == {"Driver": "default", "Options": None, "Config": None}
    with pytest.raises(NotFound, match="network host not found"):
        await ask(Backend(), "GET /networks/{id}", id="host", query="scope=swarm")


async def test_the_list_filters_and_leaves_containers_out() -> None:
    backend = Backend()
    query = "filters=%7B%22name%22%3A%5B%22sh%22%5D%7D"
    _, shown = await ask(backend, "GET /networks", query=query)
    assert backend.asked == [["sh"]]
    assert shown[0]["Containers"] == {}


async def test_create() -> None:
    backend = Backend()
    body = {
        "Name": "shop",
        "Driver": "bridge",
        "Internal": True,
        "EnableIPv6": True,
        "IPAM": {
            "Driver": "default",
            "Config": [{"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"r": "10.0.0.9"}}],
        },
        "Options": {"com.docker.network.driver.mtu": "1400"},
        "Labels": None,
    }
    status, shown = await ask(backend, "POST /networks/create", body=body)
    assert (status, shown) == (201, {"Id": "a" * 64, "Warning": ""})
    ((name, settings),) = backend.asked
    assert name == "shop"
    assert settings == {
        "driver": "bridge",
        "pools": [("10.0.0.0/24", "", "", {"r": "10.0.0.9"})],
        "ipv4": True,
        "ipv6": True,
        "internal": True,
        "attachable": False,
        "labels": {},
        "options": {"com.docker.network.driver.mtu": "1400"},
        "ipam_driver": "default",
        "ipam_options": None,
        "config_only": False,
        "config_from": "",
        "scope": "",
        "ingress": False,
    }


async def test_connect_and_disconnect() -> None:
    backend = Backend()
    body = {
        "Container": "web",
        "EndpointConfig": {
            "IPAMConfig": {"IPv4Address": "10.0.0.7", "LinkLocalIPs": ["169.254.1.1"]},
            "Aliases": ["shop"],
            "GwPriority": 3,
        },
    }
    assert await ask(backend, "POST /networks/{id}/connect", id="shop", body=body) == (200, None)
    leave = {"Container": "web", "Force": True}
    await ask(backend, "POST /networks/{id}/disconnect", id="shop", body=leave)
    (network, container, settings), left = backend.asked
    assert (network, container) == ("shop", "web")
    assert settings == {
        "ipv4": "10.0.0.7",
        "ipv6": "",
        "mac": "",
        "aliases": ["shop"],
        "links": [],
        "gw_priority": 3,
        "driver_opts": {},
        "link_local": ["169.254.1.1"],
    }
    assert left == ("shop", "web", True)


async def test_remove_and_prune() -> None:
    backend = Backend()
    assert await ask(backend, "DELETE /networks/{id}", id="shop") == (204, None)
    assert backend.asked == ["shop"]
    assert await ask(backend, "POST /networks/prune") == (200, {"NetworksDeleted": None})
    query = "filters=%7B%22label%22%3A%5B%22a%22%5D%7D"
    _, shown = await ask(backend, "POST /networks/prune", query=query)
    assert shown == {"NetworksDeleted": ["one"]}


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("POST /networks/{id}/connect", {}),
        ("POST /networks/{id}/connect", {"Container": "a", "EndpointConfig": []}),
        ("POST /networks/{id}/connect", {"Container": "a", "EndpointConfig": {"GwPriority": "1"}}),
        ("POST /networks/{id}/connect", {"Container": "a", "EndpointConfig": {"Aliases": "x"}}),
        ("POST /networks/create", {"Name": 5}),
        ("POST /networks/create", {"Name": "a", "Internal": "yes"}),
        ("POST /networks/create", {"Name": "a", "IPAM": {"Config": ["10.0.0.0/8"]}}),
        ("POST /networks/create", {"Name": "a", "IPAM": {"Config": {"Subnet": 5}}}),
    ],
)
async def test_bodies_of_the_wrong_shape(line: str, body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        await ask(Backend(), line, id="shop", body=body)
