"""The engine's nftables table: who may talk to whom, address translation, published ports.

Rules are few and fixed; what changes are elements of sets and maps, so that a packet's way costs
the same with one port or with a thousand. No other table is touched.
"""

import errno
import ipaddress
import struct
from collections.abc import Iterable, Sequence

from engine.linux import nftables as nft
from engine.linux.netlink import NETLINK_NETFILTER, Channel, Message, NetlinkError
from engine.linux.nftables import expressions as ex
from engine.networks.records import Binding
from engine.values import dataclass

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_NAT_DESTINATION = -100
_NAT_SOURCE = 100
_RAW = -300
_LOOPBACK = bytes((127, 0, 0, 0))
_IPV4 = bytes((ex.IPV4,))
_WORD0, _WORD1, _WORD4 = 8, 9, 12


@dataclass(frozen=True)
class BridgeRules:
    """What the rules need to know of a bridge."""

    name: str
    masquerade: bool = True
    internal: bool = False
    talk: bool = True


class Firewall:
    """The table `name`. Methods block for the kernel (below a millisecond)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._channel = Channel(NETLINK_NETFILTER)

    def close(self) -> None:
        """Leave the table as it is."""
        self._channel.close()

    def rebuild(self, bridges: Iterable[BridgeRules], bindings: Iterable[Binding]) -> None:
        """Replace the table in one step: connections that are tracked go on."""
        messages = [nft.add_table(self.name), nft.delete_table(self.name), nft.add_table(self.name)]
        messages += _sets(self.name) + _chains(self.name)
        for bridge in bridges:
            messages += self._bridge(bridge)
        messages += self._ports(bindings)
        nft.commit(self._channel, messages)

    def standing(self) -> bool:
        """Whether the table is still there (somebody may have flushed the machine's rules)."""
        try:
            nft.element_keys(self._channel, self.name, "internal")
        except NetlinkError:
            return False
        return True

    def remove(self, name: str = "") -> None:
        """Remove the table, or that of another engine; one that is gone is no error."""
        table = name or self.name
        nft.commit(self._channel, [nft.add_table(table), nft.delete_table(table)])

    def obstacles(self) -> list[str]:
        """Chains of others that drop what containers send outside, as `table chain`.

        No rule of ours can let through what another chain drops, and theirs aren't touched.
        """
        found = nft.dropping(self._channel, nft.FORWARD)
        families = {1: "inet", 2: "ip"}
        return [
            f"{families[family]} {table} {chain}"
            for family, table, chain in found
            if family in families
        ]

    def add_bridge(self, bridge: BridgeRules) -> None:
        """Let a new bridge in."""
        nft.commit(self._channel, self._bridge(bridge))

    def remove_bridge(self, bridge: BridgeRules) -> None:
        """Forget a bridge; one that isn't there is no error."""
        name = nft.ifname(bridge.name)
        for set_name, _ in _bridge_elements(bridge):
            key = name + name if set_name in ("same", "talk") else name
            self._delete(set_name, [key])

    def _bridge(self, bridge: BridgeRules) -> list[Message]:
        messages = []
        for set_name, key in _bridge_elements(bridge):
            messages += nft.add_elements(self.name, set_name, [(key, None)])
        return messages

    def publish(self, bindings: Sequence[Binding]) -> None:
        """Send published ports to their containers."""
        nft.commit(self._channel, self._ports(bindings))

    def withdraw(self, bindings: Sequence[Binding]) -> None:
        """Stop sending; ports that aren't there are no error."""
        for map_name, elements in _by_map(bindings).items():
            self._delete(map_name, [key for key, _ in elements])

    def _ports(self, bindings: Iterable[Binding]) -> list[Message]:
        messages = []
        for map_name, elements in _by_map(bindings).items():
            messages += nft.add_elements(self.name, map_name, elements)
        return messages

    def _delete(self, set_name: str, keys: list[bytes]) -> None:
        try:
            nft.commit(self._channel, nft.delete_elements(self.name, set_name, keys))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            if len(keys) > 1:
                for key in keys:  # one that is missing must not keep the others
                    self._delete(set_name, [key])


def _bridge_elements(bridge: BridgeRules) -> list[tuple[str, bytes]]:
    name = nft.ifname(bridge.name)
    elements = [("bridges", name), ("same", name + name)]
    if bridge.talk:
        elements.append(("talk", name + name))
    if bridge.internal:
        elements.append(("internal", name))
    elif bridge.masquerade:
        elements.append(("masquerade", name))
    return elements


def _by_map(bindings: Iterable[Binding]) -> dict[str, list[nft.Element]]:
    maps: dict[str, list[nft.Element]] = {}
    for one in bindings:
        target = ipaddress.ip_address(one.container_ip)
        host = ipaddress.ip_address(one.host_ip or ("0.0.0.0" if target.version == 4 else "::"))
        if host.version != target.version:
            continue
        key = bytes((_PROTOCOLS[one.protocol], 0, 0, 0)) + _port(one.guest_port)
        wide = host.is_unspecified
        name = f"{'any' if wide else 'exact'}{target.version}"
        whole = key if wide else host.packed + key
        maps.setdefault(name, []).append((whole, target.packed + _port(one.container_port)))
    return maps


def _port(number: int) -> bytes:
    return struct.pack(">HH", number, 0)


def _sets(table: str) -> list[Message]:
    ifname, pair = (nft.TYPE_IFNAME,), (nft.TYPE_IFNAME, nft.TYPE_IFNAME)
    port = (nft.TYPE_PROTOCOL, nft.TYPE_PORT)
    v4, v6 = nft.TYPE_IPV4, nft.TYPE_IPV6
    to4, to6 = (v4, nft.TYPE_PORT), (v6, nft.TYPE_PORT)
    wanted: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
        ("bridges", ifname, ()),
        ("internal", ifname, ()),
        ("masquerade", ifname, ()),
        ("same", pair, ()),
        ("talk", pair, ()),
        ("exact4", (v4, *port), to4),
        ("any4", port, to4),
        ("exact6", (v6, *port), to6),
        ("any6", port, to6),
    ]
    return [
        nft.add_set(table, name, number, key, data)
        for number, (name, key, data) in enumerate(wanted, 1)
    ]


def _chains(table: str) -> list[Message]:
    hooks = {
        "guard": nft.Hook("filter", nft.PREROUTING, _RAW),
        "prerouting": nft.Hook("nat", nft.PREROUTING, _NAT_DESTINATION),
        "output": nft.Hook("nat", nft.OUTPUT, _NAT_DESTINATION),
        "forward": nft.Hook("filter", nft.FORWARD, 0),
        "postrouting": nft.Hook("nat", nft.POSTROUTING, _NAT_SOURCE),
    }
    rules = {
        "guard": _guard(),
        "prerouting": _destinations(),
        "output": _destinations(),
        "forward": _forward(),
        "postrouting": _postrouting(),
    }
    messages = [nft.add_chain(table, name, hook) for name, hook in hooks.items()]
    for chain, lines in rules.items():
        messages += [nft.add_rule(table, chain, *line) for line in lines]
    return messages


def _guard() -> list[list[bytes]]:
    # The bridges take loopback addresses (see `bridges`); containers must not reach the
    # machine's own loopback that way.
    return [
        [
            *_on_list(ex.META_IIFNAME, "bridges"),
            ex.meta(ex.META_NFPROTO, 1),
            ex.equal(1, _IPV4),
            ex.payload(ex.NETWORK_HEADER, 16, 4, 1),
            ex.masked(1, bytes((255, 0, 0, 0))),
            ex.equal(1, _LOOPBACK),
            ex.verdict(ex.DROP),
        ]
    ]


def _destinations() -> list[list[bytes]]:
    """Published ports: first those of one host address, then those of all."""
    return [
        _published(4, exact=True),
        _published(4, exact=False),
        _published(6, exact=True),
        _published(6, exact=False),
    ]


def _published(version: int, *, exact: bool) -> list[bytes]:
    family, offset, length = (ex.IPV4, 16, 4) if version == 4 else (ex.IPV6, 24, 16)
    line = [
        ex.meta(ex.META_NFPROTO, 1),
        ex.equal(1, bytes((family,))),
        ex.destination_type(1),
        ex.equal(1, struct.pack("=I", ex.RTN_LOCAL)),
    ]
    register = _WORD0
    if exact:
        line.append(ex.payload(ex.NETWORK_HEADER, offset, length, register))
        register += length // 4
    line += [
        ex.meta(ex.META_L4PROTO, register),
        ex.payload(ex.TRANSPORT_HEADER, 2, 2, register + 1),
        ex.mapped(f"{'exact' if exact else 'any'}{version}", _WORD0, _WORD0),
        ex.destination_nat(family, _WORD0, _WORD1 if version == 4 else _WORD4),
    ]
    return line


def _on_list(key: int, set_name: str, *, negate: bool = False) -> list[bytes]:
    return [ex.meta(key, 1), ex.member(set_name, 1, negate)]


def _on_pair(set_name: str) -> list[bytes]:
    return [ex.meta(ex.META_IIFNAME, 1), ex.meta(ex.META_OIFNAME, 2), ex.member(set_name, 1)]


def _has_bits(key: int, bits: int) -> list[bytes]:
    mask = struct.pack("=I", bits)
    return [ex.conntrack(key, 1), ex.masked(1, mask), ex.equal(1, bytes(4), negate=True)]


def _forward() -> list[list[bytes]]:
    return [
        [*_has_bits(ex.CT_STATE, ex.CT_ESTABLISHED | ex.CT_RELATED), ex.verdict(ex.ACCEPT)],
        [*_on_pair("talk"), ex.verdict(ex.ACCEPT)],
        [*_on_list(ex.META_IIFNAME, "internal"), ex.verdict(ex.DROP)],
        [*_on_list(ex.META_OIFNAME, "internal"), ex.verdict(ex.DROP)],
        [*_has_bits(ex.CT_STATUS, ex.CT_DESTINATION_CHANGED), ex.verdict(ex.ACCEPT)],
        [*_on_list(ex.META_OIFNAME, "bridges"), ex.verdict(ex.DROP)],
    ]


def _postrouting() -> list[list[bytes]]:
    from_loopback = [
        ex.meta(ex.META_NFPROTO, 1),
        ex.equal(1, _IPV4),
        ex.payload(ex.NETWORK_HEADER, 12, 4, 1),
        ex.masked(1, bytes((255, 0, 0, 0))),
        ex.equal(1, _LOOPBACK),
    ]
    return [
        # A container that asks for a published port of its own bridge: the answer has to come
        # back through the machine.
        [
            *_has_bits(ex.CT_STATUS, ex.CT_DESTINATION_CHANGED),
            *_on_pair("same"),
            ex.masquerade(),
        ],
        # The same where br_netfilter passes the packet on inside the bridge: no interface is
        # known to have received it then, as with packets of the machine itself.
        [
            *_has_bits(ex.CT_STATUS, ex.CT_DESTINATION_CHANGED),
            ex.meta(ex.META_IIFNAME, 1),
            ex.equal(1, nft.ifname("")),
            *_on_list(ex.META_OIFNAME, "bridges"),
            ex.source_type(1),
            ex.equal(1, struct.pack("=I", ex.RTN_LOCAL), negate=True),
            ex.masquerade(),
        ],
        [*_on_list(ex.META_OIFNAME, "bridges"), *from_loopback, ex.masquerade()],
        [
            *_on_list(ex.META_IIFNAME, "masquerade"),
            *_on_list(ex.META_OIFNAME, "bridges", negate=True),
            ex.masquerade(),
        ],
    ]
