"""Choosing subnets and giving out addresses: each once."""

import ipaddress
from collections.abc import Iterable, Iterator
from itertools import chain

from engine.errors import BadRequest, EngineError, Forbidden
from engine.networks.network import Network, Pool

AnyAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIXTEENS = tuple(ipaddress.IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32))
_TWENTIES = tuple(ipaddress.IPv4Network("192.168.0.0/16").subnets(new_prefix=20))
_FURTHER = ipaddress.IPv4Network("10.192.0.0/10")
_OUTSIDE = "no configured subnet or ip-range contain the IP address "


def default_pools() -> Iterator[AnyNetwork]:
    """Docker's default address pools, in its order; then a thousand more, where Docker gives up."""
    return chain(_SIXTEENS, _TWENTIES, _FURTHER.subnets(new_prefix=20))


def overlaps(one: AnyNetwork, others: Iterable[AnyNetwork]) -> bool:
    """Whether a subnet shares addresses with one of the others."""
    return any(other.version == one.version and one.overlaps(other) for other in others)


def choose_subnet(taken: Iterable[AnyNetwork]) -> AnyNetwork:
    """The first default pool that nothing on the machine uses. Raises EngineError."""
    used = list(taken)
    for pool in default_pools():
        if not overlaps(pool, used):
            return pool
    raise EngineError(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to "
        "assign to the network"
    )


def local_subnet(network_id: str) -> AnyNetwork:
    """A unique local IPv6 subnet (RFC 4193) made from a network's id."""
    packed = bytes([0xFD]) + bytes.fromhex(network_id[:14]) + bytes(8)
    return ipaddress.IPv6Network((packed, 64))


class Space:
    """The addresses of one pool: the gateway and auxiliary ones are never given out."""

    def __init__(self, pool: Pool) -> None:
        self.subnet: AnyNetwork = ipaddress.ip_network(pool.subnet)
        self._range: AnyNetwork = ipaddress.ip_network(pool.ip_range or pool.subnet)
        self.gateway = pool.gateway
        kept = [*pool.auxiliary.values(), *([pool.gateway] if pool.gateway else [])]
        self._used: set[AnyAddress] = {ipaddress.ip_address(one) for one in kept}
        self._used.add(self.subnet.network_address)
        if self.subnet.version == 4 and self.subnet.prefixlen < 31:
            self._used.add(self.subnet.broadcast_address)

    def take(self, wanted: str = "") -> str:
        """Give out `wanted`, or the lowest free address. Raises EngineError."""
        if wanted:
            return self._take_one(wanted)
        for address in self._range:
            if address not in self._used:
                self._used.add(address)
                return str(address)
        raise EngineError(
            f"no available IPv{self.subnet.version} addresses on this network's address pools: "
            f"{self.subnet}"
        )

    def _take_one(self, wanted: str) -> str:
        address = ipaddress.ip_address(wanted)
        if address not in self.subnet:
            raise BadRequest(f"no configured subnet contains IP address {wanted}")
        if address in self._used:
            raise Forbidden("Address already in use")
        self._used.add(address)
        return str(address)

    def adopt(self, address: str) -> None:
        """Mark an address that a running container has."""
        self._used.add(ipaddress.ip_address(address))

    def release(self, address: str) -> None:
        """Take an address back."""
        self._used.discard(ipaddress.ip_address(address))


class Spaces:
    """The spaces of one network."""

    def __init__(self, network: Network) -> None:
        self._spaces = [Space(pool) for pool in network.pools]

    def version(self, version: int) -> list[Space]:
        """The spaces of IPv4 or IPv6."""
        return [space for space in self._spaces if space.subnet.version == version]

    def take(self, version: int, wanted: str = "") -> tuple[str, int, str]:
        """An address, its prefix length and gateway; empty when the network has no such pools."""
        spaces = self.version(version)
        if not spaces:
            if wanted:
                raise BadRequest(
                    f"no configured subnet or ip-range contain the IP address {wanted}"
                )
            return "", 0, ""
        space = _holding(spaces, wanted) if wanted else spaces[0]
        return space.take(wanted), space.subnet.prefixlen, space.gateway

    def check(self, version: int, wanted: str) -> None:
        """Whether `wanted` could be given out. Raises BadRequest."""
        _holding(self.version(version), wanted)

    def adopt(self, address: str) -> None:
        """Mark an address that a running container has."""
        for space in self._spaces:
            if ipaddress.ip_address(address) in space.subnet:
                space.adopt(address)

    def release(self, address: str) -> None:
        """Take an address back."""
        for space in self._spaces:
            if ipaddress.ip_address(address) in space.subnet:
                space.release(address)


def _holding(spaces: list[Space], wanted: str) -> Space:
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError as error:
        raise BadRequest(f"invalid IP address: {wanted}") from error
    for space in spaces:
        if address in space.subnet:
            return space
    raise BadRequest(_OUTSIDE + wanted)


def mac_of(ipv4: str, ipv6: str = "") -> str:
    """The hardware address of a container: from its address, so that neighbours' caches stay right
    when the address is given out again.
    """
    packed = ipaddress.ip_address(ipv4 or ipv6).packed[-4:]
    return (b"\x02\x42" + packed).hex(":")
