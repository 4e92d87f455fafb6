"""Netlink messages: attributes and headers as bytes (netlink(7), linux/netlink.h)."""

import struct
from collections.abc import Iterator

from engine.values import dataclass

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_ROOT = 0x100
NLM_F_MATCH = 0x200
NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")


def attribute(kind: int, payload: bytes = b"") -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    """An attribute with one byte."""
    return attribute(kind, bytes((value,)))


def u16(kind: int, value: int) -> bytes:
    """An attribute with a 16-bit number of the machine's byte order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """An attribute with a 32-bit number of the machine's byte order."""
    return attribute(kind, _U32.pack(value))


def be32(kind: int, value: int) -> bytes:
    """An attribute with a 32-bit number of network byte order."""
    return attribute(kind, struct.pack(">I", value))


def text(kind: int, value: str) -> bytes:
    """An attribute with a string that ends with a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by kind; of several of one kind the last."""
    return dict(attribute_list(data))


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Attributes in their order, flags taken off their kinds."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


@dataclass(frozen=True, slots=True)
class Message:
    """One request. `about` is for the error's sentence ("create bridge cove0")."""

    kind: int
    flags: int
    body: bytes
    about: str = ""

    def encode(self, sequence: int) -> bytes:
        """The message with its header."""
        length = 16 + len(self.body)
        header = _HEADER.pack(length, self.kind, self.flags | NLM_F_REQUEST, sequence, 0)
        return header + self.body + b"\0" * (-length % 4)


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the kernel."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def replies(data: bytes) -> Iterator[Reply]:
    """The messages in one datagram."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < 16:
            return
        yield Reply(kind, flags, sequence, data[offset + 16 : offset + length])
        offset += (length + 3) & ~3
