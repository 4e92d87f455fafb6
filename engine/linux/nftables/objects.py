"""Tables, chains, rules, sets and their elements as requests (linux/netfilter/nf_tables.h)."""

import struct
from collections.abc import Iterable, Sequence

from engine.linux.netlink.channel import Channel
from engine.linux.netlink.message import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    Message,
    attribute_list,
    attributes,
    be32,
    nested,
    text,
)
from engine.linux.netlink.message import attribute as raw
from engine.linux.nftables.expressions import value, verdict_value
from engine.values import dataclass

INET = 1
_SUBSYSTEM = 10
_BATCH_BEGIN = 16
_BATCH_END = 17
_NEWTABLE, _GETTABLE, _DELTABLE = 0, 1, 2
_NEWCHAIN, _GETCHAIN = 3, 4
_NEWRULE = 6
_NEWSET = 9
_NEWSETELEM, _GETSETELEM, _DELSETELEM = 12, 13, 14
_SET_MAP = 0x8
_ELEMENT = 1

# Numbers by which `nft list` knows how to print keys; joined ones take six bits each.
TYPE_IPV4 = 7
TYPE_IPV6 = 8
TYPE_PROTOCOL = 12
TYPE_PORT = 13
TYPE_IFNAME = 41
TYPE_VERDICT = 0xFFFFFF00
_LENGTHS = {TYPE_IPV4: 4, TYPE_IPV6: 16, TYPE_PROTOCOL: 4, TYPE_PORT: 4, TYPE_IFNAME: 16}

Element = tuple[bytes, bytes | int | None]


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a chain sees packets: `kind` nat or filter, `number` of the hook, priority."""

    kind: str
    number: int
    priority: int


PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)


def _message(kind: int, flags: int, *parts: bytes, about: str, family: int = INET) -> Message:
    header = struct.pack(">BBH", family, 0, 0)
    return Message(_SUBSYSTEM << 8 | kind, flags, header + b"".join(parts), about)


def _batch(kind: int) -> Message:
    return Message(kind, 0, struct.pack(">BBH", 0, 0, _SUBSYSTEM))


def commit(channel: Channel, messages: Sequence[Message]) -> None:
    """Do all or nothing. Raises NetlinkError."""
    if messages:
        channel.transaction(_batch(_BATCH_BEGIN), messages, _batch(_BATCH_END))


def add_table(name: str) -> Message:
    """Make a table of the inet family; one that exists stays."""
    return _message(_NEWTABLE, NLM_F_CREATE, text(1, name), be32(2, 0), about=f"add table {name}")


def delete_table(name: str) -> Message:
    """Remove a table with all in it."""
    return _message(_DELTABLE, 0, text(1, name), about=f"delete table {name}")


def tables(channel: Channel) -> list[str]:
    """Names of the tables of the inet family."""
    replies = channel.ask(_message(_GETTABLE, NLM_F_DUMP, about="list tables"))
    names = (attributes(reply.body[4:]).get(1, b"") for reply in replies)
    return [name.rstrip(b"\0").decode() for name in names]


def add_chain(table: str, name: str, hook: Hook) -> Message:
    """Make a base chain that lets pass what it says nothing about."""
    where = nested(4, be32(1, hook.number), be32(2, hook.priority & 0xFFFFFFFF))
    parts = (text(1, table), text(3, name), where, be32(5, 1), text(7, hook.kind))
    return _message(_NEWCHAIN, NLM_F_CREATE, *parts, about=f"add chain {name}")


def dropping(channel: Channel, hook: int) -> list[tuple[int, str, str]]:
    """Chains at a hook that drop what they say nothing about: (family, table, chain)."""
    found = []
    for reply in channel.ask(_message(_GETCHAIN, NLM_F_DUMP, about="list chains", family=0)):
        chain = attributes(reply.body[4:])
        place = attributes(chain.get(4, b""))
        if 5 not in chain or int.from_bytes(place.get(1, b""), "big") != hook:
            continue
        if chain.get(7, b"").startswith(b"filter") and int.from_bytes(chain[5], "big") == 0:
            table, name = (chain[key].rstrip(b"\0").decode(errors="replace") for key in (1, 3))
            found.append((reply.body[0], table, name))
    return found


def add_rule(table: str, chain: str, *expressions: bytes) -> Message:
    """Put a rule at a chain's end."""
    parts = (text(1, table), text(2, chain), nested(4, *expressions))
    flags = NLM_F_CREATE | NLM_F_APPEND
    return _message(_NEWRULE, flags, *parts, about=f"add rule to chain {chain}")


def _joined(types: Sequence[int]) -> tuple[int, int]:
    number = length = 0
    for one in types:
        number = number << 6 | one
        length += _LENGTHS[one]
    return number, length


def add_set(
    table: str, name: str, number: int, key: Sequence[int], data: Sequence[int] = ()
) -> Message:
    """Make a set, or with `data` a map. `number` is any that no other set of the batch has."""
    key_type, key_length = _joined(key)
    parts = [text(1, table), text(2, name), be32(3, _SET_MAP if data else 0)]
    parts += [be32(4, key_type), be32(5, key_length)]
    if data == (TYPE_VERDICT,):
        parts += [be32(6, TYPE_VERDICT)]
    elif data:
        data_type, data_length = _joined(data)
        parts += [be32(6, data_type), be32(7, data_length)]
    parts.append(be32(10, number))
    if key_type == TYPE_IFNAME:
        # without this note `nft list` takes the name for a number of network byte order
        parts.append(raw(13, struct.pack("=BBI", 0, 4, 1)))
    return _message(_NEWSET, NLM_F_CREATE, *parts, about=f"add set {name}")


def _elements(table: str, name: str, elements: Iterable[Element]) -> tuple[bytes, ...]:
    encoded = [nested(_ELEMENT, *_element(key, data)) for key, data in elements]
    return text(1, table), text(2, name), nested(3, *encoded)


def _element(key: bytes, data: bytes | int | None) -> list[bytes]:
    parts = [value(1, key)]
    if isinstance(data, bytes):
        parts.append(value(2, data))
    elif data is not None:
        parts.append(verdict_value(2, data))
    return parts


_CHUNK = 256  # a nested attribute holds 64 KiB at most


def add_elements(table: str, name: str, elements: Sequence[Element]) -> list[Message]:
    """Put elements (key, data: bytes, a verdict's number, or None in a plain set) into a set.

    One that is there with the same data stays.
    """
    return [
        _message(
            _NEWSETELEM,
            NLM_F_CREATE,
            *_elements(table, name, elements[at : at + _CHUNK]),
            about=f"add to {name}",
        )
        for at in range(0, len(elements), _CHUNK)
    ]


def delete_elements(table: str, name: str, keys: Sequence[bytes]) -> list[Message]:
    """Take elements out of a set; ENOENT when one isn't there."""
    return [
        _message(
            _DELSETELEM,
            0,
            *_elements(table, name, [(key, None) for key in keys[at : at + _CHUNK]]),
            about=f"remove from {name}",
        )
        for at in range(0, len(keys), _CHUNK)
    ]


def element_keys(channel: Channel, table: str, name: str) -> list[bytes]:
    """The keys in a set. Raises NetlinkError (ENOENT: no such table or set)."""
    parts = (text(1, table), text(2, name))
    keys = []
    for reply in channel.ask(_message(_GETSETELEM, NLM_F_DUMP, *parts, about=f"list {name}")):
        for _, element in attribute_list(attributes(reply.body[4:]).get(3, b"")):
            keys.append(attributes(attributes(element).get(1, b"")).get(1, b""))
    return keys


def ifname(name: str) -> bytes:
    """An interface's name as sets hold it."""
    return name.encode().ljust(16, b"\0")
