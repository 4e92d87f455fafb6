"""What the rest of the engine hands to the networks, and what it gets back.

All are values that go to JSON and back (`to_record`, `from_record`), so that a container's record
can hold them across a restart of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from engine.values import dataclass, field


@dataclass(frozen=True)
class PortRequest:
    """One port to publish; `host_port_start` 0 means any free one, a wider range the first free."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port_start: int = 0
    host_port_end: int = 0

    @property
    def key(self) -> str:
        """Docker's word for the container's side: `80/tcp`."""
        return f"{self.container_port}/{self.protocol}"

    def to_record(self) -> dict[str, Any]:
        """The request as JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The request that `to_record` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class EndpointConfig:
    """What a container asks of one network; empty words leave the choice to the engine."""

    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    gw_priority: int = 0
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    link_local: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """The settings as JSON."""
        return {
            "ipv4": self.ipv4,
            "ipv6": self.ipv6,
            "mac": self.mac,
            "aliases": list(self.aliases),
            "links": list(self.links),
            "gw_priority": self.gw_priority,
            "driver_opts": dict(self.driver_opts),
            "link_local": list(self.link_local),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The settings that `to_record` wrote."""
        words = dict(record)
        words["aliases"] = tuple(words.get("aliases") or ())
        words["links"] = tuple(words.get("links") or ())
        words["link_local"] = tuple(words.get("link_local") or ())
        return cls(**words)


@dataclass(frozen=True)
class SandboxRequest:
    """A container that is about to start, as the networks see it.

    `endpoints` maps a network's name (or id) to the settings there. One entry named `host` asks
    for the machine's own network, one named `none` for a namespace with only a loopback.
    `name` has no leading slash. `publish_all_exposed` are ports such as `80/tcp` to be published on
    any free host port (`docker run -P`). `dns` are the servers of `--dns`, for names that the
    networks don't know. `namespace` is a descriptor of the network namespace to use when there is
    one already, as it belongs to a user namespace; it counts during `open` alone.
    """

    container_id: str
    name: str
    hostname: str
    endpoints: Mapping[str, EndpointConfig]
    ports: tuple[PortRequest, ...] = ()
    publish_all_exposed: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    namespace: int = -1

    def to_record(self) -> dict[str, Any]:
        """The request as JSON."""
        return {
            "container_id": self.container_id,
            "name": self.name,
            "hostname": self.hostname,
            "endpoints": {name: config.to_record() for name, config in self.endpoints.items()},
            "ports": [port.to_record() for port in self.ports],
            "publish_all_exposed": list(self.publish_all_exposed),
            "dns": list(self.dns),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The request that `to_record` wrote."""
        return cls(
            container_id=record["container_id"],
            name=record["name"],
            hostname=record["hostname"],
            endpoints={n: EndpointConfig.from_record(c) for n, c in record["endpoints"].items()},
            ports=tuple(PortRequest.from_record(port) for port in record["ports"]),
            publish_all_exposed=tuple(record["publish_all_exposed"]),
            dns=tuple(record.get("dns") or ()),
        )


@dataclass(frozen=True)
class Endpoint:
    """A container's interface in one network. Empty addresses: the network has none."""

    id: str
    network_id: str
    mac: str = ""
    ipv4: str = ""
    prefix4: int = 0
    gateway4: str = ""
    ipv6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    host_link: str = ""
    link: str = ""
    names: tuple[str, ...] = ()
    link_local: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """The endpoint as JSON."""
        return {
            **asdict(self),
            "names": list(self.names),
            "link_local": list(self.link_local),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The endpoint that `to_record` wrote."""
        lists = {key: tuple(record.get(key) or ()) for key in ("names", "link_local")}
        return cls(**{**record, **lists})


@dataclass(frozen=True)
class Binding:
    """A published port in force.

    `host_port` is what a user sees. `guest_port` is where the engine's machine listens; the two
    differ only in a VM, when something of the VM holds that number.
    """

    container_port: int
    protocol: str
    host_ip: str
    host_port: int
    guest_port: int
    container_ip: str

    def to_record(self) -> dict[str, Any]:
        """The binding as JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The binding that `to_record` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class Sandbox:
    """A container's network as it stands. `netns` None: the machine's own.

    `netns_inode` finds the namespace again when the file at `netns` is gone (the engine natively
    lives in its own mount namespace, which ends with it).
    """

    netns: Path | None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    resolv_conf: str = ""
    netns_inode: int = 0

    @property
    def ports(self) -> dict[str, list[tuple[str, int]]]:
        """Published ports: `80/tcp` -> [(host address, host port)]."""
        ports: dict[str, list[tuple[str, int]]] = {}
        for one in self.bindings:
            key = f"{one.container_port}/{one.protocol}"
            ports.setdefault(key, []).append((one.host_ip, one.host_port))
        return ports

    def to_record(self) -> dict[str, Any]:
        """The sandbox as JSON."""
        return {
            "netns": str(self.netns) if self.netns else None,
            "endpoints": {name: one.to_record() for name, one in self.endpoints.items()},
            "bindings": [one.to_record() for one in self.bindings],
            "resolv_conf": self.resolv_conf,
            "netns_inode": self.netns_inode,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The sandbox that `to_record` wrote."""
        return cls(
            netns=Path(record["netns"]) if record["netns"] else None,
            endpoints={n: Endpoint.from_record(one) for n, one in record["endpoints"].items()},
            bindings=tuple(Binding.from_record(one) for one in record["bindings"]),
            resolv_conf=record["resolv_conf"],
            netns_inode=record.get("netns_inode", 0),
        )
