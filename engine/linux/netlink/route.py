"""Routes (rtnetlink(7), linux/rtnetlink.h)."""

import ipaddress
import socket
import struct
import sys
from collections.abc import Container, Iterator

from engine.linux.netlink.channel import Channel
from engine.linux.netlink.message import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REPLACE,
    Message,
    attribute,
    attributes,
    u32,
)

RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26
_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RT_TABLE_MAIN = 254
_RTPROT_BOOT = 3
_RTN_UNICAST = 1
_RTMSG = struct.Struct("=BBBBBBBBI")

AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def default_route(index: int, gateway: str) -> Message:
    """Make `gateway` the default, in place of an earlier one."""
    flags = NLM_F_CREATE | NLM_F_REPLACE
    return Message(RTM_NEWROUTE, flags, _default(index, gateway), f"add default route {gateway}")


def delete_default_route(index: int, gateway: str) -> Message:
    """Remove the default route by `gateway`; ESRCH when there is none."""
    return Message(RTM_DELROUTE, 0, _default(index, gateway), f"remove default route {gateway}")


def _default(index: int, gateway: str) -> bytes:
    parsed = ipaddress.ip_address(gateway)
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    header = _RTMSG.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, 0, _RTN_UNICAST, 0)
    return header + attribute(_RTA_GATEWAY, parsed.packed) + u32(_RTA_OIF, index)


def default_gateway(channel: Channel) -> str:
    """The IPv4 gateway of the default route, "" when there is none."""
    body = _RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    for reply in channel.ask(Message(RTM_GETROUTE, NLM_F_DUMP, body, "list routes")):
        _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(reply.body)
        gateway = attributes(reply.body[_RTMSG.size :]).get(_RTA_GATEWAY)
        if table == _RT_TABLE_MAIN and kind == _RTN_UNICAST and not length and gateway:
            return str(ipaddress.ip_address(gateway))
    return ""


def routed_networks(channel: Channel, without: Container[int] = ()) -> Iterator[AnyNetwork]:
    """Destinations of the main table; default routes and interfaces `without` are left out."""
    body = _RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)
    for reply in channel.ask(Message(RTM_GETROUTE, NLM_F_DUMP, body, "list routes")):
        if reply.kind != RTM_NEWROUTE:
            continue
        _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(reply.body)
        found = attributes(reply.body[_RTMSG.size :])
        if int.from_bytes(found.get(_RTA_OIF, b"\0"), sys.byteorder) in without:
            continue
        if table == _RT_TABLE_MAIN and kind == _RTN_UNICAST and length and _RTA_DST in found:
            address = ipaddress.ip_address(found[_RTA_DST])
            yield ipaddress.ip_network(f"{address}/{length}", strict=False)
