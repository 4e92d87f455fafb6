"""Making and taking apart a container's network namespace and its interfaces."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from engine.linux import namespaces, netlink
from engine.networks.bridges import write_sysctl
from engine.networks.records import Endpoint
from engine.values import dataclass

_LOOPBACK = 1


@dataclass(frozen=True)
class Wire:
    """One interface to be made: an endpoint, below the bridge with this index."""

    endpoint: Endpoint
    bridge: int
    mtu: int
    isolated: bool = False
    # whether the bridge sends back what the container sent (see `bridges.filtered`)
    reflected: bool = False
    # whether the container's way out is through this network
    default: bool = False


def build(
    channel: netlink.Channel, path: Path, wires: Sequence[Wire], group: int, namespace: int = -1
) -> int:
    """Make a namespace bound at `path` with a loopback and the wires; returns its inode.

    `namespace` is a descriptor of one to use instead. Only for a thread that ends soon: it is left
    inside the namespace. Raises OSError.
    """
    if namespace < 0:
        descriptor, inode = namespaces.make_netns(path)
    else:
        descriptor, inode = namespaces.take_netns(namespace, path)
    try:
        with netlink.Channel() as inside:
            _attach(channel, inside, descriptor, wires, group)
    except BaseException:
        namespaces.remove_netns(path)
        raise
    finally:
        os.close(descriptor)
    return inode


def attach(channel: netlink.Channel, path: Path, wire: Wire, group: int) -> None:
    """Add a wire to the namespace at `path`. Only for a thread that ends soon. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.enter_netns(descriptor)
        with netlink.Channel() as inside:
            _attach(channel, inside, descriptor, [wire], group)
    finally:
        os.close(descriptor)


def route(path: Path, endpoint: Endpoint) -> None:
    """Make an endpoint the way out. Only for a thread that ends soon. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.enter_netns(descriptor)
        with netlink.Channel() as inside:
            inside.run(_default_routes(endpoint, socket.if_nametoindex(endpoint.link)))
    finally:
        os.close(descriptor)


def _default_routes(endpoint: Endpoint, index: int) -> list[netlink.Message]:
    gateways = (endpoint.gateway4, endpoint.gateway6)
    return [netlink.default_route(index, gateway) for gateway in gateways if gateway]


def _attach(
    outside: netlink.Channel,
    inside: netlink.Channel,
    descriptor: int,
    wires: Sequence[Wire],
    group: int,
) -> None:
    outside.run([message for wire in wires for message in _outside(wire, descriptor, group)])
    messages = [netlink.set_up(_LOOPBACK)]
    for wire in wires:
        messages += _configure(wire)
    inside.run(messages)


def _outside(wire: Wire, descriptor: int, group: int) -> list[netlink.Message]:
    name = wire.endpoint.host_link
    pair = netlink.Veth(
        name=name,
        peer=wire.endpoint.link,
        peer_netns=descriptor,
        peer_mac=wire.endpoint.mac,
        master=wire.bridge,
        mtu=wire.mtu,
        group=group,
    )
    messages = [netlink.create_veth(pair)]
    if wire.isolated:
        messages.append(netlink.isolate_port(name))
    if wire.reflected:
        messages.append(netlink.reflect_port(name))
    return messages


def _configure(wire: Wire) -> list[netlink.Message]:
    one = wire.endpoint
    index = socket.if_nametoindex(one.link)
    if one.ipv6 or any(":" in address for address in one.link_local):
        write_sysctl(f"ipv6/conf/{one.link}/accept_dad", "0")
    else:
        write_sysctl(f"ipv6/conf/{one.link}/disable_ipv6", "1")
    messages = [netlink.set_up(index)]
    if one.ipv4:
        messages.append(netlink.add_address(index, one.ipv4, one.prefix4))
    if one.ipv6:
        messages.append(netlink.add_address(index, one.ipv6, one.prefix6))
    for address in one.link_local:
        messages.append(netlink.add_address(index, address, 64 if ":" in address else 16))
    if wire.default:
        messages += _default_routes(one, index)
    return messages


def quiet(channel: netlink.Channel, endpoints: Sequence[Endpoint]) -> None:
    """Cut interfaces off their bridges at once; the kernel removes them with their namespace.

    Removing an interface takes the kernel 20 ms and more, and others wait meanwhile.
    """
    channel.attempt([netlink.cut_port(one.host_link) for one in endpoints if one.host_link])
