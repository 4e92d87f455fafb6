"""`--link` on the default bridge: names in /etc/hosts, and variables that tell of the other."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.containers.container import Container
from engine.containers.endpoints import exposed_ports
from engine.containers.record import Record
from engine.errors import Conflict


class Link(NamedTuple):
    """Another running container, under the name that it's to have inside."""

    alias: str
    other: Record
    address: str


def asked_links(record: Record) -> list[tuple[str, str]]:
    """(name of the other, alias) of each link; other networks have names of their own."""
    if record.network_mode != "bridge":
        return []
    pairs = [link.partition(":") for link in record.host_config.get("Links") or ()]
    return [(name.lstrip("/"), alias.rpartition("/")[2] or name) for name, _, alias in pairs]


def links_of(record: Record, find: Callable[[str], Container]) -> list[Link]:
    """The links of a container. Raises NotFound, Conflict when the other one doesn't run."""
    found: list[Link] = []
    for name, alias in asked_links(record):
        other = find(name)
        endpoint = other.sandbox.endpoints.get("bridge") if other.sandbox else None
        if not other.live or endpoint is None:
            raise Conflict(
                f"Cannot link to a non running container: /{other.name} AS /{record.name}/{alias}"
            )
        found.append(Link(alias, other.record, endpoint.ipv4))
    return found


def link_environment(name: str, links: list[Link]) -> Iterator[str]:
    """The variables of a container called `name`: ALIAS_PORT, ALIAS_NAME, ALIAS_ENV_X."""
    for link in links:
        prefix = link.alias.replace("-", "_").upper()
        ports = [port.partition("/") for port in exposed_ports(link.other.config)]
        ports.sort(key=lambda one: (one[2] != "tcp", int(one[0])))
        for index, (port, _, protocol) in enumerate(ports):
            url = f"{protocol}://{link.address}:{port}"
            if index == 0:
                yield f"{prefix}_PORT={url}"
            one = f"{prefix}_PORT_{port}_{protocol.upper()}"
            yield f"{one}={url}"
            yield f"{one}_ADDR={link.address}"
            yield f"{one}_PORT={port}"
            yield f"{one}_PROTO={protocol}"
        yield f"{prefix}_NAME=/{name}/{link.alias}"
        for entry in link.other.config.get("Env") or ():
            key, equals, _ = entry.partition("=")
            if equals and key not in ("HOME", "PATH"):
                yield f"{prefix}_ENV_{entry}"
