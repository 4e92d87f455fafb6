"""HTTP routes for networks: parse the request, ask the backend, answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.api.fields import document, flag, mapping, string, strings
from engine.api.http import Request, Response, Route, created, json_response, no_content
from engine.errors import BadRequest, NotFound
from engine.filters import Filters


class Pool(Protocol):
    """One subnet of a network."""

    @property
    def subnet(self) -> str: ...
    @property
    def gateway(self) -> str: ...
    @property
    def ip_range(self) -> str: ...
    @property
    def auxiliary(self) -> Mapping[str, str]: ...
    @property
    def own_gateway(self) -> bool: ...


class Network(Protocol):
    """What is shown of a network."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def driver(self) -> str: ...
    @property
    def created(self) -> str: ...
    @property
    def pools(self) -> Sequence[Pool]: ...
    @property
    def ipv4(self) -> bool: ...
    @property
    def ipv6(self) -> bool: ...
    @property
    def internal(self) -> bool: ...
    @property
    def attachable(self) -> bool: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def options(self) -> Mapping[str, str]: ...
    @property
    def ipam_driver(self) -> str: ...
    @property
    def ipam_options(self) -> Mapping[str, str] | None: ...


class Endpoint(Protocol):
    """What is shown of a container in a network."""

    @property
    def id(self) -> str: ...
    @property
    def mac(self) -> str: ...
    @property
    def ipv4(self) -> str: ...
    @property
    def prefix4(self) -> int: ...
    @property
    def ipv6(self) -> str: ...
    @property
    def prefix6(self) -> int: ...


class Backend(Protocol):
    """What these routes need from the engine; `networks.Controller` satisfies it."""

    def resolve(self, name_or_id: str) -> Network: ...
    def list(self, filters: Filters) -> Sequence[Network]: ...
    def members(self, network: Any) -> Sequence[tuple[str, str, Endpoint]]: ...
    async def create(
        self,
        name: str,
        *,
        driver: str,
        pools: Sequence[tuple[str, str, str, Mapping[str, str]]],
        ipv4: bool,
        ipv6: bool,
        internal: bool,
        attachable: bool,
        labels: Mapping[str, str],
        options: Mapping[str, str],
        ipam_driver: str,
        ipam_options: Mapping[str, str] | None,
        config_only: bool,
        config_from: str,
        scope: str,
        ingress: bool,
    ) -> Network:
        """`pools`: subnet, gateway, range and auxiliary addresses of each."""
        ...

    async def remove(self, name_or_id: str) -> None: ...
    async def prune(self, filters: Filters) -> Sequence[str]: ...
    async def connect_container(
        self,
        network: str,
        container: str,
        *,
        ipv4: str,
        ipv6: str,
        mac: str,
        aliases: Sequence[str],
        links: Sequence[str],
        gw_priority: int,
        driver_opts: Mapping[str, str],
        link_local: Sequence[str],
    ) -> None: ...
    async def disconnect_container(self, network: str, container: str, *, force: bool) -> None: ...


def to_wire(network: Network, members: Sequence[tuple[str, str, Endpoint]]) -> dict[str, Any]:
    """A network as Docker shows it."""
    predefined = network.name in ("bridge", "host", "none")
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": None if predefined else network.ipam_options,
            "Config": [_pool(pool) for pool in network.pools] or (None if predefined else []),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {container: _member(name, one) for container, name, one in members},
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }


def _pool(pool: Pool) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": pool.subnet}
    if pool.ip_range:
        shown["IPRange"] = pool.ip_range
    if pool.gateway and not pool.own_gateway:  # dockerd shows what the client gave
        shown["Gateway"] = pool.gateway
    if pool.auxiliary:
        shown["AuxiliaryAddresses"] = dict(pool.auxiliary)
    return shown


def _member(name: str, endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4}/{endpoint.prefix4}" if endpoint.ipv4 else "",
        "IPv6Address": f"{endpoint.ipv6}/{endpoint.prefix6}" if endpoint.ipv6 else "",
    }


def routes(backend: Backend) -> Sequence[Route]:
    """The routes below /networks."""

    async def list_(request: Request) -> Response:
        filters = Filters.parse(request.query.get("filters"))
        # The list leaves the containers out, as Docker does.
        return json_response([to_wire(one, ()) for one in backend.list(filters)])

    async def inspect(request: Request) -> Response:
        network = backend.resolve(request.params["id"])
        scope = request.query.get("scope")
        if scope and scope != "local":
            raise NotFound(f"network {request.params['id']} not found")
        return json_response(to_wire(network, backend.members(network)))

    async def create(request: Request) -> Response:
        network = await _create(backend, await request.json())
        return created({"Id": network.id, "Warning": ""})

    async def delete(request: Request) -> Response:
        await backend.remove(request.params["id"])
        return no_content()

    async def prune(request: Request) -> Response:
        removed = await backend.prune(Filters.parse(request.query.get("filters")))
        return json_response({"NetworksDeleted": list(removed) or None})

    async def connect(request: Request) -> Response:
        body = await request.json()
        await _connect(backend, request.params["id"], body)
        return Response()

    async def disconnect(request: Request) -> Response:
        body = await request.json()
        force = bool(body.get("Force"))
        await backend.disconnect_container(request.params["id"], _container(body), force=force)
        return Response()

    return (
        Route("GET", "/networks", list_),
        Route("GET", "/networks/{id}", inspect),
        Route("POST", "/networks/create", create),
        Route("POST", "/networks/prune", prune),
        Route("POST", "/networks/{id}/connect", connect),
        Route("POST", "/networks/{id}/disconnect", disconnect),
        Route("DELETE", "/networks/{id}", delete),
    )


def _container(body: Mapping[str, Any]) -> str:
    container = string(body, "Container")
    if not container:
        raise BadRequest("invalid container name or ID: value is empty")
    return container


async def _create(backend: Backend, body: Mapping[str, Any]) -> Network:
    ipam = document(body, "IPAM")
    return await backend.create(
        string(body, "Name"),
        driver=string(body, "Driver") or "bridge",
        pools=[_asked_pool(pool) for pool in ipam.get("Config") or ()],
        ipv4=flag(body, "EnableIPv4", True),
        ipv6=flag(body, "EnableIPv6", False),
        internal=flag(body, "Internal", False),
        attachable=flag(body, "Attachable", False),
        labels=mapping(body, "Labels") or {},
        options=mapping(body, "Options") or {},
        ipam_driver=string(ipam, "Driver") or "default",
        ipam_options=mapping(ipam, "Options"),
        config_only=flag(body, "ConfigOnly", False),
        config_from=string(document(body, "ConfigFrom"), "Network"),
        scope=string(body, "Scope"),
        ingress=flag(body, "Ingress", False),
    )


def _asked_pool(pool: Any) -> tuple[str, str, str, Mapping[str, str]]:
    if not isinstance(pool, dict):
        raise BadRequest("IPAM.Config: each entry must be an object")
    auxiliary = mapping(pool, "AuxiliaryAddresses") or mapping(pool, "AuxAddress") or {}
    return string(pool, "Subnet"), string(pool, "Gateway"), string(pool, "IPRange"), auxiliary


async def _connect(backend: Backend, network: str, body: Mapping[str, Any]) -> None:
    config = document(body, "EndpointConfig")
    ipam = document(config, "IPAMConfig")
    priority = config.get("GwPriority") or 0
    if not isinstance(priority, int):
        raise BadRequest("EndpointConfig.GwPriority must be a number")
    await backend.connect_container(
        network,
        _container(body),
        ipv4=string(ipam, "IPv4Address"),
        ipv6=string(ipam, "IPv6Address"),
        mac=string(config, "MacAddress"),
        aliases=strings(config, "Aliases"),
        links=strings(config, "Links"),
        gw_priority=priority,
        driver_opts=mapping(config, "DriverOpts") or {},
        link_local=strings(ipam, "LinkLocalIPs"),
    )
