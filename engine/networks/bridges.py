"""Bridges on the machine: made, mended and removed to match the networks' records."""

import contextlib
import errno
import fcntl
import ipaddress
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.errors import EngineError
from engine.linux import netlink
from engine.networks.addresses import AnyNetwork, mac_of
from engine.networks.firewall import BridgeRules
from engine.networks.identity import Identity
from engine.networks.network import Network

_SYSCTL = Path("/proc/sys/net")
_LOCK = "/run/cove-networks.lock"
_MTU = "com.docker.network.driver.mtu"
_ICC = "com.docker.network.bridge.enable_icc"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_FALSE = ("false", "0", "f")


def mtu_of(network: Network) -> int:
    """The network's MTU: its option, else 1500."""
    try:
        return int(network.options.get(_MTU, "") or 1500)
    except ValueError:
        return 1500


def rules_of(network: Network) -> BridgeRules:
    """What the firewall has to know of the network."""
    return BridgeRules(
        name=network.bridge,
        masquerade=network.options.get(_MASQUERADE, "").lower() not in _FALSE,
        internal=network.internal,
        talk=talks(network),
    )


@contextlib.contextmanager
def choosing() -> Iterator[None]:
    """Keep other engines of the machine from choosing a subnet or a name meanwhile. Blocks."""
    descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def filtered() -> bool:
    """Whether the machine sends what bridges pass through the firewall (br_netfilter).

    A container that asks for its own published port then needs its bridge to send the packet back
    to where it came from.
    """
    try:
        return (_SYSCTL / "bridge/bridge-nf-call-iptables").read_text().strip() != "0"
    except OSError:
        return False


def talks(network: Network) -> bool:
    """Whether containers of the network may talk to each other."""
    return network.options.get(_ICC, "").lower() not in _FALSE


def write_sysctl(name: str, value: str) -> None:
    """Set a setting below /proc/sys/net when it isn't set; one that the kernel lacks is passed."""
    path = _SYSCTL / name
    with contextlib.suppress(FileNotFoundError, OSError):
        if path.read_text().strip() != value:
            path.write_text(value)


def forward_ipv6() -> None:
    """Let the machine forward IPv6, and keep the routes that it has learnt itself."""
    if (_SYSCTL / "ipv6/conf/all/forwarding").read_text().strip() == "1":
        return
    for interface in (_SYSCTL / "ipv6/conf").iterdir():
        accept = interface / "accept_ra"
        with contextlib.suppress(OSError):
            if accept.read_text().strip() == "1":
                accept.write_text("2")  # 1 stops counting on a machine that forwards
    write_sysctl("ipv6/conf/all/forwarding", "1")


class Bridges:
    """The bridges of one engine. Methods block for the kernel (a few milliseconds)."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.channel = netlink.Channel()

    def close(self) -> None:
        """Leave the bridges as they are."""
        self.channel.close()

    def owned(self, name: str) -> bool:
        """Whether this engine may use the interface name: free, or a bridge that it made."""
        link = netlink.find_link(self.channel, name)
        return link is None or (link.kind == "bridge" and link.group == self._identity.group)

    def ensure(self, network: Network, configure: bool = False) -> int:
        """Make the network's bridge, or mend it; returns its index. Raises EngineError.

        `configure` settles addresses even when the bridge stands (somebody may have made it).
        """
        link = netlink.find_link(self.channel, network.bridge)
        if link is not None and link.kind != "bridge":
            raise EngineError(
                f"interface {network.bridge} exists and is no bridge; remove it or choose another "
                "name with the option com.docker.network.bridge.name"
            )
        if link is not None and link.up and not configure:
            return link.index
        return self._make(network, link)

    def _make(self, network: Network, link: netlink.Link | None) -> int:
        if link is None:
            mac = mac_of(str(_gateways(network)[0].ip) if _gateways(network) else "0.0.0.0")
            create = netlink.create_bridge(
                network.bridge, mac, mtu_of(network), self._identity.group
            )
            try:
                self.channel.run([create])
            except netlink.NetlinkError as error:
                raise EngineError(f"failed to make the bridge: {error.strerror}") from error
            link = netlink.find_link(self.channel, network.bridge)
            assert link is not None
        self._configure(network, link.index)
        return link.index

    def _configure(self, network: Network, index: int) -> None:
        name = network.bridge
        # Published ports on the machine's 127.0.0.1 are sent to containers.
        write_sysctl(f"ipv4/conf/{name}/route_localnet", "1")
        write_sysctl(f"ipv6/conf/{name}/accept_ra", "0")
        # Neighbours can't be asked for until the check of the link's own address has ended.
        write_sysctl(f"ipv6/conf/{name}/accept_dad", "0")
        if network.ipv6:
            forward_ipv6()
        write_sysctl(f"ipv6/conf/{name}/disable_ipv6", "0" if network.ipv6 else "1")
        messages = [
            netlink.add_address(index, str(gateway.ip), gateway.network.prefixlen)
            for gateway in _gateways(network)
        ]
        messages.append(netlink.set_alias(index, self._identity.alias))
        messages.append(netlink.set_up(index))
        try:
            self.channel.run(messages, ignore=frozenset({errno.EEXIST}))
        except netlink.NetlinkError as error:
            raise EngineError(f"failed to set up bridge {name}: {error.strerror}") from error

    def remove(self, network: Network) -> None:
        """Remove the network's bridge, unless somebody else made it; gone is no error."""
        link = netlink.find_link(self.channel, network.bridge)
        if link is not None and link.group == self._identity.group:
            self.channel.run([netlink.delete_index(link.index)], frozenset({errno.ENODEV}))

    def discard(self, names: Iterable[str]) -> None:
        """Remove those of the interfaces that are still there."""
        found = [netlink.find_link(self.channel, name) for name in names if name]
        self.channel.attempt([netlink.delete_index(link.index) for link in found if link])

    def sweep(self, keep: frozenset[str]) -> list[str]:
        """Remove interfaces of this engine that are not in `keep`; returns their names."""
        found = [
            link
            for link in netlink.links(self.channel)
            if link.group == self._identity.group and link.name not in keep
        ]
        for link in found:
            self.channel.run([netlink.delete_index(link.index)], frozenset({errno.ENODEV}))
        return [link.name for link in found]

    def abandoned(self) -> list[str]:
        """Remove bridges without ports of engines whose root is gone; returns those' tags."""
        found = list(netlink.links(self.channel))
        masters = {link.master for link in found}
        tags = []
        for link in found:
            owner = Identity.behind(link.alias)
            if owner and link.index not in masters and not owner.root.exists():
                self.channel.run([netlink.delete_index(link.index)], frozenset({errno.ENODEV}))
                tags.append(owner.tag)
        return tags

    def networks_in_use(self) -> list[AnyNetwork]:
        """What the machine has addresses in or routes to, this engine's bridges left out."""
        own = {
            link.index
            for link in netlink.links(self.channel)
            if link.group == self._identity.group and link.kind == "bridge"
        }
        used = [
            address.interface.network
            for address in netlink.addresses(self.channel)
            if address.index not in own
        ]
        return used + list(netlink.routed_networks(self.channel, own))


def _gateways(
    network: Network,
) -> list[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    return [
        ipaddress.ip_interface(f"{pool.gateway}/{pool.subnet.partition('/')[2]}")
        for pool in network.pools
        if pool.gateway and (network.ipv6 or ":" not in pool.gateway)
    ]
