"""Addresses of interfaces (rtnetlink(7), linux/if_addr.h)."""

import ipaddress
import socket
import struct
from collections.abc import Iterator

from engine.linux.netlink.channel import Channel
from engine.linux.netlink.message import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    Message,
    attribute,
    attributes,
)
from engine.values import dataclass

RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_F_NODAD = 0x02
_IFADDR = struct.Struct("=BBBBI")


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an interface."""

    index: int
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface


def add_address(index: int, address: str, prefix: int) -> Message:
    """Give an interface an address, at once usable; EEXIST when it has it."""
    body = _encode(index, address, prefix)
    flags = NLM_F_CREATE | NLM_F_EXCL
    return Message(RTM_NEWADDR, flags, body, f"add address {address}/{prefix}")


def delete_address(index: int, address: str, prefix: int) -> Message:
    """Take an address from an interface."""
    body = _encode(index, address, prefix)
    return Message(RTM_DELADDR, 0, body, f"remove address {address}/{prefix}")


def _encode(index: int, address: str, prefix: int) -> bytes:
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6:
        # The engine gives addresses out once; waiting for the duplicate check costs a second.
        header = _IFADDR.pack(socket.AF_INET6, prefix, _IFA_F_NODAD, 0, index)
        return header + attribute(_IFA_LOCAL, parsed.packed)
    header = _IFADDR.pack(socket.AF_INET, prefix, 0, 0, index)
    local = attribute(_IFA_LOCAL, parsed.packed) + attribute(_IFA_ADDRESS, parsed.packed)
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    return header + local + attribute(_IFA_BROADCAST, network.broadcast_address.packed)


def addresses(channel: Channel) -> Iterator[Address]:
    """All addresses of the channel's namespace."""
    message = Message(RTM_GETADDR, NLM_F_DUMP, _IFADDR.pack(0, 0, 0, 0, 0), "list addresses")
    for reply in channel.ask(message):
        if reply.kind != RTM_NEWADDR:
            continue
        _, prefix, _, _, index = _IFADDR.unpack_from(reply.body)
        found = attributes(reply.body[_IFADDR.size :])
        packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
        if packed:
            address = ipaddress.ip_address(packed)
            yield Address(index, ipaddress.ip_interface(f"{address}/{prefix}"))
