"""The kernel's netlink protocol: interfaces, addresses and routes without helper programs."""

from engine.linux.netlink.address import Address, add_address, addresses, delete_address
from engine.linux.netlink.channel import NETLINK_NETFILTER, NETLINK_ROUTE, Channel, NetlinkError
from engine.linux.netlink.link import (
    Link,
    Veth,
    create_bridge,
    create_veth,
    cut_port,
    delete_index,
    delete_link,
    find_link,
    isolate_port,
    links,
    mac_bytes,
    reflect_port,
    set_alias,
    set_up,
)
from engine.linux.netlink.message import Message
from engine.linux.netlink.route import (
    default_gateway,
    default_route,
    delete_default_route,
    routed_networks,
)

__all__ = [
    "NETLINK_NETFILTER",
    "NETLINK_ROUTE",
    "Address",
    "Channel",
    "Link",
    "Message",
    "NetlinkError",
    "Veth",
    "add_address",
    "addresses",
    "create_bridge",
    "create_veth",
    "cut_port",
    "default_gateway",
    "default_route",
    "delete_address",
    "delete_default_route",
    "delete_index",
    "delete_link",
    "find_link",
    "isolate_port",
    "links",
    "mac_bytes",
    "reflect_port",
    "routed_networks",
    "set_alias",
    "set_up",
]
