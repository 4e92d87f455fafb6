"""Forgetting tracked connections (linux/netfilter/nfnetlink_conntrack.h)."""

import ipaddress
import struct
from collections.abc import Set

from engine.linux.netlink.channel import Channel, NetlinkError
from engine.linux.netlink.message import NLM_F_DUMP, Message, attributes, nested

_SUBSYSTEM = 1
_GET = 1
_DELETE = 2
_TUPLE_ORIGINAL = 1
_TUPLE_REPLY = 2
_TUPLE_IP = 1
_TUPLE_PROTOCOL = 2
_PROTOCOL_NUMBER = 1
_SOURCE = {4: 1, 6: 3}
_FAMILY = {4: 2, 6: 10}


def forget(channel: Channel, addresses: Set[str], protocol: int) -> int:
    """Forget connections of `protocol` (IPPROTO number) that are answered by one of `addresses`.

    Without this a UDP sender that goes on sending stays bound to a container that has ended.
    Returns how many were forgotten.
    """
    wanted = {ipaddress.ip_address(one).packed for one in addresses}
    versions = {4 if len(one) == 4 else 6 for one in wanted}
    return sum(_forget(channel, wanted, protocol, version) for version in versions)


def _forget(channel: Channel, wanted: set[bytes], protocol: int, version: int) -> int:
    header = struct.pack(">BBH", _FAMILY[version], 0, 0)
    dump = Message(_SUBSYSTEM << 8 | _GET, NLM_F_DUMP, header, "list connections")
    doomed = []
    for reply in channel.ask(dump):
        found = attributes(reply.body[4:])
        answer = attributes(found.get(_TUPLE_REPLY, b""))
        source = attributes(answer.get(_TUPLE_IP, b"")).get(_SOURCE[version])
        number = attributes(answer.get(_TUPLE_PROTOCOL, b"")).get(_PROTOCOL_NUMBER)
        if source in wanted and number == bytes((protocol,)):
            body = header + nested(_TUPLE_ORIGINAL, found[_TUPLE_ORIGINAL])
            doomed.append(Message(_SUBSYSTEM << 8 | _DELETE, 0, body, "forget connection"))
    results: list[NetlinkError | None] = channel.attempt(doomed)
    return sum(error is None for error in results)
