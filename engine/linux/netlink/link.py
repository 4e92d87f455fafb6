"""Network interfaces: bridges, veth pairs and their settings (rtnetlink(7), linux/if_link.h)."""

import struct
import sys
from collections.abc import Iterator

from engine.linux.netlink.channel import Channel, NetlinkError
from engine.linux.netlink.message import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    Message,
    Reply,
    attribute,
    attributes,
    nested,
    text,
    u8,
    u32,
)
from engine.values import dataclass

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
IFF_UP = 0x1
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_MASTER = 10
_IFLA_LINKINFO = 18
_IFLA_IFALIAS = 20
_IFLA_GROUP = 27
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_INFO_SLAVE_KIND = 4
_IFLA_INFO_SLAVE_DATA = 5
_IFLA_NUM_TX_QUEUES = 31
_IFLA_NUM_RX_QUEUES = 32
_VETH_INFO_PEER = 1
_IFLA_BRPORT_STATE = 1
_IFLA_BRPORT_MODE = 4
_IFLA_BRPORT_FLUSH = 24
_IFLA_BRPORT_ISOLATED = 33
_IFINFO = struct.Struct("=BxHiII")
_CREATE = NLM_F_CREATE | NLM_F_EXCL


@dataclass(frozen=True, slots=True)
class Link:
    """An interface that exists."""

    index: int
    name: str
    kind: str
    group: int
    master: int
    mac: str
    mtu: int
    up: bool
    alias: str


def mac_bytes(mac: str) -> bytes:
    """`02:42:ac:11:00:02` as six bytes. Raises ValueError."""
    return bytes.fromhex(mac.replace(":", "").replace("-", ""))


def _body(*parts: bytes, index: int = 0, up: bool | None = None, family: int = 0) -> bytes:
    flags = IFF_UP if up else 0
    change = 0 if up is None else IFF_UP
    return _IFINFO.pack(family, 0, index, flags, change) + b"".join(parts)


def create_bridge(name: str, mac: str, mtu: int, group: int) -> Message:
    """Make a bridge that is up; EEXIST when the name is taken."""
    info = nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, "bridge"))
    parts = [text(_IFLA_IFNAME, name), u32(_IFLA_GROUP, group), u32(_IFLA_MTU, mtu), info]
    parts.append(attribute(_IFLA_ADDRESS, mac_bytes(mac)))
    return Message(RTM_NEWLINK, _CREATE, _body(*parts, up=True), f"create bridge {name}")


@dataclass(frozen=True, slots=True)
class Veth:
    """A pair to be made: `name` on the machine below the bridge, up; `peer` in `peer_netns` (a file
    descriptor of it), down: the kernel refuses to make it up. `group` marks the machine's end.
    """

    name: str
    peer: str
    peer_netns: int
    peer_mac: str
    master: int
    mtu: int
    group: int


def create_veth(pair: Veth) -> Message:
    """Make a veth pair."""
    peer = _body(
        text(_IFLA_IFNAME, pair.peer),
        attribute(_IFLA_ADDRESS, mac_bytes(pair.peer_mac)),
        u32(_IFLA_MTU, pair.mtu),
        u32(_IFLA_NET_NS_FD, pair.peer_netns),
        u32(_IFLA_NUM_TX_QUEUES, 1),
        u32(_IFLA_NUM_RX_QUEUES, 1),
    )
    info = nested(
        _IFLA_LINKINFO,
        text(_IFLA_INFO_KIND, "veth"),
        nested(_IFLA_INFO_DATA, nested(_VETH_INFO_PEER, peer)),
    )
    parts = (
        text(_IFLA_IFNAME, pair.name),
        u32(_IFLA_MTU, pair.mtu),
        u32(_IFLA_GROUP, pair.group),
        u32(_IFLA_MASTER, pair.master),
        u32(_IFLA_NUM_TX_QUEUES, 1),
        u32(_IFLA_NUM_RX_QUEUES, 1),
        info,
    )
    return Message(RTM_NEWLINK, _CREATE, _body(*parts, up=True), f"create veth {pair.name}")


def _set_port(name: str, *settings: bytes) -> Message:
    port = nested(
        _IFLA_LINKINFO,
        text(_IFLA_INFO_SLAVE_KIND, "bridge"),
        nested(_IFLA_INFO_SLAVE_DATA, *settings),
    )
    return Message(RTM_NEWLINK, 0, _body(text(_IFLA_IFNAME, name), port), f"set port {name}")


def isolate_port(name: str) -> Message:
    """Let a bridge's port talk to no other isolated port."""
    return _set_port(name, u8(_IFLA_BRPORT_ISOLATED, 1))


def reflect_port(name: str) -> Message:
    """Let a bridge's port get back what it sent (hairpin mode)."""
    return _set_port(name, u8(_IFLA_BRPORT_MODE, 1))


def cut_port(name: str) -> Message:
    """Stop a bridge's port from passing anything, and forget what was learnt from it."""
    return _set_port(name, u8(_IFLA_BRPORT_STATE, 0), attribute(_IFLA_BRPORT_FLUSH))


def set_up(index: int, up: bool = True) -> Message:
    """Bring an interface up or down."""
    return Message(RTM_NEWLINK, 0, _body(index=index, up=up), f"bring interface {index} up")


def set_alias(index: int, alias: str) -> Message:
    """Note something at an interface (255 bytes at most)."""
    body = _body(attribute(_IFLA_IFALIAS, alias.encode()[:255]), index=index)
    return Message(RTM_NEWLINK, 0, body, f"set alias of interface {index}")


def delete_link(name: str) -> Message:
    """Remove an interface (both ends of a veth pair); ENODEV when there is none."""
    return Message(RTM_DELLINK, 0, _body(text(_IFLA_IFNAME, name)), f"remove interface {name}")


def delete_index(index: int) -> Message:
    """Remove an interface by its index."""
    return Message(RTM_DELLINK, 0, _body(index=index), f"remove interface {index}")


def links(channel: Channel) -> Iterator[Link]:
    """All interfaces of the channel's namespace."""
    for reply in channel.ask(Message(RTM_GETLINK, NLM_F_DUMP, _body(), "list interfaces")):
        if reply.kind == RTM_NEWLINK:
            yield _parse(reply)


def find_link(channel: Channel, name: str) -> Link | None:
    """The interface of this name, or None."""
    message = Message(RTM_GETLINK, 0, _body(text(_IFLA_IFNAME, name)), f"find interface {name}")
    try:
        found = [reply for reply in channel.ask(message) if reply.kind == RTM_NEWLINK]
    except NetlinkError:
        return None
    return _parse(found[0]) if found else None


def _parse(reply: Reply) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(reply.body)
    found = attributes(reply.body[_IFINFO.size :])
    info = attributes(found.get(_IFLA_LINKINFO, b""))

    def number(kind: int) -> int:
        return int.from_bytes(found.get(kind, b"\0"), sys.byteorder)

    return Link(
        index=index,
        name=_string(found.get(_IFLA_IFNAME, b"")),
        kind=_string(info.get(_IFLA_INFO_KIND, b"")),
        group=number(_IFLA_GROUP),
        master=number(_IFLA_MASTER),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=number(_IFLA_MTU),
        up=bool(flags & IFF_UP),
        alias=_string(found.get(_IFLA_IFALIAS, b"")),
    )


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
