"""What a container asks of networks: from Docker's documents to the networks' request, and back."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.containers.record import Json, Record
from engine.errors import BadRequest
from engine.networks import Endpoint, EndpointConfig, PortRequest, Sandbox, SandboxRequest

_NO_NETWORK = ("host", "none")
_MAC = re.compile(r"^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$")


def asked_endpoints(
    networking: Mapping[str, Any] | None, config: Json, host: Json
) -> dict[str, Json]:
    """The EndpointsConfig of a create request, the network mode's first, `default` renamed.

    Without any the mode's network is the only one; a mode that isn't among those that are given
    isn't joined.

    Raises BadRequest on addresses that no network could give.
    """
    mode = host["NetworkMode"]
    if mode.startswith("container:"):
        return {}
    if config.get("NetworkDisabled"):
        return {"none": {}}
    given = dict((networking or {}).get("EndpointsConfig") or {})
    if "default" in given:
        given.setdefault("bridge", given.pop("default"))
    endpoints = {mode: given.pop(mode, None) or {}} if mode in given or not given else {}
    for name, settings in given.items():
        if mode in _NO_NETWORK:
            raise BadRequest(
                f"conflicting options: cannot attach both user-defined and non-user-defined "
                f"network-modes: {mode} and {name}"
            )
        endpoints[name] = settings or {}
    _merge_mac(mode, config, endpoints)
    for name, settings in endpoints.items():
        _check(name, settings)
    if host.get("Links") and mode in endpoints and mode not in ("bridge", *_NO_NETWORK):
        links = [*(endpoints[mode].get("Links") or ()), *host["Links"]]
        endpoints[mode] = {**endpoints[mode], "Links": links}
    return endpoints


def _merge_mac(mode: str, config: Json, endpoints: dict[str, Json]) -> None:
    """The old container-wide address is that of the network mode's endpoint, and is shown as it."""
    asked = config.get("MacAddress")
    if mode in _NO_NETWORK or mode not in endpoints:
        config.pop("MacAddress", None)
        return
    own = endpoints[mode].get("MacAddress")
    if asked and not own:
        endpoints[mode] = {**endpoints[mode], "MacAddress": asked}
    if asked or own:
        config["MacAddress"] = own or asked


def _faults(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """What no network could do with these settings, in dockerd's words."""
    ipam = settings.get("IPAMConfig") or {}
    predefined = name in ("bridge", *_NO_NETWORK)
    if predefined and (ipam.get("IPv4Address") or ipam.get("IPv6Address")):
        yield "user specified IP address is supported on user defined networks only"
    if predefined and settings.get("Aliases"):
        yield "network-scoped alias is supported only for containers in user defined networks"
    for key, version in (("IPv4Address", 4), ("IPv6Address", 6)):
        address = ipam.get(key)
        if address and _version(address) != version:
            yield f"invalid IPv{version} address: {address}"
    for address in ipam.get("LinkLocalIPs") or ():
        if not _version(address):
            yield f"invalid link-local IP address: {address}"


def _version(address: str) -> int:
    """4 or 6; 0 for what is no address."""
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def _check(name: str, settings: Mapping[str, Any]) -> None:
    mac = settings.get("MacAddress")
    if mac and not _MAC.match(mac):
        raise BadRequest(f"invalid config for network {name}: invalid MAC address {mac}")
    faults = list(_faults(name, settings))
    if faults:
        shown = faults[0] if len(faults) == 1 else "\n".join(f"* {one}" for one in faults)
        raise BadRequest(f"invalid config for network {name}: invalid endpoint settings:\n{shown}")


def endpoint_config(settings: Mapping[str, Any], id: str) -> EndpointConfig:
    """Docker's EndpointSettings as the networks take them; the short id is an alias."""
    ipam = settings.get("IPAMConfig") or {}
    return EndpointConfig(
        ipv4=ipam.get("IPv4Address") or "",
        ipv6=ipam.get("IPv6Address") or "",
        mac=settings.get("MacAddress") or "",
        aliases=tuple(dict.fromkeys([*(settings.get("Aliases") or ()), id[:12]])),
        links=tuple(settings.get("Links") or ()),
        gw_priority=settings.get("GwPriority") or 0,
        driver_opts=settings.get("DriverOpts") or {},
        link_local=tuple(ipam.get("LinkLocalIPs") or ()),
    )


def document_of(settings: EndpointConfig, id: str) -> Json:
    """The opposite of `endpoint_config`."""
    ipam = {
        key: value
        for key, value in (
            ("IPv4Address", settings.ipv4),
            ("IPv6Address", settings.ipv6),
            ("LinkLocalIPs", list(settings.link_local)),
        )
        if value
    }
    return {
        "IPAMConfig": ipam or None,
        "MacAddress": settings.mac,
        "Aliases": [alias for alias in settings.aliases if alias != id[:12]],
        "Links": list(settings.links),
        "GwPriority": settings.gw_priority,
        "DriverOpts": dict(settings.driver_opts),
    }


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return (int(first), int(last or first)) if first else (0, 0)


def port_requests(bindings: Mapping[str, list[Mapping[str, str]]]) -> tuple[PortRequest, ...]:
    """The ports to publish, from HostConfig.PortBindings. Raises BadRequest."""
    found = []
    for key, entries in bindings.items():
        port, _, protocol = key.partition("/")
        for entry in entries:
            low, high = _range(entry.get("HostPort") or "")
            if high < low:
                raise BadRequest(f"invalid port range: {entry['HostPort']}")
            found.append(
                PortRequest(int(port), protocol or "tcp", entry.get("HostIp") or "", low, high)
            )
    return tuple(found)


def exposed_ports(config: Json) -> list[str]:
    """Every exposed port as `80/tcp`, ranges taken apart."""
    found = []
    for key in config.get("ExposedPorts") or {}:
        ports, _, protocol = key.partition("/")
        low, high = _range(ports)
        found += [f"{port}/{protocol or 'tcp'}" for port in range(low, high + 1)]
    return found


def sandbox_request(record: Record) -> SandboxRequest:
    """What the networks must make for the container's next start."""
    host = record.host_config
    publish_all: tuple[str, ...] = ()
    if host["PublishAllPorts"]:
        publish_all = tuple(
            p for p in exposed_ports(record.config) if p not in (host["PortBindings"] or ())
        )
    return SandboxRequest(
        container_id=record.id,
        name=record.name,
        hostname=record.config["Hostname"],
        endpoints={
            name: endpoint_config(settings, record.id)
            for name, settings in record.endpoints.items()
        },
        ports=port_requests(host["PortBindings"] or {}),
        publish_all_exposed=publish_all,
        dns=tuple(host.get("Dns") or ()),
    )


def ports_map(record: Record, sandbox: Sandbox | None) -> Json:
    """NetworkSettings.Ports of inspect: exposed ports without a binding are null."""
    if sandbox is None:
        return {}
    found: Json = dict.fromkeys(exposed_ports(record.config))
    for key, places in sandbox.ports.items():
        found[key] = [{"HostIp": ip, "HostPort": str(port)} for ip, port in places]
    return found


def ports_list(record: Record, sandbox: Sandbox | None) -> list[Json]:
    """`Ports` of the list: one entry a binding, one for each exposed port without."""
    found: list[Json] = []
    for key, places in ports_map(record, sandbox).items():
        port, _, protocol = key.partition("/")
        if not places:
            found.append({"PrivatePort": int(port), "Type": protocol})
        for place in places or ():
            found.append(
                {
                    "IP": place["HostIp"],
                    "PrivatePort": int(port),
                    "PublicPort": int(place["HostPort"]),
                    "Type": protocol,
                }
            )
    return found


def endpoint_document(
    settings: Json,
    endpoint: Endpoint | None,
    network_id: str,
    record: Record,
    *,
    user_defined: bool,
) -> Json:
    """One entry of NetworkSettings.Networks."""
    aliases = settings.get("Aliases") or None
    names = None
    if user_defined and record.state.started_at:
        extra = settings.get("Aliases") or []
        names = list(dict.fromkeys([record.name, *extra, record.id[:12]]))
        if record.config["Hostname"] and record.config["Hostname"] not in names:
            names.append(record.config["Hostname"])
    return {
        "IPAMConfig": settings.get("IPAMConfig") or None,
        "Links": settings.get("Links") or None,
        "Aliases": aliases,
        "MacAddress": endpoint.mac if endpoint else settings.get("MacAddress") or "",
        "DriverOpts": settings.get("DriverOpts") or None,
        "GwPriority": settings.get("GwPriority") or 0,
        "NetworkID": endpoint.network_id if endpoint else network_id,
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": endpoint.gateway4 if endpoint else "",
        "IPAddress": endpoint.ipv4 if endpoint else "",
        "IPPrefixLen": endpoint.prefix4 if endpoint else 0,
        "IPv6Gateway": endpoint.gateway6 if endpoint else "",
        "GlobalIPv6Address": endpoint.ipv6 if endpoint else "",
        "GlobalIPv6PrefixLen": endpoint.prefix6 if endpoint else 0,
        "DNSNames": names,
    }


def networks_document(
    record: Record, sandbox: Sandbox | None, network_id: Callable[[str], str]
) -> Json:
    """NetworkSettings.Networks; `network_id` gives the id of a network, "" when it's gone."""
    found: Json = {}
    if record.config.get("NetworkDisabled"):
        return found
    for name, settings in record.endpoints.items():
        endpoint = sandbox.endpoints.get(name) if sandbox else None
        found[name] = endpoint_document(
            settings,
            endpoint,
            network_id(name),
            record,
            user_defined=name not in ("bridge", *_NO_NETWORK),
        )
    return found
