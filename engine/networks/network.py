"""A network's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from engine.values import dataclass, field


@dataclass(frozen=True)
class Pool:
    """One subnet of a network, `chosen` by the engine or asked for (`IPAM.Config` of the API).

    `own_gateway`: the client gave a subnet and left the gateway to the engine.
    """

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: Mapping[str, str] = field(default_factory=dict)
    chosen: bool = False
    own_gateway: bool = False

    def to_record(self) -> dict[str, Any]:
        """The pool as JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The pool that `to_record` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class Network:
    """A network that containers can join. `created` is RFC 3339 with nanoseconds, UTC.

    `bridge` is the interface's name on the machine, empty for `host` and `none`.
    """

    id: str
    name: str
    driver: str
    created: str
    bridge: str = ""
    pools: tuple[Pool, ...] = ()
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None

    @property
    def predefined(self) -> bool:
        """Whether it is one of the three that always exist."""
        return self.name in ("bridge", "host", "none")

    def to_record(self) -> dict[str, Any]:
        """The network as JSON."""
        return {**asdict(self), "pools": [pool.to_record() for pool in self.pools]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The network that `to_record` wrote."""
        pools = tuple(Pool.from_record(pool) for pool in record["pools"])
        return cls(**{**record, "pools": pools})
